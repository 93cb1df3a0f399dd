"""Keeps the last good state of an instance, what `save` returned, here and in the store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from varpd.daemon.calls import OperationFailed
from varpd.daemon.degradation import CauseKind
from varpd.daemon.health import Health
from varpd.daemon.life import Life
from varpd.daemon.tasks import Tasks
from varpd.provider.errors import ProviderError
from varpd.provider.plugin import State
from varpd.store.base import StoreError

Keep = Callable[[State | None], Awaitable[None]]
"""Stores a state, None to forget it; raises `StoreError` if that cannot be done."""

INTERVAL: Final = 1.0
"""Seconds between saves that the plugin asks for."""

PAUSE: Final = 10.0
"""Seconds after which a state that could not be stored is saved again."""


async def keep_nothing(_: State | None) -> None:
    """Store nothing; a `Keep`."""


class Saver:
    """Saves one instance, one save at a time."""

    def __init__(
        self,
        name: str,
        health: Health,
        tasks: Tasks,
        changed: Callable[[], None],
        keep: Keep = keep_nothing,
    ) -> None:
        """Take whose state it is, what is called when there is another one, what stores it."""
        self.state: State | None = None
        """What the last good `save` returned."""
        self._name = name
        self._health = health
        self._tasks = tasks
        self._changed = changed
        self._keep = keep
        self._is_kept = True
        self._forgetting = False
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    async def save(self, life: Life, timeout: float) -> None:
        """Save, unless the life is not at work; a save that fails leaves the last good state."""
        async with self._lock:
            if self._forgetting or not life.at_work:
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
            if state != self.state or not self._is_kept:
                self.state = state
                await self._store(state, life, timeout)
                self._changed()
            if self._is_kept:
                self._health.clear(CauseKind.SAVE)

    async def forget(self) -> None:
        """Forget the state, and save nothing until `resume`.

        Raises:
            StoreError: it cannot be forgotten; nothing has changed.
        """
        async with self._lock:
            await self._keep(None)
            self.state = None
            self._is_kept = self._forgetting = True

    def resume(self) -> None:
        """Save again."""
        self._forgetting = False

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

    async def _store(self, state: State, life: Life, timeout: float) -> None:
        try:
            await self._keep(state)
        except StoreError as exc:
            self._is_kept = False
            self._health.degrade(CauseKind.SAVE, str(exc))
            if self._timer is None:
                self._timer = self._loop.call_later(PAUSE, self._due, life, timeout)
        else:
            self._is_kept = True

    def _due(self, life: Life, timeout: float) -> None:
        self._timer = None
        self._tasks.start(self.save(life, timeout), f"{self._name} save")
