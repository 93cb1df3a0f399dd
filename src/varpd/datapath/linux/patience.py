"""How soon something is put right that somebody else may change again and again.

At first at once. Where it happens often the pauses grow, so that varpd does not fight at full
speed against a program that wants it otherwise, and operators are told.
"""

from collections import deque
from typing import Final

WINDOW: Final = 60.0
"""Seconds for which a repair counts."""

AT_ONCE: Final = 4
"""Repairs in `WINDOW` that are done at once."""

LONGEST: Final = 32.0
"""Seconds of the longest pause."""


class Patience:
    """The pace of repairs of one thing; times are those of one clock, in seconds."""

    def __init__(self) -> None:
        self._repairs: deque[float] = deque()
        self._failures = 0
        self._last = 0.0

    def repaired(self, now: float) -> None:
        """Note that something was put right."""
        self._failures = 0
        self._repairs.append(now)
        self._last = now

    def failed(self, now: float) -> None:
        """Note that something could not be put right."""
        self._failures += 1
        self._last = now

    def recent(self, now: float) -> int:
        """Return how many repairs there were in the last `WINDOW`."""
        while self._repairs and self._repairs[0] <= now - WINDOW:
            self._repairs.popleft()
        return len(self._repairs)

    def is_tried(self, now: float) -> bool:
        """Return whether somebody changes it again and again."""
        return self.recent(now) > AT_ONCE

    def next_at(self, now: float) -> float:
        """Return when the next repair may be tried."""
        steps = self._failures or self.recent(now) - AT_ONCE + 1
        return self._last + min(LONGEST, 2.0 ** (steps - 1)) if steps > 0 else now
