"""Says when the next rows of the round through all tables are to be checked.

The round finds what nobody told of: rows that look as varpd writes them, and what was lost of the
kernel's messages. It must cost little, so it goes at leisure, unless something may be amiss, and
stands back while the event loop has other work.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from varpd.engine.events import CheckDue

PERIOD: Final = 1.0
"""Seconds from the start of a round to the start of the next, at least."""

SLICE: Final = 256
"""Rows checked at once: that takes the row writer four milliseconds."""

LEISURE: Final = 2_000
"""Rows checked a second."""

HASTE: Final = 20_000
"""Rows checked a second while something may be amiss."""

IDLE: Final = 0.25
"""Seconds after which is looked whether something may be amiss."""

LATE: Final = 0.01
"""Seconds by which a timer comes too late when the event loop has other work."""

PATIENCE: Final = 20
"""Slices that are put off one after another, at most: a flood must not end the checks."""


class Round(Protocol):
    """The round through all rows, as the engine has it."""

    in_doubt: bool
    """Whether something may be amiss, so that the round should be quick."""

    @property
    def running(self) -> bool:
        """Whether a round is under way."""


class Sweeper:
    """Keeps the pace of a round; from `start` to `stop` in the event loop."""

    def __init__(
        self,
        rounds: Round,
        feed: Callable[[CheckDue], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Take what goes round, and who is told that it is time."""
        self._round = rounds
        self._feed = feed
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._next_round = 0.0
        self._put_off = 0

    def start(self) -> None:
        """Begin; the first round begins after a while."""
        now = self._loop.time()
        self._next_round = now + PERIOD
        self._arm(now + IDLE)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due: float) -> None:
        self._due = due
        self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        rounds = self._round
        busy = now - self._due > LATE and self._put_off < PATIENCE
        self._put_off = self._put_off + 1 if busy else 0
        if not busy and (rounds.running or rounds.in_doubt or now >= self._next_round):
            if not rounds.running:
                self._next_round = now + PERIOD
            self._feed(CheckDue(SLICE))
        pause = SLICE / (HASTE if rounds.in_doubt else LEISURE)
        self._arm(now + (pause if rounds.running or rounds.in_doubt else IDLE))
