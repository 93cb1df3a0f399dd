"""How late the event loop is: whatever holds it holds every overlay's misses."""

import asyncio
import time
from typing import Final

from varpd.engine.histogram import Distribution, Histogram

INTERVAL: Final = 0.2
"""Seconds between two looks."""


class LoopLag:
    """Wakes up now and then, between `start` and `stop`, and counts how late it was."""

    def __init__(self, interval: float = INTERVAL) -> None:
        """Take the seconds between two looks."""
        self._interval = interval
        self._histogram = Histogram()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    @property
    def distribution(self) -> Distribution:
        """Seconds by which the looks so far came late."""
        return self._histogram.distribution

    def start(self) -> None:
        """Begin on the running event loop."""
        self._arm(asyncio.get_running_loop())

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop's own clock may stand still within a turn.
        self._due = time.monotonic() + self._interval
        self._timer = loop.call_later(self._interval, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._histogram.observe(time.monotonic() - self._due)
        self._arm(loop)
