"""overlayadm: the administration command, which speaks to the daemon over its socket only."""
