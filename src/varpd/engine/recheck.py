"""Asking the plugin about targets that were found in the kernel, in the background.

They are in force all the while. What the plugin says takes their place; if it fails, they stay,
stale, and are asked about again later, the later the longer it fails. Overlays take turns in one
pace, and a part of the questions that an overlay may have in progress is left to its frames.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from varpd.engine.agenda import Recheck
from varpd.engine.commands import Command, Note
from varpd.engine.overlay import Overlay
from varpd.provider.query import REFRESH, Query
from varpd.targets.entries import Refreshing, Valid, is_adopted

SLICE: Final = 64
"""Questions of one turn: less than a millisecond of a plugin that answers plainly."""

INTERVAL: Final = 0.005
"""Seconds between two turns, whichever overlays they are of: 12,800 questions a second."""

SHARE: Final = 4
"""One in so many of the questions that an overlay may have in progress is for this."""

NO_ROOM_RETRY: Final = 1.0
"""Seconds until it is tried again where frames take all the questions that there may be."""

FAILURES: Final = 16
"""Failures in a row after which the plugin is left alone for a while."""

DELAY_MIN: Final = 1.0
"""Seconds until those that failed are asked about again; doubled each time that it is in vain."""

DELAY_MAX: Final = 32.0
"""Seconds that this may become."""


class Pace:
    """Turns of all overlays, one after the other."""

    def __init__(self) -> None:
        """Begin with nobody in front."""
        self._next = 0.0

    def reserve(self, now: float) -> float:
        """Return when the next turn may be had; it is then taken."""
        turn = max(now, self._next)
        self._next = turn + INTERVAL
        return turn


class Rechecks:
    """Asks about the adopted targets of one overlay."""

    def __init__(self, overlay: Overlay, pace: Pace) -> None:
        """Begin with nothing to ask; `pace` is that of all overlays."""
        self._overlay = overlay
        self._pace = pace
        self._waiting: deque[bytes] = deque()
        self._asked: set[Query] = set()
        self._failed: list[bytes] = []
        self._failures = 0
        self._delay = DELAY_MIN
        self._retry_at = 0.0
        self._planned: float | None = None
        self._has_turn = False

    def add(self, macs: Iterable[bytes], now: float) -> None:
        """Have MACs asked about."""
        self._waiting.extend(macs)
        self._plan(now)

    def start(self, now: float) -> None:
        """The plugin answers from now on."""
        self._delay = DELAY_MIN
        self._retry_at = now
        self._plan(now)

    def stop(self) -> None:
        """The plugin answers no more; what is in its hands has to be added anew."""
        self._asked.clear()

    def turn(self, due: float, now: float, out: list[Command]) -> None:
        """Ask about some, if this is the turn that was planned last."""
        if due != self._planned:
            return
        self._planned = None
        if not self._has_turn:
            turn = self._pace.reserve(now)
            if turn > now:
                self._plan_at(turn, has_turn=True)
                return
        self._ask(now, out)

    def _ask(self, now: float, out: list[Command]) -> None:
        overlay = self._overlay
        if not overlay.running:
            return
        if self._failed and now >= self._retry_at:
            self._waiting.extend(self._failed)
            self._failed.clear()
            self._failures = 0
        queries: list[Query] = []
        room = min(SLICE, self._free(), overlay.shares.lookups.room() // 2)
        while self._waiting and len(queries) < room and self._failures < FAILURES:
            mac = self._waiting.popleft()
            entry = overlay.entries.get(mac)
            if isinstance(entry, Valid) and is_adopted(entry):
                query = Query(mac, overlay.settings.vnetid, None, 0, REFRESH)
                overlay.put(mac, Refreshing(entry, query))
                queries.append(query)
        self._asked.update(queries)
        overlay.start(queries, out)
        self._plan(now, 0.0 if room > 0 else NO_ROOM_RETRY)

    def finish(self, query: Query, now: float) -> None:
        """Take note that a question has its final answer, if it is one of these."""
        if query in self._asked:
            self._asked.discard(query)
            self._failures = 0
            self._delay = DELAY_MIN
            self._plan(now)

    def fail(self, mac: bytes, query: Query, now: float, out: list[Command]) -> None:
        """There was no answer about a MAC; it is asked about again later."""
        self._asked.discard(query)
        if not self._failed:
            self._retry_at = now + self._delay
            self._delay = min(2 * self._delay, DELAY_MAX)
            text = "no answer about targets that were found in the kernel; they stay"
            out.append(Note(self._overlay.name, text, mac))
        self._failed.append(mac)
        self._failures += 1
        self._plan(now)

    def _free(self) -> int:
        """Return how many more questions may be in progress."""
        return max(1, self._overlay.settings.limits.lookups // SHARE) - len(self._asked)

    def _plan(self, now: float, wait: float = 0.0) -> None:
        """Have the next turn planned, unless a plan or an answer that is to come leads to it."""
        if not self._overlay.running:
            return
        if self._waiting and self._failures < FAILURES and self._free() > 0:
            due = now + wait
        elif self._failed:
            due = max(now + wait, self._retry_at)
        else:
            return
        if self._planned is not None and (self._has_turn or self._planned <= due):
            return
        if due <= now:
            self._plan_at(self._pace.reserve(now), has_turn=True)
        else:
            self._plan_at(due, has_turn=False)

    def _plan_at(self, due: float, *, has_turn: bool) -> None:
        self._planned = due
        self._has_turn = has_turn
        self._overlay.agenda.plan(due, Recheck(due))
