"""The plugin API: all that the author of a search plugin imports."""
