"""What survives a restart: overlays, properties, the administrator's entries, plugins' states.

`base` says what a store is. `sqlite` keeps it in a file, `memory` as long as the object lives. A
change is whole or not at all, and in the file when its method returns.
"""
