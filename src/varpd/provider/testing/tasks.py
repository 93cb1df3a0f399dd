"""The tasks that an instance starts through `FakeHost`."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any


class FakeTasks:
    """Tasks of one instance, asked for from any thread, from `run` until `end`."""

    def __init__(self) -> None:
        """Begin without a loop: what is started before `run` waits."""
        self.faults: list[BaseException] = []
        """What left the tasks."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = False
        self._waiting: list[tuple[Coroutine[Any, Any, None], str]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run tasks on `loop` from now on."""
        with self._lock:
            self._loop = loop
            waiting, self._waiting = self._waiting, []
        for coroutine, name in waiting:
            loop.call_soon(self._begin, coroutine, name)

    def start(self, coroutine: Coroutine[Any, Any, None], name: str) -> bool:
        """Start a task; return False if that is not done any more."""
        with self._lock:
            if self._ending:
                coroutine.close()
                return False
            if self._loop is None:
                self._waiting.append((coroutine, name))
            else:
                self._loop.call_soon_threadsafe(self._begin, coroutine, name)
            return True

    async def end(self) -> None:
        """End all tasks, and start none any more."""
        self.refuse()
        # What was started just before has its turn first, so that it is ended, too.
        await asyncio.sleep(0)
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def refuse(self) -> None:
        """Start none any more, nor those that wait."""
        with self._lock:
            self._ending = True
            waiting, self._waiting = self._waiting, []
        for coroutine, _ in waiting:
            coroutine.close()

    def _begin(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        assert self._loop is not None  # noqa: S101 - `run` was called
        task = self._loop.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.faults.append(fault)
