"""Token buckets in one float each (GCRA, ITU-T I.371, annex A), which protect the daemon's time.

A bucket holds the theoretical arrival time of the next frame: as long as that is no more than the
burst ahead of now, a frame conforms. Source MACs are chosen by guests, so theirs are not a table
that a guest can fill, but a fixed one that a keyed hash points into; who shares a bucket with
whom cannot be known from outside. It is made when the first frame comes: most overlays are idle.
"""

from array import array
from copy import copy
from typing import Final

from varpd.engine.settings import Rate

SOURCES: Final = 4_096
"""Buckets for source MACs, for each kind of frame."""


class Bucket:
    """One token bucket."""

    __slots__ = ("_arrival", "_depth", "_interval")

    def __init__(self, rate: Rate) -> None:
        """Take how many frames a second, and how many at once; a rate of 0 is no limit."""
        self._interval = 1.0 / rate.rate if rate.rate else 0.0
        self._depth = rate.burst * self._interval
        self._arrival = float("-inf")

    def copy(self) -> "Bucket":
        """Return one that is as full, and leaves this one alone."""
        return copy(self)

    def take(self, count: int, now: float) -> int:
        """Return how many of `count` frames that come now conform; they are taken."""
        if not self._interval:
            return count
        arrival = max(self._arrival, now)
        conforming = min(count, int((now + self._depth - arrival) / self._interval + _ROUNDING))
        if conforming > 0:
            self._arrival = arrival + conforming * self._interval
        return max(0, conforming)


class Sources:
    """Token buckets for source MACs."""

    __slots__ = ("_arrivals", "_depth", "_interval", "_secret")

    def __init__(self, rate: Rate, secret: bytes) -> None:
        """Take how much one source may send, and what the hash is keyed with."""
        self._interval = 1.0 / rate.rate if rate.rate else 0.0
        self._depth = rate.burst * self._interval
        self._secret = secret
        self._arrivals = array("d")

    def copy(self) -> "Sources":
        """Return buckets that are as full, and leave these alone."""
        made = copy(self)
        made._arrivals = self._arrivals[:]
        return made

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self._interval)

    def conforms(self, source: bytes, now: float) -> bool:
        """Return whether a frame from `source` that comes now conforms; it is then taken."""
        if not self._interval:
            return True
        if not self._arrivals:
            self._arrivals = array("d", [float("-inf")]) * SOURCES
        slot = hash(self._secret + source) % SOURCES
        arrival = max(self._arrivals[slot], now)
        if arrival + self._interval > now + self._depth + _ROUNDING * self._interval:
            return False
        self._arrivals[slot] = arrival + self._interval
        return True


_ROUNDING: Final = 1e-6
"""Part of a frame that sums of floats may be short of."""
