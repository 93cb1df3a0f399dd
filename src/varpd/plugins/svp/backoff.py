"""How long to wait before the next try to connect; pure."""

import random
from collections.abc import Callable
from typing import Final

SHORTEST: Final = 1.0
"""Seconds before the second try."""

LONGEST: Final = 32.0
"""Seconds between tries at most, but for the jitter."""

JITTER: Final = 0.25
"""Part of a delay that chance adds at most, so that hosts do not all come back at one moment."""


class Backoff:
    """Delays of 1, 2, 4, 8, 16, 32, 32, ... seconds, each with up to a quarter more."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        """`chance` returns a number from 0 to 1."""
        self._chance = chance
        self.failures = 0
        """Tries that failed since the last that did not."""

    def failed(self) -> float:
        """Take note of a failure; return the seconds to wait."""
        delay = min(LONGEST, SHORTEST * 2.0 ** min(self.failures, 16))
        self.failures += 1
        return delay * (1.0 + JITTER * self._chance())

    def worked(self) -> None:
        """Begin anew."""
        self.failures = 0
