"""Lets one at a time change an overlay, be it at work or not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from varpd.control.messages import ControlError, ErrorCode

CHANGE_TIMEOUT: Final = 10.0
"""Seconds that a change waits for another change of the same overlay."""


class Turn:
    """Whose turn it is to change one overlay."""

    def __init__(self, name: str) -> None:
        """Take the overlay's name."""
        self.name = name
        self.gone = False
        """Whether the overlay was deleted."""
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, timeout: float = CHANGE_TIMEOUT) -> AsyncIterator[None]:
        """Keep other changes away; waits for one that is under way.

        Raises:
            ControlError: that one takes too long, or the overlay was deleted meanwhile.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._lock.acquire()
        except TimeoutError as exc:
            message = f"overlay {self.name} is being changed by somebody else"
            raise ControlError(ErrorCode.BUSY, message) from exc
        try:
            if self.gone:
                raise ControlError(ErrorCode.NOT_FOUND, f"no overlay {self.name!r}", "name")
            yield
        finally:
            self._lock.release()
