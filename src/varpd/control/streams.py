"""Answers that come by and by: what is told for as long as the caller listens.

A `Feed` stands between what happens and one caller. It never makes anybody wait: where the caller
is slower than what happens, the newest is lost and counted, and who makes the stream tells so. A
stream ends when its chunks end. The server calls `Stream.close` once the caller has gone or the
server stops; what the chunks still bring after that, such as a last word, is sent if it can be.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")

JSON_LINES: Final = "application/x-ndjson"
"""Media type of one JSON object a line."""


def _nothing() -> None:
    """End nothing: the chunks end by themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """An answer that comes by and by."""

    media: str
    """The media type, as the header Content-Type has it."""

    chunks: AsyncGenerator[bytes, None]
    """What is answered, piece by piece."""

    close: Callable[[], None] = _nothing
    """Has the chunks end soon; may be called more than once, from the event loop."""


class Feed(Generic[Item]):
    """What waits to be taken by one caller, in order and within bounds; for the event loop."""

    def __init__(self, items: int, size: int, size_of: Callable[[Item], int] = lambda _: 1) -> None:
        """Begin empty.

        Args:
            items: how many may wait.
            size: how large all that wait may be together, in what `size_of` measures.
            size_of: how large an item is.
        """
        self.lost = 0
        """Items that there was no room for."""

        self._bounds = items, size
        self._size_of = size_of
        self._waiting: list[Item] = []
        self._size = 0
        self._closed = False
        self._wake = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken in."""
        return self._closed

    def put(self, item: Item) -> bool:
        """Add an item; return False if it is lost, or nobody listens any more."""
        if self._closed:
            return False
        items, size = self._bounds
        more = self._size_of(item)
        if len(self._waiting) >= items or self._size + more > size:
            self.lost += 1
            return False
        self._waiting.append(item)
        self._size += more
        self._wake.set()
        return True

    def close(self) -> None:
        """Take in nothing more; what waits can still be taken."""
        self._closed = True
        self._wake.set()

    async def take(self) -> list[Item]:
        """Wait until there is something and return all of it; nothing: it is closed and empty."""
        await self._wake.wait()
        taken, self._waiting = self._waiting, []
        self._size = 0
        if not self._closed:
            self._wake.clear()
        return taken
