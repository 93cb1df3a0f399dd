"""The one place where asyncio tasks are made: each has a name, an owner and an end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import structlog

Result = TypeVar("Result")

_END_TIMEOUT: Final = 5.0
"""Seconds that cancelled tasks may take; a plugin's that refuses to end holds nobody up longer."""

_log: Final = structlog.get_logger()


class Tasks:
    """Tasks of one owner, who ends them all."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, coroutine: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        """Run `coroutine` as a task of its own from its first step.

        It is kept until it ends; an exception that leaves it is logged.
        """
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def end(self, timeout: float = _END_TIMEOUT) -> None:
        """Cancel all tasks but the caller's, and wait until they are done.

        Args:
            timeout: seconds after which those that do not end are left behind and named in the log.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        caller = asyncio.current_task()
        while left := {task for task in self._tasks if task is not caller}:
            for task in left:
                task.cancel()
            remaining = deadline - loop.time()
            if remaining <= 0:
                names = sorted(task.get_name() for task in left)
                _log.error("tasks do not end", tasks=names)
                self._tasks -= left
                return
            await asyncio.wait(left, timeout=remaining)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            _log.error("task failed", task=task.get_name(), exc_info=exc)
