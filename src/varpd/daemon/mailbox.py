"""What an instance says, from any thread, until the event loop takes it.

The order is kept for each thread. The loop's own thread has a queue of its own, so that all that
an operation said can be taken before its answer goes out, however much others have said::

    operation on the loop ──► here ───┐
                                      ├─► take ─► events, in slices
    any other thread ───────► there ──┘
"""

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from varpd.provider.answers import Target

MAX_SAID: Final = 1_048_576
"""Things that wait to be taken; as many as all tables can hold targets.

A plugin's thread in a loop must not take the daemon's memory. What is said again about the same
MAC takes no further place.
"""

SLICE: Final = 256
"""Things taken in one turn of the loop: about a millisecond's work for the engine."""

Pair = tuple[bytes, Target | None]
"""A MAC and where it is now; None: what is known of it no longer holds."""


class PanicSaid(Struct, frozen=True):
    """An instance gave up."""

    message: str
    stack: str
    """Where it did so."""


class EndpointTaken(Struct, frozen=True):
    """Another host has taken over a guest that was on this one."""

    mac: bytes
    message: str


class Queue:
    """Things in order; pairs about one MAC that nothing else came between become the last one."""

    def __init__(self, limit: int) -> None:
        """Take how many may wait."""
        self._limit = limit
        self._lock = threading.Lock()
        # Ordered by a list of its own: taking from the front of a plain dict is quadratic.
        self._segments: deque[OrderedDict[bytes, Target | None] | deque[object]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put_pair(self, mac: bytes, target: Target | None) -> bool:
        """Add a pair; return False if there is no place."""
        with self._lock:
            last = self._segments[-1] if self._segments else None
            if isinstance(last, OrderedDict) and mac in last:
                last[mac] = target
                return True
            if self._size >= self._limit:
                return False
            if not isinstance(last, OrderedDict):
                last = OrderedDict()
                self._segments.append(last)
            last[mac] = target
            self._size += 1
            return True

    def put(self, thing: object, *, always: bool = False) -> bool:
        """Add anything else; return False if there is no place, unless it is added `always`."""
        with self._lock:
            if self._size >= self._limit and not always:
                return False
            last = self._segments[-1] if self._segments else None
            if not isinstance(last, deque):
                last = deque()
                self._segments.append(last)
            last.append(thing)
            self._size += 1
            return True

    def take(self, limit: int) -> list[object]:
        """Take the first things, at most `limit`."""
        taken: list[object] = []
        if not self._size:
            return taken
        with self._lock:
            while self._segments and len(taken) < limit:
                first = self._segments[0]
                for _ in range(min(limit - len(taken), len(first))):
                    if isinstance(first, OrderedDict):
                        taken.append(first.popitem(last=False))
                    else:
                        taken.append(first.popleft())
                if not first:
                    self._segments.popleft()
            self._size -= len(taken)
        return taken


class Mailbox:
    """What one instance says; made on the event loop, filled from any thread."""

    def __init__(
        self, deliver: Callable[[], None], counts: Counter[str], limit: int = MAX_SAID
    ) -> None:
        """Take what is called, on the loop, when there is something to take.

        Args:
            deliver: takes it.
            counts: gets ``ignored`` (said after `close`) and ``lost`` (there was no place).
            limit: how much may wait.
        """
        self.panic: PanicSaid | None = None
        """That the instance gave up, whatever it did with the exception."""
        self._counts = counts
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._here = Queue(limit)
        self._there = Queue(limit)
        self._lock = threading.Lock()
        self._condition: str | UnsetType | None = UNSET
        self._save = False
        self._opened = False
        self._closed = False
        self._due = False

    @property
    def opened(self) -> bool:
        """Whether what is said takes effect."""
        return self._opened and not self._closed

    @property
    def closed(self) -> bool:
        """Whether all that is said is ignored."""
        return self._closed

    @property
    def on_loop(self) -> bool:
        """Whether the caller is the event loop's thread."""
        return threading.get_ident() == self._ident

    @property
    def said_here(self) -> bool:
        """Whether there is something left that the loop's thread said."""
        return len(self._here) > 0

    def put_pair(self, mac: bytes, target: Target | None) -> None:
        """Say where a MAC is, or that it is no longer known."""
        queue = self._here if self.on_loop else self._there
        if self._may_say():
            self._count(queue.put_pair(mac, target))

    def put(self, thing: object, *, always: bool = False) -> None:
        """Say anything else; `always` is for what is bounded elsewhere."""
        queue = self._here if self.on_loop else self._there
        if self._may_say():
            self._count(queue.put(thing, always=always))

    def put_condition(self, message: str | None) -> None:
        """Say that the instance works badly, or for None well; the last word counts."""
        if self._may_say():
            with self._lock:
                self._condition = message
            self._wake()

    def put_save(self) -> None:
        """Ask to be saved."""
        if self._may_say():
            with self._lock:
                self._save = True
            self._wake()

    def put_panic(self, panic: PanicSaid) -> None:
        """Give up; takes effect even before `open`."""
        if self._may_say() and self.panic is None:
            self.panic = panic
            self._wake()

    def open(self) -> None:
        """Let what was and will be said take effect."""
        self._opened = True
        self._wake()

    def close(self) -> None:
        """Ignore all that is said from now on, and what was not taken yet."""
        self._closed = True

    def take_here(self, limit: int = SLICE) -> list[object]:
        """Take what the loop's thread said."""
        return self._here.take(limit)

    def take(self, limit: int = SLICE) -> list[object]:
        """Take what was said; what is left is delivered at the loop's next turn."""
        taken = self._here.take(limit)
        taken += self._there.take(max(1, limit - len(taken)))
        if len(self._here) or len(self._there):
            self._wake()
        return taken

    def take_wishes(self) -> tuple[str | UnsetType | None, bool]:
        """Take the last word on how the instance works, or UNSET, and whether to save it."""
        with self._lock:
            wishes = self._condition, self._save
            self._condition, self._save = UNSET, False
        return wishes

    def ignore(self) -> None:
        """Count something that was said too late."""
        self._counts["ignored"] += 1

    def _may_say(self) -> bool:
        if self._closed:
            self.ignore()
        return not self._closed

    def _count(self, placed: bool) -> None:
        if not placed:
            self._counts["lost"] += 1
        self._wake()

    def _wake(self) -> None:
        """Have things taken at the loop's next turn."""
        if self._closed or not (self._opened or self.panic):
            return
        with self._lock:
            if self._due:
                return
            self._due = True
        try:
            if self.on_loop:
                self._loop.call_soon(self._run)
            else:
                self._loop.call_soon_threadsafe(self._run)
        except RuntimeError:
            # The loop is closed: the daemon has ended, and nobody listens any more.
            self._closed = True

    def _run(self) -> None:
        with self._lock:
            self._due = False
        self._deliver()
