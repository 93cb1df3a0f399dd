"""Tells the service manager that the event loop turns; if it does not, the daemon is restarted.

This is the last resort against a plugin that blocks the loop for good. What is blocked for a
second only is told by `varpd.daemon.watchdog`, which can also say by whom.
"""

import asyncio
import os
from typing import Final

from varpd.daemon.notify import Notifier

INTERVAL_VARIABLE: Final = "WATCHDOG_USEC"
"""Environment variable with the microseconds without a sign of life after which the daemon is
killed (sd_watchdog_enabled(3))."""

PROCESS_VARIABLE: Final = "WATCHDOG_PID"
"""Environment variable with the process that this is for; any if it is not set."""


def interval_from_environment() -> float | None:
    """Return after how many seconds the service manager takes the daemon for dead, None: never."""
    process = os.environ.get(PROCESS_VARIABLE, "")
    if process and process != str(os.getpid()):
        return None
    text = os.environ.get(INTERVAL_VARIABLE, "")
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        return None
    return int(text) / 1_000_000


class Heartbeat:
    """Gives a sign of life from the event loop, between `start` and `stop`."""

    def __init__(self, notifier: Notifier, interval: float | None) -> None:
        """Take the seconds after which silence means death; None: nobody listens."""
        self._notifier = notifier
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin on the running event loop."""
        if self._interval is not None:
            self._beat(asyncio.get_running_loop(), self._interval / 2)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self, loop: asyncio.AbstractEventLoop, pause: float) -> None:
        self._notifier.alive()
        self._timer = loop.call_later(pause, self._beat, loop, pause)
