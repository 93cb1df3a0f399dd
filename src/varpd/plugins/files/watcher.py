"""Watching files, wherever they are and however they are replaced.

One thread serves all instances. The kernel tells it of changes in the directories where the files
are, so a rename over a file, or a symbolic link that is turned to another file, is seen as well
as a write. Twice a second it looks for itself besides: for what the kernel does not tell, such as
changes on network file systems, behind a link into another directory, and a directory that comes
back.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from watchfiles import watch
from watchfiles._rust_notify import WatchfilesRustInternalError

from varpd.plugins.files.loader import Signature, signature_of

_LOOK: Final = 0.5
"""Seconds between two looks where the kernel tells nothing."""

_QUIET_MS: Final = 20
"""A change is told when nothing more has happened for that long, ..."""

_AT_LAST_MS: Final = 200
"""... or after that time."""


@dataclass(eq=False, slots=True)
class Subscription:
    """Somebody who wants to know when a file changes."""

    path: str
    """Absolute path of the file, which need not exist."""

    seen: Signature | None
    """The state of the file that is known; None: it is not there."""

    changed: asyncio.Event
    """What is set when it has another one."""

    loop: asyncio.AbstractEventLoop
    """Where `changed` is waited for."""

    watcher: "Watcher"
    """Who looks."""

    def end(self) -> None:
        """Be told no more; a second time does nothing."""
        self.watcher.leave(self)


class Watcher:
    """Tells of changed files. All methods are called from event loops, none waits."""

    def __init__(self) -> None:
        self._subscriptions: tuple[Subscription, ...] = ()
        self._renew = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def follow(self, path: str, seen: Signature | None, changed: asyncio.Event) -> Subscription:
        """Set `changed` from now on whenever the file is in another state than `seen`."""
        subscription = Subscription(path, seen, changed, asyncio.get_running_loop(), self)
        self._subscriptions += (subscription,)
        self._renew.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="files watcher", daemon=True)
            self._thread.start()
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Tell no more; a second time does nothing."""
        self._subscriptions = tuple(
            other for other in self._subscriptions if other is not subscription
        )
        self._renew.set()

    def close(self) -> None:
        """End the thread, a moment later."""
        self._subscriptions = ()
        self._closed = True
        self._renew.set()

    def _run(self) -> None:
        while True:
            self._renew.clear()
            if self._closed:
                return
            try:
                self._watch()
            except (OSError, WatchfilesRustInternalError):
                # A directory went away meanwhile, or the kernel grants no more watches.
                self._look(())
                self._renew.wait(_LOOK)

    def _watch(self) -> None:
        """Watch until there are other directories to be watched."""
        directories = self._directories()
        if not directories:
            self._look(())
            self._renew.wait(_LOOK)
            return
        for changes in watch(
            *directories,
            watch_filter=None,
            debounce=_AT_LAST_MS,
            step=_QUIET_MS,
            stop_event=self._renew,
            rust_timeout=int(_LOOK * 1000),
            yield_on_timeout=True,
            recursive=False,
        ):
            self._look(path for _, path in changes)
            if self._directories() != directories:
                return

    def _directories(self) -> dict[str, tuple[int, int]]:
        """Return the directories that there are of those where the files are, and which."""
        found = {}
        for directory in {os.path.dirname(item.path) for item in self._subscriptions}:  # noqa: PTH120
            with contextlib.suppress(OSError):
                status = os.stat(directory)  # noqa: PTH116
                found[directory] = status.st_dev, status.st_ino
        return found

    def _look(self, changed: Iterable[str]) -> None:
        """Tell of files that were `changed`, and of those that look otherwise than before."""
        told = set(changed)
        for item in self._subscriptions:
            seen = _signature(item.path)
            # Two writes within a tick of the file system's clock leave the same signature.
            if seen == item.seen and item.path not in told:
                continue
            item.seen = seen
            with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody listens
                item.loop.call_soon_threadsafe(item.changed.set)


def _signature(path: str) -> Signature | None:
    try:
        return signature_of(os.stat(path))  # noqa: PTH116
    except OSError:
        return None
