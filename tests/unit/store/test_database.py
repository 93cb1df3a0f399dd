"""The tables, beyond what the contract of stores says: failures, and what cannot be ours."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.stores import BLUE, overlay
from varpd.store.base import Phase, StoreError
from varpd.store.database import Database
from varpd.store.sqlite import FILE_NAME


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / FILE_NAME)) as made:
        yield made


def spoil(tmp_path: Path, statement: str) -> None:
    """Change the file as varpd never would."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute(statement)


def limit(database: Database, pages: int) -> None:
    """Let the file have no more pages than this, as a full disk would."""
    database._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_is_called_by_its_name_and_nothing_changes(database: Database) -> None:
    database.create(BLUE)
    limit(database, 1)
    with pytest.raises(StoreError) as caught:
        database.create(overlay("red", state={"text": "x" * 100_000}))
    assert "is full; nothing was changed" in str(caught.value)
    assert database.load() == [BLUE]
    limit(database, 1_000_000)
    database.create(overlay("red"))
    assert [item.name for item in database.load()] == ["blue", "red"]


def test_a_change_of_several_values_is_whole_or_not_at_all(database: Database) -> None:
    database.create(overlay("blue", properties={"a": 1}))
    limit(database, 1)
    with pytest.raises(StoreError):
        database.set_properties("blue", {"a": 2, "b": "x" * 100_000})
    assert database.load() == [overlay("blue", properties={"a": 1})]


def test_a_value_that_cannot_be_written_down_changes_nothing(database: Database) -> None:
    database.create(overlay("blue"))
    with pytest.raises(TypeError):
        database.save_state("blue", {"a": object()})
    database.set_phase("blue", Phase.DELETING)
    assert database.load() == [overlay("blue", phase=Phase.DELETING)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE overlay SET phase = 'dreaming'",
        "UPDATE overlay SET mode = 'both'",
        "UPDATE overlay SET vnetid = 'seven'",
        "UPDATE property SET value = '{'",
        "UPDATE property SET value = '[]'",
        "UPDATE state SET content = '7'",
        "DROP TABLE entry",
    ],
)
def test_what_varpd_cannot_have_written_is_refused(
    database: Database, tmp_path: Path, statement: str
) -> None:
    database.create(BLUE)
    spoil(tmp_path, statement)
    with pytest.raises(StoreError, match=FILE_NAME):
        database.load()
