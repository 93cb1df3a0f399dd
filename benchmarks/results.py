"""What a benchmark found: series of figures, and the ratios that matter."""

import statistics
from collections.abc import Sequence
from typing import Self

from msgspec import Struct


class Series(Struct, frozen=True):
    """One thing measured several times."""

    label: str
    """What was measured, such as ``varpd``."""

    unit: str
    """Such as ``ms`` or ``misses/s``."""

    values: tuple[float, ...]
    """In the order of measuring."""

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    def quantile(self, part: float) -> float:
        """Return the value that `part` (0 to 1) of all values do not exceed."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the largest value; of 20 values or more, the 5th and 95th percentile."""
        if len(self.values) < 20:
            return min(self.values), max(self.values)
        return self.quantile(0.05), self.quantile(0.95)


class Ratio(Struct, frozen=True):
    """What a benchmark is about: how two things measured in one run compare, and the goal."""

    label: str
    value: float
    goal: str
    """In words, such as ``at least 0.97``; empty where there is none."""

    met: bool | None = None
    """Whether the goal is met; None where there is none."""

    @classmethod
    def at_least(cls, label: str, value: float, goal: float) -> Self:
        """Return a ratio that should not be below `goal`."""
        return cls(label, value, f"at least {goal:g}", value >= goal)

    @classmethod
    def at_most(cls, label: str, value: float, goal: float) -> Self:
        """Return a ratio, or a figure, that should not be above `goal`."""
        return cls(label, value, f"at most {goal:g}", value <= goal)


class Outcome(Struct, frozen=True):
    """What one benchmark found."""

    name: str
    title: str
    series: tuple[Series, ...]
    ratios: tuple[Ratio, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know to read the figures."""


def paired(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the median of the ratios of values that were measured side by side."""
    return statistics.median(one / other for one, other in zip(first, second, strict=True))
