"""How long to wait before something that failed is tried again."""

import random
from collections.abc import Callable
from typing import Final

MIN: Final = 1.0
"""Seconds before the first repetition."""

MAX: Final = 32.0
"""Seconds between repetitions at most."""

JITTER: Final = 1.5
"""Each time is up to this factor longer by chance, so that not all come back at once."""


class Backoff:
    """Waiting times that double, in seconds."""

    def __init__(
        self,
        low: float = MIN,
        high: float = MAX,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Take the first time, the longest, and where chance comes from."""
        self._low, self._high = low, high
        self._uniform = uniform
        self._attempt = 0

    def next(self) -> float:
        """Return how long to wait now."""
        longest = self._high / JITTER
        base: float = min(longest, self._low * 2**self._attempt)
        if base < longest:
            self._attempt += 1
        return base * self._uniform(1.0, JITTER)

    def reset(self) -> None:
        """Begin with the first time again."""
        self._attempt = 0
