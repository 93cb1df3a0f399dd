"""From version to version, each step whole or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.stores import BLUE
from varpd.store import migrations
from varpd.store.database import Database
from varpd.store.sqlite import FILE_NAME


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        yield made


def add_column(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE overlay ADD COLUMN note TEXT NOT NULL DEFAULT 'old'")


def break_off(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE half (a)")
    connection.execute("CREATE TABLE overlay (a)")


def test_a_new_database_has_version_0_and_gets_all_steps(connection: sqlite3.Connection) -> None:
    assert migrations.version_of(connection) == 0
    migrations.migrate(connection)
    assert migrations.version_of(connection) == len(migrations.STEPS)


def test_what_is_up_to_date_is_left_alone(connection: sqlite3.Connection) -> None:
    migrations.migrate(connection)
    migrations.migrate(connection)
    assert migrations.version_of(connection) == len(migrations.STEPS)


def test_a_database_of_an_older_version_gets_the_missing_steps_and_keeps_its_overlays(
    tmp_path: Path,
) -> None:
    path = tmp_path / FILE_NAME
    with closing(Database(path)) as database:
        database.create(BLUE)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.migrate(connection, (*migrations.STEPS, add_column))
        assert migrations.version_of(connection) == len(migrations.STEPS) + 1
        rows = connection.execute("SELECT name, vnetid, note FROM overlay").fetchall()
        assert rows == [("blue", str(BLUE.vnetid), "old")]


def test_a_step_that_fails_changes_nothing(connection: sqlite3.Connection) -> None:
    migrations.migrate(connection)
    with pytest.raises(sqlite3.Error):
        migrations.migrate(connection, (*migrations.STEPS, add_column, break_off))
    assert migrations.version_of(connection) == len(migrations.STEPS) + 1
    tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert ("half",) not in tables


def test_the_tables_of_a_released_version_never_change(connection: sqlite3.Connection) -> None:
    """Add a step, and a line here, rather than change what is here."""
    released = {
        1: {
            "entry": ["overlay", "mac", "target"],
            "overlay": [
                *("name", "vnetid", "number", "encapsulation", "search", "mode", "boot", "phase"),
            ],
            "property": ["overlay", "is_default", "name", "value"],
            "state": ["overlay", "content"],
        }
    }
    released[2] = released[1] | {"port": ["overlay", "name", "content"]}
    assert len(released) == len(migrations.STEPS)
    for version, tables in released.items():
        migrations.migrate(connection, migrations.STEPS[:version])
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        columns = {
            name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            for (name,) in found.fetchall()
        }
        assert columns == tables
