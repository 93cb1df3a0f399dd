"""Work in threads that leaves the event loop its turns and ends when nobody waits for it."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from varpd.provider import ProviderError

_PAUSE: Final = 50e-6
"""Seconds that a pause lasts: enough for the event loop to take the interpreter lock."""

_T = TypeVar("_T")


class Halted(ProviderError):  # noqa: N818 - no error: nobody waits for the work any more
    """Work in a thread was called off."""

    def __str__(self) -> str:
        return "the instance stops"


class Pace:
    """What work in a thread calls every millisecond or so, to let others have the interpreter.

    Raises:
        Halted: when called; nobody waits for the work any more.
    """

    def __init__(self) -> None:
        self._halted = threading.Event()

    def halt(self) -> None:
        """Call the work off; may be called from any thread, also when it is done."""
        self._halted.set()

    def __call__(self) -> None:
        if self._halted.is_set():
            raise Halted
        time.sleep(_PAUSE)


class Threads:
    """An instance's work in threads. All methods are called from the event loop."""

    def __init__(self) -> None:
        self._paces: set[Pace] = set()
        self._halted = False

    async def run(self, work: Callable[[Pace], _T]) -> _T:
        """Do work in a thread and return its result; it is called off if this is cancelled.

        Raises:
            Halted: `halt` was called.
        """
        if self._halted:
            raise Halted
        pace = Pace()
        self._paces.add(pace)
        try:
            return await asyncio.to_thread(work, pace)
        finally:
            pace.halt()
            self._paces.discard(pace)

    def halt(self) -> None:
        """Call off all that is being done, and take on nothing more."""
        self._halted = True
        for pace in self._paces:
            pace.halt()
