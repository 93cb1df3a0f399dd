"""overlayadm: the administration command, which speaks to the daemon over its socket only.

One module a verb, imported only when that verb is wanted, so that the command answers at once.
`parsing` turns the operator's text into values, `output` turns the daemon's answers into tables,
fields for scripts and JSON, `connection` finds the daemon, `exits` says how the command ends.
"""
