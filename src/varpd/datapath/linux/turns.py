"""How many frames an overlay may have read at once, so that others do not wait for it.

The event loop comes to each punt socket that has something once a round. While one overlay alone
has much to read, it gets whole batches; while several have, each gets what can be handled in about
`TURN` seconds, as measured.
"""

from collections.abc import Callable
from typing import Final

BATCH: Final = 64
"""Frames of a turn at most; more cost little less each."""

TURN: Final = 150e-6
"""Seconds of a turn while several overlays have much to read."""

RECENT: Final = 10e-3
"""Seconds for which an overlay counts as having much to read after a full turn."""

_WEIGHT: Final = 0.125
"""Of the newest turn in the running mean of what a frame costs."""


class Turns:
    """Shares out the time of the event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns seconds from any beginning."""
        self._clock = clock
        self._cost = TURN / BATCH
        self._full: dict[str, float] = {}

    def take(self, overlay: str, read: Callable[[int], int]) -> int:
        """Let an overlay read; `read` takes the most frames it may, and returns how many it did."""
        start = self._clock()
        budget = self._budget(overlay, start)
        count = read(budget)
        end = self._clock()
        if count >= budget:
            self._full[overlay] = end
        if count:
            self._cost += _WEIGHT * ((end - start) / count - self._cost)
        return count

    def forget(self, overlay: str) -> None:
        """The overlay is gone."""
        self._full.pop(overlay, None)

    def _budget(self, overlay: str, now: float) -> int:
        alone = all(other == overlay or now - full > RECENT for other, full in self._full.items())
        if alone or self._cost <= 0:
            return BATCH
        return max(1, min(BATCH, int(TURN / self._cost)))
