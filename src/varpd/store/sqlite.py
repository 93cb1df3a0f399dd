"""The store in a file of SQLite, used by a thread of its own.

A commit waits for the disk; the event loop never does. One thread, so changes take place in the
order in which they were asked for.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from varpd.provider.plugin import State
from varpd.store.base import Phase, StoredOverlay, StoredPort, StoredValue
from varpd.store.database import Database

FILE_NAME: Final = "varpd.db"
"""Name of the file in the state directory."""

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """A `varpd.store.base.Store` in a file."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; not to be called from an event loop, because that waits.

        Raises:
            StoreError: it is damaged, newer than this varpd, or cannot be had; it is as it was.
        """
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        try:
            self._database = self._thread.submit(Database, path).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def close(self) -> None:
        """Finish what was asked for, and let go of the file; waits for the disk."""
        self._thread.submit(self._database.close)
        self._thread.shutdown()

    async def load(self) -> list[StoredOverlay]:
        """See `Store.load`."""
        return await self._do(self._database.load)

    async def create(self, overlay: StoredOverlay) -> None:
        """See `Store.create`."""
        await self._do(self._database.create, overlay)

    async def set_phase(self, name: str, phase: Phase) -> None:
        """See `Store.set_phase`."""
        await self._do(self._database.set_phase, name, phase)

    async def set_properties(self, name: str, values: Mapping[str, StoredValue | None]) -> None:
        """See `Store.set_properties`."""
        await self._do(self._database.set_properties, name, values)

    async def set_entry(self, name: str, mac: str, target: str) -> None:
        """See `Store.set_entry`."""
        await self._do(self._database.set_entry, name, mac, target)

    async def delete_entry(self, name: str, mac: str) -> None:
        """See `Store.delete_entry`."""
        await self._do(self._database.delete_entry, name, mac)

    async def set_port(self, name: str, port: str, known: StoredPort | None) -> None:
        """See `Store.set_port`."""
        await self._do(self._database.set_port, name, port, known)

    async def save_state(self, name: str, state: State | None) -> None:
        """See `Store.save_state`."""
        await self._do(self._database.save_state, name, state)

    async def delete(self, name: str) -> None:
        """See `Store.delete`."""
        await self._do(self._database.delete, name)

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have the thread do something; who is cancelled meanwhile hears of it when it is done."""
        running = self._thread.submit(work, *args, **kwargs)
        future = asyncio.wrap_future(running)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            if not future.cancelled():
                future.exception()  # nobody else will ask
            raise
