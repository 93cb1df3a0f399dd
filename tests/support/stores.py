"""Every kind of store, and what is put into it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from varpd.store.base import Phase, Store, StoredOverlay
from varpd.store.memory import MemoryStore
from varpd.store.sqlite import FILE_NAME, SqliteStore

BLUE: Final = StoredOverlay(
    name="blue",
    vnetid=2**64 - 1,
    number=3,
    encapsulation="vxlan",
    search="files",
    mode="dynamic",
    boot="b00t",
    phase=Phase.MAKING,
    properties={"mtu": 1400, "files/config": "/etc/blüe,json", "a/large": 2**64 - 1, "a/neg": -5},
    defaults={"mtu": 1300, "vxlan/listen_ip": "192.0.2.1"},
    entries={"02:00:00:00:00:01": "192.0.2.2:4789", "02:00:00:00:00:02": "drop"},
    state={"version": 1, "nested": {"list": [1, 2.5, None, True, "ü"]}},
)
"""An overlay with something in every place."""

Open = Callable[[], AbstractAsyncContextManager[Store]]
"""Opens the same store, again and again."""


def overlay(name: str, **values: Any) -> StoredOverlay:
    """Return an overlay with nothing but its name, and `values`."""
    plain = StoredOverlay(name, 7, 1, "vxlan", "probe", "dynamic")
    return structs.replace(plain, **values)


def memory_stores() -> Open:
    """Return what opens one store in memory."""
    store = MemoryStore()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        yield store

    return opened


def sqlite_stores(directory: Path) -> Open:
    """Return what opens one file, each time anew."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        store = await asyncio.to_thread(SqliteStore, directory / FILE_NAME)
        try:
            yield store
        finally:
            await asyncio.to_thread(store.close)

    return opened
