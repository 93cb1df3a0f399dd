"""Threads for plugins whose operations block.

Not a `ThreadPoolExecutor`: that one is joined when the interpreter exits, so a plugin that sleeps
for ever would hold up the exit of the daemon.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

MAX_THREADS: Final = 8
"""Threads of an instance; one that is stuck costs the others nothing but its place."""

MAX_WAITING: Final = 131_072
"""Jobs that wait for a thread: twice as many as `max_lookups` lets questions be in progress.

So whatever frames bring finds a place, and a `save` or `set_property` besides.
"""


class Workers:
    """Daemon threads of one instance, made when they are needed."""

    def __init__(self, name: str, threads: int = MAX_THREADS, waiting: int = MAX_WAITING) -> None:
        """Take what the threads are called, and the bounds."""
        self._name = name
        self._max_threads = threads
        self._max_waiting = waiting
        self._changed = threading.Condition(threading.Lock())
        self._jobs: deque[Callable[[], None]] = deque()
        self._threads = 0
        self._idle = 0
        self._ended = False

    def submit(self, job: Callable[[], None]) -> bool:
        """Run `job`, which raises nothing, in a thread; return False if too many wait already."""
        with self._changed:
            if self._ended or len(self._jobs) >= self._max_waiting:
                return False
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or self._threads >= self._max_threads:
                self._changed.notify()
                return True
            self._threads += 1
            number = self._threads
        threading.Thread(target=self._run, name=f"{self._name}-{number}", daemon=True).start()
        return True

    def end(self) -> None:
        """Let the threads end when nothing is left to do; nobody waits for them."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()
            # Not kept while waiting for the next: it may hold a whole plugin.
            del job

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._idle += 1
            while not self._jobs and not self._ended:
                self._changed.wait()
            self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._threads -= 1
            return None
