"""Keeps the last good state of an instance: what `save` returned."""

import asyncio
from collections.abc import Callable
from typing import Final

from varpd.daemon.calls import OperationFailed
from varpd.daemon.degradation import CauseKind
from varpd.daemon.health import Health
from varpd.daemon.life import Life
from varpd.daemon.tasks import Tasks
from varpd.provider.errors import ProviderError
from varpd.provider.plugin import State

INTERVAL: Final = 1.0
"""Seconds between saves that the plugin asks for."""


class Saver:
    """Saves one instance, one save at a time."""

    def __init__(
        self, name: str, health: Health, tasks: Tasks, changed: Callable[[], None]
    ) -> None:
        """Take whose state it is, and what is called when there is another one."""
        self.state: State | None = None
        """What the last good `save` returned."""
        self._name = name
        self._health = health
        self._tasks = tasks
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    async def save(self, life: Life, timeout: float) -> None:
        """Save, unless the life is not at work; a save that fails leaves the last good state."""
        async with self._lock:
            if not life.at_work:
                return
            self._last = self._loop.time()
            try:
                state = await life.operations.save(timeout)
            except ProviderError as exc:
                self._health.fault(f"save raised {type(exc).__name__}: {exc}", exc)
                self._health.degrade(CauseKind.SAVE, str(exc))
                return
            except OperationFailed as exc:
                if life.at_work:
                    self._health.degrade(CauseKind.SAVE, str(exc))
                return
        self._health.clear(CauseKind.SAVE)
        if state != self.state:
            self.state = state
            self._changed()

    def save_soon(self, life: Life, timeout: float) -> None:
        """Save at once, or a second after the last save."""
        if self._timer is None:
            when = max(self._loop.time(), self._last + INTERVAL)
            self._timer = self._loop.call_at(when, self._due, life, timeout)

    def end(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, life: Life, timeout: float) -> None:
        self._timer = None
        self._tasks.start(self.save(life, timeout), f"{self._name} save")
