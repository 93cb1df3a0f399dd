"""What an overlay has to do at some time, the next first.

What is planned for an entry is not taken back when the entry goes; it then finds nothing to do.
So that a plugin that says much cannot make the agenda grow without end, what has become idle is
cleared out whenever the agenda has doubled.
"""

import heapq
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from varpd.targets.entries import Valid

SMALL: Final = 1_024
"""Plans up to which nothing is cleared out."""


class EndHold(Struct, frozen=True):
    """Frames of some shape to a MAC may be asked about again."""

    mac: bytes
    until: float
    """The end of the hold."""


class CheckUse(Struct, frozen=True):
    """Targets near their end: those in use are asked for anew."""

    valid: Valid
    macs: tuple[bytes, ...]
    final: bool
    """Whether those that are not in use go."""


class Verify(Struct, frozen=True):
    """MACs that guests here send from, and that could not be asked about, are tried again."""


class Recheck(Struct, frozen=True):
    """The plugin is asked about some more targets that were found in the kernel."""

    due: float
    """When that is; a later plan takes the place of an earlier one."""


class ClearRefusals(Struct, frozen=True):
    """The kernel has refused nothing for a while."""


class Rewrite(Struct, frozen=True):
    """The next slice of a table that was lost is written again."""


class EndWindow(Struct, frozen=True):
    """What was repaired, and how often, is counted anew."""


Action = EndHold | CheckUse | Verify | Recheck | ClearRefusals | Rewrite | EndWindow


class Agenda:
    """The plans of one overlay."""

    def __init__(self, is_idle: Callable[[Action], bool]) -> None:
        """Take what says whether an action would find nothing to do."""
        self._is_idle = is_idle
        self._plans: list[tuple[float, int, Action]] = []
        self._sequence = 0
        self._limit = SMALL

    def __len__(self) -> int:
        return len(self._plans)

    @property
    def next_due(self) -> float | None:
        """When something is due, or None."""
        return self._plans[0][0] if self._plans else None

    def plan(self, due: float, action: Action) -> None:
        """Have something done at a time."""
        self._sequence += 1
        heapq.heappush(self._plans, (due, self._sequence, action))
        if len(self._plans) > self._limit:
            self._plans = [item for item in self._plans if not self._is_idle(item[2])]
            heapq.heapify(self._plans)
            self._limit = max(SMALL, 2 * len(self._plans))

    def take(self, now: float) -> Action | None:
        """Return the next action that is due, and forget it."""
        if self._plans and self._plans[0][0] <= now:
            return heapq.heappop(self._plans)[2]
        return None
