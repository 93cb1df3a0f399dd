"""How an instance is: its causes, with the clock and the log that `degradation` does without."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog

from varpd.daemon.degradation import FAULT_QUIET, Cause, CauseKind, Degradation

_LOGGED: Final = 10
"""Faults logged in `FAULT_QUIET` seconds; the rest is counted: a plugin that fails for every
frame must not fill the disk."""

_RECENT: Final = 32
"""Last things that are kept for the report of a panic."""


class Health:
    """The health of one instance; all methods are called from the event loop."""

    def __init__(self, overlay: str, plugin: str, changed: Callable[[], None]) -> None:
        """Take whose health it is, and what is called when the causes changed."""
        self.faults = 0
        """Faults so far."""
        self.recent: deque[str] = deque(maxlen=_RECENT)
        """What was last said of the instance."""
        self.log: Any = structlog.get_logger().bind(overlay=overlay, plugin=plugin)
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._degradation = Degradation()
        self._timer: asyncio.TimerHandle | None = None
        self._window = float("-inf")
        self._logged = 0

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why the instance works badly, the gravest first."""
        self._degradation.advance(self._loop.time())
        return self._degradation.causes

    def fault(self, message: str, exc: BaseException | None = None) -> None:
        """Count a fault, log it, and degrade the instance."""
        self.faults += 1
        self.recent.append(message)
        now = self._loop.time()
        if now - self._window > FAULT_QUIET:
            self._window, self._logged = now, 0
        self._logged += 1
        if self._logged <= _LOGGED:
            more = {"further": "counted only"} if self._logged == _LOGGED else {}
            self.log.warning("fault", message=message, exc_info=exc, **more)
        self._tell(self._degradation.fault(message, now, time.time()))

    def good(self) -> None:
        """Note that an operation went well."""
        if self._degradation.waits_for_good:
            self._degradation.good()
            self._arm()

    def degrade(self, kind: CauseKind, message: str) -> None:
        """Set a cause."""
        if self._degradation.set(kind, message, time.time()):
            self.recent.append(f"{kind.value}: {message}")
            self.log.warning("degraded", cause=kind.value, message=message)
            self._changed()

    def clear(self, *kinds: CauseKind) -> None:
        """Clear causes."""
        cleared = [kind.value for kind in kinds if self._degradation.clear(kind)]
        if cleared:
            self.log.info("no longer degraded", causes=cleared)
            self._changed()

    def condition(self, message: str | None) -> None:
        """Hear from the plugin that it works badly, or for None well."""
        if message is None:
            self.clear(CauseKind.PLUGIN)
        else:
            self.degrade(CauseKind.PLUGIN, message)

    def note(self, text: str, **values: object) -> None:
        """Log something that an operator may want to know."""
        self.recent.append(text)
        self.log.info(text, **values)

    def end(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        """See to it that the fault is cleared when its time has come."""
        deadline = self._degradation.next_deadline()
        if deadline is not None and self._timer is None:
            self._timer = self._loop.call_at(deadline, self._due)

    def _due(self) -> None:
        self._timer = None
        self._tell(self._degradation.advance(self._loop.time()))
        self._arm()

    def _tell(self, changed: bool) -> None:
        if changed:
            self._changed()
