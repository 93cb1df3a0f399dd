"""What is known of destinations: entries and their states, and the bounds on them; pure.

`entries` says what can be known of one MAC and what may follow what. `uses` counts how many
entries have each target, `census` how many are in each state; `budget` keeps the totals that
overlays share. The engine keeps the
tables, since what moves an entry is what happens.
"""
