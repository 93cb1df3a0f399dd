"""The store in memory, beyond what the contract of stores says of it."""

from collections.abc import Awaitable, Callable

import pytest

from support.stores import overlay
from varpd.store.base import Phase, StoreError
from varpd.store.memory import MemoryStore


async def test_it_can_begin_with_overlays() -> None:
    store = MemoryStore(overlay("red"), overlay("blue"))
    assert await store.load() == [overlay("blue"), overlay("red")]


async def test_it_refuses_every_change_on_demand() -> None:
    store = MemoryStore(overlay("blue"))
    store.failure = StoreError("full")
    changes: tuple[Callable[[], Awaitable[None]], ...] = (
        lambda: store.create(overlay("red")),
        lambda: store.set_phase("blue", Phase.DELETING),
        lambda: store.set_properties("blue", {"a": 1}),
        lambda: store.set_entry("blue", "02:00:00:00:00:01", "drop"),
        lambda: store.delete_entry("blue", "02:00:00:00:00:01"),
        lambda: store.save_state("blue", {}),
        lambda: store.delete("blue"),
    )
    for change in changes:
        with pytest.raises(StoreError, match="full"):
            await change()
    assert await store.load() == [overlay("blue")]
