"""Sees that the event loop is blocked, and by whom.

A plugin that blocks the loop cannot be stopped, only found: a thread watches a heartbeat of the
loop. When it fails, the thread logs what the loop's thread is doing, and the instance whose
operation runs there has a fault. Frames on resolved paths go on meanwhile: the kernel has them.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import structlog

LIMIT: Final = 1.0
"""Seconds without a heartbeat that count as blocked."""

_BEATS: Final = 4
"""Heartbeats in that time."""

_log: Final = structlog.get_logger()


class Culprit(Protocol):
    """Somebody whose code runs on the loop."""

    def blocked_loop(self, seconds: float) -> None:
        """Hear, on the loop, that it was blocked for `seconds` or longer by an own operation."""


class Watchdog:
    """Watches one event loop from a thread of its own, between `start` and `stop`."""

    def __init__(self, limit: float = LIMIT) -> None:
        """Take the seconds without a heartbeat that count as blocked."""
        self.running: Culprit | None = None
        """Whose plain operation runs on the loop just now; set and reset by who calls it."""
        self._limit = limit
        self._owners: WeakKeyDictionary[asyncio.Task[Any], Culprit] = WeakKeyDictionary()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ident = 0
        self._ended = threading.Event()
        self._beat = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._ended = threading.Event()
        self._pulse()
        threading.Thread(
            target=self._watch, args=(self._ended,), name="varpd-watchdog", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop to watch; the thread ends by itself."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def owns(self, task: asyncio.Task[Any], culprit: Culprit) -> None:
        """Say whose code runs in `task`."""
        self._owners[task] = culprit

    def _pulse(self) -> None:
        assert self._loop is not None  # noqa: S101 - start() set it, said to the type checker
        self._beat = time.monotonic()
        self._timer = self._loop.call_later(self._limit / _BEATS, self._pulse)

    def _watch(self, ended: threading.Event) -> None:
        reported = 0.0
        woke = time.monotonic()
        while not ended.wait(self._limit / _BEATS):
            beat, slept, woke = self._beat, woke, time.monotonic()
            # Who was stopped as a whole process knows nothing about the loop.
            if woke - slept > self._limit or woke - beat <= self._limit or beat == reported:
                continue
            reported = beat
            self._report(woke - beat)

    def _report(self, seconds: float) -> None:
        loop = self._loop
        frame = sys._current_frames().get(self._ident)
        if loop is None or frame is None:
            return
        culprit = self.running
        if culprit is None and (task := asyncio.current_task(loop)) is not None:
            culprit = self._owners.get(task)
        stack = "".join(traceback.format_stack(frame))
        _log.error("event loop blocked", seconds=round(seconds, 1), by=str(culprit), stack=stack)
        if culprit is not None:
            self._tell(loop, culprit.blocked_loop, seconds)

    def _tell(
        self, loop: asyncio.AbstractEventLoop, tell: Callable[[float], None], seconds: float
    ) -> None:
        try:
            loop.call_soon_threadsafe(tell, seconds)
        except RuntimeError:
            _log.debug("event loop ended while it was blocked")
