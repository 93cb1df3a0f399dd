"""What was found of one overlay's rows that is not as it should be: counted, noted, told.

A MAC whose rows somebody changes again and again is put right `REPAIRS` times in `WINDOW` seconds;
the overlay is then degraded, and the next repair waits for the next window.
"""

from collections import Counter
from typing import Final

from varpd.engine.agenda import EndWindow
from varpd.engine.commands import Command, Note
from varpd.engine.events import FoundRow
from varpd.engine.overlay import Overlay
from varpd.net.addresses import MacAddress
from varpd.provider.answers import Target

STANDING_MAX: Final = 1024
"""Differences that are remembered where nothing is repaired."""

WINDOW: Final = 10.0
"""Seconds for which repairs and notes are counted."""

REPAIRS: Final = 5
"""Repairs of one MAC in `WINDOW`."""

NOTES: Final = 16
"""Notes about single MACs in `WINDOW`; the others are told as a number."""

_COMPLAINT: Final = "rows"
_SHOWN: Final = 3


class Differences:
    """Keeps what is amiss, and decides whether it is to be put right."""

    def __init__(self, overlay: Overlay) -> None:
        """Begin with nothing amiss."""
        self.standing: dict[bytes, str] = {}
        """MACs whose rows are left as they are, each with what is amiss."""

        self._overlay = overlay
        self._repairs: Counter[bytes] = Counter()
        self._fought: dict[bytes, str] = {}
        self._notes = 0
        self._window = False

    def ended(self, mac: bytes) -> None:
        """The rows of a MAC are as they should be."""
        self.standing.pop(mac, None)

    def found(
        self,
        mac: bytes,
        wanted: tuple[Target, ...],
        row: FoundRow,
        now: float,
        out: list[Command],
    ) -> bool:
        """Count and note a difference; return whether it is to be put right."""
        kind, text = describe(wanted, row)
        if not self._overlay.settings.repair:
            if mac in self.standing or len(self.standing) < STANDING_MAX:
                if self.standing.get(mac) != text:
                    self._count(kind, mac, f"{text}; left so, because drift is report", now, out)
                self.standing[mac] = text
            return False
        self.standing.pop(mac, None)
        self._open_window(now)
        if self._repairs[mac] >= REPAIRS:
            self._fought[mac] = text
            return False
        self._repairs[mac] += 1
        self._count(kind, mac, f"{text}; put right", now, out)
        self._overlay.counters["repaired"] += 1
        return True

    def complain(self, out: list[Command]) -> None:
        """Degrade the overlay if something is left amiss, or take that back."""
        message = None
        if self._fought:
            message = "somebody keeps changing rows: " + _some(self._fought)
            message += f"; each was put right {REPAIRS} times in {WINDOW:.0f} s"
        elif self.standing:
            message = "rows are not as they should be: " + _some(self.standing)
        self._overlay.complain(_COMPLAINT, message, out)

    def end_window(self, out: list[Command]) -> list[bytes]:
        """Count anew; return MACs that were left alone because they changed too often."""
        self._window = False
        if self._notes > NOTES:
            text = f"{self._notes - NOTES} more rows were not as they should be"
            out.append(Note(self._overlay.name, text))
        self._notes = 0
        self._repairs.clear()
        fought, self._fought = list(self._fought), {}
        self.complain(out)
        return fought

    def _count(self, kind: str, mac: bytes, text: str, now: float, out: list[Command]) -> None:
        self._open_window(now)
        self._overlay.counters[f"drift.{kind}"] += 1
        self._notes += 1
        if self._notes <= NOTES:
            out.append(Note(self._overlay.name, text, mac))

    def _open_window(self, now: float) -> None:
        if not self._window:
            self._window = True
            self._overlay.agenda.plan(now + WINDOW, EndWindow())


def describe(wanted: tuple[Target, ...], row: FoundRow) -> tuple[str, str]:
    """Return what kind of difference there is, and a sentence about it."""
    there = ", ".join(map(str, row.targets)) or "nowhere"
    if row.fault:
        there += f" ({row.fault})"
    if not wanted:
        return "extra", f"a row that varpd did not write led to {there}"
    should = ", ".join(map(str, wanted))
    if not row.targets:
        return "missing", f"the row to {should} was missing"
    if not row.bridged and not row.fault and row.targets == wanted:
        return "missing", f"the bridge's row was missing; the device's leads to {should}"
    return "wrong", f"the row led to {there}, not to {should}"


def _some(differences: dict[bytes, str]) -> str:
    """Return the first differences in words, and how many more there are."""
    shown = [
        f"{MacAddress(mac)}: {text}"
        for (mac, text), _ in zip(differences.items(), range(_SHOWN), strict=False)
    ]
    more = len(differences) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
