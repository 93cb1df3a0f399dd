"""Opening the database file: it is made, or looked at before anything touches it.

What is no good database of ours is refused and left as it is, byte for byte: the overlays that it
may still hold are worth more than a quick start.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from varpd.store import migrations
from varpd.store.base import StoreError
from varpd.store.migrations import Step

APPLICATION: Final = 0x76617270
"""The ``application_id`` of our databases, in ASCII ``varp``."""

MODE: Final = 0o600
"""Permissions of the file: plugins may save what others must not see."""

LOG_SIZE: Final = 4 << 20
"""Bytes to which the write-ahead log is cut back after it has grown."""

_CURE: Final = "restore it from a copy, or move it away to begin without overlays"
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FULL: Final = (sqlite3.SQLITE_FULL,)
_READ_ONLY: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)


def open_database(path: Path, steps: Sequence[Step] = migrations.STEPS) -> sqlite3.Connection:
    """Return a connection to the database, for the thread that calls; it is in autocommit mode.

    Args:
        path: the file; it is made if it is not there.
        steps: the versions that there are.

    Raises:
        StoreError: it cannot be made, or is no good database of ours; it is as it was.
    """
    try:
        if path.exists():
            _check(path, len(steps))
        else:
            _make(path, steps)
        return _connect(path, steps)
    except sqlite3.Error as exc:
        raise refused(path, exc, "varpd does not start") from exc
    except OSError as exc:
        raise StoreError(f"{path} cannot be opened: {exc.strerror or exc}") from exc


def refused(path: Path, exc: sqlite3.Error, consequence: str) -> StoreError:
    """Return what SQLite said as a sentence.

    Args:
        path: the file.
        exc: what it said.
        consequence: what that means for what was asked for.
    """
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
    if code in _FULL:
        return StoreError(f"the file system of {path} is full; {consequence}")
    if code in _DAMAGED:
        return StoreError(f"{path} is damaged ({exc}); {consequence}: {_CURE}")
    if code in _READ_ONLY:
        return StoreError(f"{path} cannot be written ({exc}); {consequence}")
    return StoreError(f"{path}: {exc}; {consequence}")


def _check(path: Path, newest: int) -> None:
    """Look at a file that is there, without writing to it.

    Raises:
        StoreError: it is not ours, is damaged, or comes from a newer varpd.
        sqlite3.Error: likewise, in its own words.
    """
    if path.stat().st_size == 0:
        raise StoreError(f"{path} is empty, so it was damaged; {_CURE}")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION:
            raise StoreError(f"{path} is a database of another program; move it away")
        version = migrations.version_of(connection)
        if version > newest:
            raise StoreError(
                f"{path} was written by a newer varpd (version {version} of the database; this "
                f"one knows {newest}): start that one, or {_CURE}"
            )
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StoreError(f"{path} is damaged ({found}); varpd does not start: {_CURE}")


def _make(path: Path, steps: Sequence[Step]) -> None:
    """Make a new file, which has its name only when it is whole.

    Raises:
        StoreError: parts of an older one are there.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise StoreError(
            f"{path} is gone, but {log.name} beside it holds changes of it: {_CURE} (then move "
            f"{log.name} away, too)"
        )
    new = path.with_name(f"{path.name}.new")
    for stale in (new, new.with_name(f"{new.name}-journal")):
        stale.unlink(missing_ok=True)
    handle = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            migrations.migrate(connection, steps)
        os.fsync(handle)
    finally:
        os.close(handle)
    new.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _connect(path: Path, steps: Sequence[Step]) -> sqlite3.Connection:
    path.chmod(MODE)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_SIZE}")
        migrations.migrate(connection, steps)
    except BaseException:
        connection.close()
        raise
    return connection
