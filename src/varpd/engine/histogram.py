"""How long things took: counted in fixed buckets, so that a percentile costs no memory.

A batch is observed at once, with one look for its bucket.
"""

from bisect import bisect_left
from typing import Final, Self

from msgspec import Struct

BOUNDS: Final = (
    50e-6,
    100e-6,
    250e-6,
    500e-6,
    1e-3,
    2.5e-3,
    5e-3,
    10e-3,
    25e-3,
    50e-3,
    100e-3,
    250e-3,
    500e-3,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""The upper ends of the buckets, in seconds; behind the last there is one more without an end."""


class Distribution(Struct, frozen=True):
    """What a `Histogram` has counted up to a moment."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    """How many there were in each bucket: above the bound before, up to its own."""

    total: float = 0.0
    """Seconds of all together."""

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def __add__(self, other: Self) -> Self:
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return type(self)(counts, self.total + other.total)

    def __sub__(self, earlier: Self) -> Self:
        """What was counted since an earlier moment."""
        counts = tuple(a - b for a, b in zip(self.counts, earlier.counts, strict=True))
        return type(self)(counts, max(0.0, self.total - earlier.total))

    def quantile(self, part: float) -> float | None:
        """Return the seconds that `part` (0 to 1) of all took at most; None: there were none.

        It is exact to the width of a bucket, within which all are taken to be spread evenly. What
        took longer than the last bound is said to have taken as long as that.
        """
        rank = part * self.count
        seen, low = 0, 0.0
        for count, high in zip(self.counts, BOUNDS, strict=False):
            if count and seen + count >= rank:
                return low + (high - low) * (rank - seen) / count
            seen, low = seen + count, high
        return low if self.count else None


class Histogram:
    """Counts how long things took; one thread counts, others may look."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._counts = [0] * (len(BOUNDS) + 1)
        self._total = 0.0

    def observe(self, seconds: float, count: int = 1) -> None:
        """Count that `count` things took so many seconds each; less than none counts as none."""
        if seconds < 0:
            seconds = 0.0
        self._counts[bisect_left(BOUNDS, seconds)] += count
        self._total += seconds * count

    @property
    def distribution(self) -> Distribution:
        """What has been counted so far."""
        return Distribution(tuple(self._counts), self._total)
