"""The thread of the store."""

import asyncio
import threading
from pathlib import Path

import pytest

from support.stores import BLUE, overlay, sqlite_stores
from varpd.store.base import StoreError
from varpd.store.sqlite import FILE_NAME, SqliteStore


def test_a_file_that_is_refused_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("rubbish")
    before = threading.active_count()
    with pytest.raises(StoreError):
        SqliteStore(tmp_path / FILE_NAME)
    assert threading.active_count() == before


async def test_a_commit_does_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    """The fixture that fails whoever blocks the loop watches."""
    async with sqlite_stores(tmp_path)() as store:
        await asyncio.gather(*(store.create(overlay(f"o{number}")) for number in range(20)))
        assert len(await store.load()) == 20


async def test_what_was_asked_for_is_done_before_the_end(tmp_path: Path) -> None:
    store = await asyncio.to_thread(SqliteStore, tmp_path / FILE_NAME)
    creating = asyncio.gather(store.create(BLUE))
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)
    await creating
    async with sqlite_stores(tmp_path)() as again:
        assert await again.load() == [BLUE]
