"""Sees an event loop that is blocked, and the tasks and threads that are left behind."""

import asyncio
import contextlib
import importlib
import importlib.util
import sys
import threading
import traceback
from collections.abc import Generator
from typing import Any, Final

LIMIT: Final = 1.0
"""Seconds without a turn of the loop after which varpd's own watchdog objects, too."""

GRACE: Final = 5.0
"""Seconds that a thread which was told to end may take to do so."""


class Watchdog:
    """A thread that notes where the event loop of the current thread stood still.

    A context manager around what is watched, entered and left inside the loop; its thread ends by
    itself soon after.
    """

    def __init__(self, limit: float = LIMIT) -> None:
        """Take the seconds that the loop may take for one turn."""
        self.stacks: list[str] = []
        """Where the loop's thread was each time that it took longer."""
        self._limit = limit
        self._turned = threading.Event()
        self._end = threading.Event()

    def __enter__(self) -> "Watchdog":
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._turned.set()

    def _watch(self) -> None:
        while not self._end.is_set():
            self._turned.clear()
            with contextlib.suppress(RuntimeError):  # the loop was closed just now
                self._loop.call_soon_threadsafe(self._turned.set)
            if not self._turned.wait(self._limit) and not self._end.is_set():
                frame = sys._current_frames().get(self._watched)  # pyright: ignore[reportPrivateUsage]
                self.stacks.append("".join(traceback.format_stack(frame)))
                self._turned.wait()
            self._end.wait(self._limit / 10)


def no_blocking_calls() -> contextlib.AbstractContextManager[Any]:
    """Let calls that block the loop raise, if the package ``blockbuster`` is installed."""
    if importlib.util.find_spec("blockbuster") is None:
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[Any] = importlib.import_module(
        "blockbuster"
    ).blockbuster_ctx()
    return context


@contextlib.contextmanager
def threads_left(grace: float | None = None) -> Generator[list[str], None, None]:
    """Give the names of the threads that outlive the ``with`` block, known after it."""
    deadline = GRACE if grace is None else grace
    before = set(threading.enumerate())
    names: list[str] = []
    yield names
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(deadline)
        if thread.is_alive():
            names.append(thread.name)


def tasks_left(before: set[asyncio.Task[Any]]) -> list[str]:
    """Return the names of the tasks of the running loop that are not done, but for `before`."""
    left = asyncio.all_tasks() - before
    return sorted(task.get_name() for task in left)
