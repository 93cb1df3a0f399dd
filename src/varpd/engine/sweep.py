"""The round through all rows: whatever nobody told of is found in the end.

One for all overlays, so that its cost is the number of rows, whoever has them. The daemon says
when it is time for the next few (`CheckDue`).
"""

from collections.abc import Iterator, Mapping

from varpd.engine.commands import Command
from varpd.engine.drift import SLICE, Drift
from varpd.engine.overlay import Overlay


class Sweep:
    """Goes through the rows of all overlays, round after round."""

    def __init__(self, overlays: Mapping[str, tuple[Overlay, Drift]]) -> None:
        """Take the overlays by name, as they come and go."""
        self.in_doubt = False
        """Whether something may be amiss, so that the round should be quick."""

        self._overlays = overlays
        self._round: Iterator[tuple[Drift, list[bytes]]] | None = None

    @property
    def running(self) -> bool:
        """Whether a round is under way."""
        return self._round is not None

    def doubt(self) -> None:
        """Begin a quick round."""
        self.in_doubt = True
        self._round = None

    def take(self, count: int, out: list[Command]) -> None:
        """Check the next `count` rows; begins a round unless one is under way."""
        if self._round is None:
            self._round = self._slices()
        while count > 0:
            found = next(self._round, None)
            if found is None:
                self._round = None
                self.in_doubt = False
                return
            drift, macs = found
            drift.check_wanted(macs, out)
            count -= len(macs)

    def _slices(self) -> Iterator[tuple[Drift, list[bytes]]]:
        for name in list(self._overlays):
            pair = self._overlays.get(name)
            if pair is None:
                continue
            overlay, drift = pair
            yield drift, drift.standing()
            macs = list(overlay.entries)
            for start in range(0, len(macs), SLICE):
                if self._overlays.get(name) is not pair:
                    break
                yield drift, macs[start : start + SLICE]
