"""Asking once more what the log has said, when no server can still have an old answer.

A Portolan answers from a cache for ten seconds: who asks because of a log record may be told what
was true before it. So each record is done a second time, later.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from varpd.plugins.svp.log_messages import Record

STALE: Final = 11.0
"""Seconds after which a server's cache has nothing of before a record."""


class Doubts:
    """Records to be done again, in the order of their coming."""

    def __init__(self, again: Callable[[Record], Awaitable[None]]) -> None:
        """`again` does a record; what it raises ends `work`."""
        self._again = again
        self._queue: asyncio.Queue[tuple[float, Record]] = asyncio.Queue()

    def put(self, record: Record) -> None:
        """Have a record done again."""
        self._queue.put_nowait((asyncio.get_running_loop().time() + STALE, record))

    async def work(self) -> None:
        """Do what is due, until cancelled."""
        while True:
            due, record = await self._queue.get()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            await self._again(record)
