"""Everything that awaits: the process around the engine, its tasks and its plugins."""
