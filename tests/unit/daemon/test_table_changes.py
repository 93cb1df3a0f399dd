"""The administrator's entries: stored, then in force."""

from collections.abc import AsyncIterator

import pytest

from support import overlays as support
from support.overlays import Parts, request
from support.probes import ONE
from varpd.control.messages import ControlError, ErrorCode
from varpd.engine.events import TargetSet
from varpd.store.base import StoreError

MAC = "02:00:00:00:00:01"
BYTES = bytes.fromhex(MAC.replace(":", ""))


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        await made.service.create(request())
        yield made


async def entries(parts: Parts) -> dict[str, str]:
    (record,) = await parts.store.load()
    return dict(record.entries)


async def test_an_entry_is_stored_under_one_spelling_of_its_mac(parts: Parts) -> None:
    await parts.service.set_entry("blue", "2:0:0:0:0:1", "192.0.2.9:4789")
    assert await entries(parts) == {MAC: "192.0.2.9:4789"}
    await parts.service.set_entry("blue", "02-00-00-00-00-01", "drop")
    assert await entries(parts) == {MAC: "drop"}
    await parts.service.delete_entry("blue", MAC)
    assert await entries(parts) == {}


async def test_a_flush_leaves_the_entries_in_the_store(parts: Parts) -> None:
    await parts.service.set_entry("blue", MAC, "drop")
    await parts.service.flush("blue")
    assert await entries(parts) == {MAC: "drop"}


async def test_what_the_plugin_said_is_forgotten_and_never_was_in_the_store(parts: Parts) -> None:
    parts.runner.feed(TargetSet("blue", BYTES, ONE))
    assert await entries(parts) == {}
    await parts.service.delete_entry("blue", MAC)
    assert await parts.service.targets("blue") == []


async def test_an_entry_that_cannot_be_stored_is_not_in_force(parts: Parts) -> None:
    parts.store.failure = StoreError("the file system is full; nothing was changed")
    with pytest.raises(ControlError, match="is full; nothing was changed") as caught:
        await parts.service.set_entry("blue", MAC, "drop")
    assert caught.value.code is ErrorCode.FAILED
    assert await parts.service.targets("blue") == []


async def test_an_entry_that_cannot_be_forgotten_stays_in_force(parts: Parts) -> None:
    await parts.service.set_entry("blue", MAC, "drop")
    parts.store.failure = StoreError("the file system is full; nothing was changed")
    with pytest.raises(ControlError, match="is full"):
        await parts.service.delete_entry("blue", MAC)
    (entry,) = await parts.service.targets("blue")
    assert entry.state == "blocked"
