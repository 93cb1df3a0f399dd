"""The tables of the database, as the steps that lead from each version to the next.

A database's version is its ``user_version``: how many steps it has behind it. A step that was
released is never changed; another one is added behind it.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

Step = Callable[[sqlite3.Connection], None]
"""Brings a database from one version to the next, inside a transaction."""


def _first_tables(connection: sqlite3.Connection) -> None:
    # Numbers of 64 bits are kept as text: those of SQLite end at 2^63-1. Values of properties are
    # JSON. A default is one that the configuration had when the overlay was made.
    for statement in (
        """
        CREATE TABLE overlay (
            name TEXT NOT NULL PRIMARY KEY,
            vnetid TEXT NOT NULL,
            number INTEGER NOT NULL,
            encapsulation TEXT NOT NULL,
            search TEXT NOT NULL,
            mode TEXT NOT NULL,
            boot TEXT,
            phase TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE property (
            overlay TEXT NOT NULL REFERENCES overlay ON DELETE CASCADE,
            is_default INTEGER NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (overlay, is_default, name)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE entry (
            overlay TEXT NOT NULL REFERENCES overlay ON DELETE CASCADE,
            mac TEXT NOT NULL,
            target TEXT NOT NULL,
            PRIMARY KEY (overlay, mac)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE state (
            overlay TEXT NOT NULL PRIMARY KEY REFERENCES overlay ON DELETE CASCADE,
            content TEXT NOT NULL
        )
        """,
    ):
        connection.execute(statement)


def _guests_ports(connection: sqlite3.Connection) -> None:
    # The content is JSON: MAC, addresses, antispoof.
    connection.execute(
        """
        CREATE TABLE port (
            overlay TEXT NOT NULL REFERENCES overlay ON DELETE CASCADE,
            name TEXT NOT NULL,
            content TEXT NOT NULL,
            PRIMARY KEY (overlay, name)
        ) WITHOUT ROWID
        """
    )


STEPS: Final[tuple[Step, ...]] = (_first_tables, _guests_ports)
"""The step to version 1, the step to version 2, and so on."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a database; 0: it is new."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


def migrate(connection: sqlite3.Connection, steps: Sequence[Step] = STEPS) -> None:
    """Bring a database to the newest version, each step wholly or not at all.

    Args:
        connection: in autocommit mode.
        steps: all that there are.

    Raises:
        sqlite3.Error: a step failed; the database has the version before it.
    """
    for version, step in enumerate(steps[version_of(connection) :], version_of(connection) + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            step(connection)
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
