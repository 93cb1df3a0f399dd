"""The search plugin `files`: mappings from a JSON file, as overlay_files(5) of illumos has them.

    plugin      the answers; which content is in force; what is said when it changes
    report      what the operator is told
    watcher     a thread that sees that a file has changed
    pace        work in threads that leaves the event loop its turns
    loader      reads a file, step by step
    document    a JSON object of any size, member by member; pure
    content     what the members mean, held in little memory; pure
    difference  what another content says otherwise; pure
    errors      what is wrong with a file, and where

A file is read as a whole and then takes the place of the one before, or is refused and changes
nothing. What the new one says otherwise is invalidated, not set: a row is only written for a MAC
that somebody sends to, and frames to a MAC whose row has gone are looked up, so none is lost.
"""

from varpd.plugins.files.plugin import FilesPlugin

__all__ = ["FilesPlugin"]
