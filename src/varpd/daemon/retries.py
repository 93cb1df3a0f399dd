"""Tries again and again to do for an overlay what could not be done for it."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from varpd.control.messages import ControlError
from varpd.daemon.backoff import Backoff
from varpd.daemon.tasks import Tasks
from varpd.daemon.waiting import Waiting

Attempt = Callable[[Waiting], Awaitable[None]]
"""Does it, in the overlay's turn; raises `ControlError` if it cannot."""

Sleep = Callable[[float], Awaitable[None]]

_log = structlog.get_logger()


class Retries:
    """One loop for each overlay that waits, until the attempt succeeds or somebody stops it."""

    def __init__(
        self,
        attempt: Attempt,
        tasks: Tasks,
        sleep: Sleep = asyncio.sleep,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        """Take what is tried, whose tasks the loops are, and the clock and chance between."""
        self._attempt = attempt
        self._tasks = tasks
        self._sleep = sleep
        self._backoff = backoff
        self._loops: dict[str, asyncio.Task[None]] = {}

    def start(self, waiting: Waiting, *, now: bool) -> None:
        """Begin with the attempts, the first `now` or after a while."""
        if waiting.name not in self._loops:
            work = self._keep_trying(waiting, now=now)
            self._loops[waiting.name] = self._tasks.start(work, f"restore {waiting.name}")

    async def stop(self, name: str) -> None:
        """Give up an overlay's attempts; one in progress is undone before this returns."""
        loop = self._loops.pop(name, None)
        if loop is not None:
            loop.cancel()
            await asyncio.wait({loop})

    async def end(self) -> None:
        """Give up all attempts."""
        loops = set(self._loops.values())
        self._loops.clear()
        for loop in loops:
            loop.cancel()
        if loops:
            await asyncio.wait(loops)

    async def _keep_trying(self, waiting: Waiting, *, now: bool) -> None:
        pauses = self._backoff()
        if not now:
            await self._sleep(pauses.next())
        while not await self._tried(waiting):
            await self._sleep(pauses.next())
        if self._loops.get(waiting.name) is asyncio.current_task():
            del self._loops[waiting.name]

    async def _tried(self, waiting: Waiting) -> bool:
        """Try once; return whether nothing is left to do."""
        try:
            async with waiting.turn.taken():
                await self._attempt(waiting)
        except ControlError as exc:
            if waiting.turn.gone:
                return True
            self._note(waiting, str(exc))
        except Exception as exc:
            # A fault of ours, or of a plugin that was not caught: the overlay stays defined.
            _log.exception("internal error", where="restore", overlay=waiting.name)
            self._note(waiting, f"{type(exc).__name__}: {exc}")
        else:
            return True
        finally:
            waiting.tried.set()
        return False

    def _note(self, waiting: Waiting, why: str) -> None:
        if why != waiting.why:
            what = "cannot be deleted yet" if waiting.deleting else "cannot be restored yet"
            _log.warning(f"overlay {what}", overlay=waiting.name, why=why)
            waiting.failed(why)
