"""Opening the database: what is not good is refused, and left as it is."""

import random
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from support.stores import BLUE, overlay
from varpd.store import migrations, opening
from varpd.store.base import StoreError
from varpd.store.database import Database
from varpd.store.sqlite import FILE_NAME


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with overlays."""
    made = tmp_path / FILE_NAME
    with closing(Database(made)) as database:
        for number in range(100):
            database.create(overlay(f"o{number}", state={"text": "x" * 500}))
    return made


def refusal(path: Path) -> str:
    """Open what cannot be opened; return what is said, once it is sure that nothing changed."""
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        opening.open_database(path)
    assert path.read_bytes() == before
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_new_one_is_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(opening.open_database(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("COMMIT")
        modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in tmp_path.iterdir()}
    assert modes == dict.fromkeys((FILE_NAME, f"{FILE_NAME}-shm", f"{FILE_NAME}-wal"), 0o600)


def test_rights_that_others_have_are_taken_back(path: Path) -> None:
    path.chmod(0o644)
    opening.open_database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_written_is_on_the_disk_before_it_is_acknowledged(path: Path) -> None:
    with closing(opening.open_database(path)) as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "application_id")
        }
    full = 2
    assert settings == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "application_id": opening.APPLICATION,
    }


def test_what_a_start_that_was_broken_off_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_bytes(b"half")
    (tmp_path / f"{FILE_NAME}.new-journal").write_bytes(b"half")
    opening.open_database(tmp_path / FILE_NAME).close()
    assert [item.name for item in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"[daemon]\n" * 1000, b"SQLite format 3\0"])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    assert "restore it from a copy, or move it away" in refusal(path)


@pytest.mark.parametrize("left", [0.1, 0.5, 0.99])
def test_a_database_that_was_cut_off_is_refused(path: Path, left: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    assert "damaged" in refusal(path)


def test_a_database_with_rubbish_in_it_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8192] = random.Random(1).randbytes(8192)
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_a_database_of_a_newer_varpd_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    said = refusal(path)
    assert "newer varpd (version 99" in said
    assert f"knows {len(migrations.STEPS)}" in said


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE overlay (a)")
    assert "another program" in refusal(path)


def test_changes_of_a_database_that_is_gone_are_not_thrown_away(tmp_path: Path) -> None:
    log = tmp_path / f"{FILE_NAME}-wal"
    log.write_bytes(b"changes")
    with pytest.raises(StoreError, match=f"{FILE_NAME}-wal"):
        opening.open_database(tmp_path / FILE_NAME)
    assert [item.name for item in tmp_path.iterdir()] == [log.name]


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StoreError, match=FILE_NAME):
        opening.open_database(tmp_path / FILE_NAME)


def test_changes_that_are_still_in_the_log_are_found(path: Path, tmp_path: Path) -> None:
    """As after a kill: the log was not yet brought into the file."""
    copy = tmp_path / "copy"
    copy.mkdir()
    with closing(Database(path)) as database:
        database.create(BLUE)
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    with closing(Database(copy / FILE_NAME)) as database:
        assert BLUE in database.load()
