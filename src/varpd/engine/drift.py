"""Rows that are not as they should be: somebody else wrote, changed or removed them.

What a MAC's rows are is asked by `CheckRows`, behind all writes of the overlay, so that what comes
back is what varpd wrote, or what somebody else made of it. It counts only if the MAC has been left
alone meanwhile (`Overlay.checks`); else it is asked about again. So what varpd itself is changing
is never taken for drift.
"""

from collections.abc import Iterable
from typing import Final

from varpd.engine.agenda import Rewrite
from varpd.engine.commands import CheckRows, Command, Install, InstallReplicas, Note
from varpd.engine.differences import Differences
from varpd.engine.events import FoundRow, LinksDrifted
from varpd.engine.overlay import Overlay
from varpd.engine.settings import Mode
from varpd.provider.answers import Target
from varpd.targets.entries import Valid, valid_of

SLICE: Final = 64
"""MACs asked about by one command: a millisecond of the row writer."""

ASKED_MAX: Final = 1024
"""MACs of one overlay that are asked about at once."""

WAITING_MAX: Final = 65_536
"""MACs that wait to be asked about; what is beyond that is found by the round through the table."""

REWRITE: Final = 4096
"""Entries of a lost table that are written again at once: a few milliseconds."""

REWRITE_PAUSE: Final = 0.005
"""Seconds between two such slices, in which other work is done."""

_LINKS: Final = "links"


class Drift:
    """Finds and repairs the drift of one overlay's rows."""

    def __init__(self, overlay: Overlay) -> None:
        """Begin with nothing in doubt."""
        self._overlay = overlay
        self._waiting: dict[bytes, None] = {}
        # A MAC is asked about once at a time: else an answer from before a repair would count
        # after it.
        self._asked: set[bytes] = set()
        self._once_more: set[bytes] = set()
        self._lost: list[bytes] = []
        self._amiss: set[bytes] = set()
        self._differences = Differences(overlay)

    # -- what is looked at ---------------------------------------------------------------------

    def touched(
        self, written: Iterable[bytes], removed: Iterable[bytes], out: list[Command]
    ) -> None:
        """Somebody wrote or removed rows; what varpd itself removes is not wanted any more."""
        self.check([*written, *(mac for mac in removed if self._wanted(mac))], out)

    def read(self, macs: Iterable[bytes], out: list[Command]) -> None:
        """The tables have these MACs: those that nobody wants are looked at."""
        self.check([mac for mac in macs if not self._wanted(mac)], out)

    def check_wanted(self, macs: Iterable[bytes], out: list[Command]) -> None:
        """Have those of MACs looked at that should have rows, or were last seen to be amiss."""
        self.check(
            [mac for mac in macs if mac in self._differences.standing or self._wanted(mac)], out
        )

    def check(self, macs: Iterable[bytes], out: list[Command]) -> None:
        """Have the rows of MACs looked at."""
        room = WAITING_MAX - len(self._waiting)
        for mac in macs:
            if room <= 0:
                break
            if mac in self._asked:
                self._once_more.add(mac)
            elif mac not in self._waiting:
                self._waiting[mac] = None
                room -= 1
        self._ask(out)

    def standing(self) -> list[bytes]:
        """Return the MACs whose rows were last seen to be amiss, and left so."""
        return list(self._differences.standing)

    def amiss(self) -> int:
        """Return how many MACs do not have the rows that they should, as last seen."""
        return sum(bool(self._wanted(mac)) for mac in self._amiss)

    def settings_changed(self, out: list[Command]) -> None:
        """Have what was only reported looked at again."""
        self.check(self.standing(), out)

    def _ask(self, out: list[Command]) -> None:
        overlay = self._overlay
        checks = overlay.checks
        while self._waiting and len(self._asked) < ASKED_MAX:
            macs = [mac for mac, _ in zip(self._waiting, range(SLICE), strict=False)]
            for mac in macs:
                del self._waiting[mac]
                checks[mac] = valid_of(overlay.entries.get(mac))
            self._asked.update(macs)
            out.append(CheckRows(overlay.name, macs))

    # -- what is found -------------------------------------------------------------------------

    def found(
        self, macs: list[bytes], found: list[FoundRow | None], now: float, out: list[Command]
    ) -> None:
        """Compare what rows MACs have with what they should have."""
        overlay = self._overlay
        self._asked.difference_update(macs)
        again = [mac for mac in macs if mac in self._once_more]
        self._once_more.difference_update(again)
        repairs: dict[bytes, tuple[Target, ...]] = {}
        for mac, row in zip(macs, found, strict=True):
            valid = valid_of(overlay.entries.get(mac))
            unchanged = mac in overlay.checks and overlay.checks.pop(mac) is valid
            wanted = self._targets(mac, valid)
            if row is None:
                if wanted and mac[0] & 1 and overlay.settings.repair:
                    # There are too many rows to look; to write what is there changes nothing.
                    out.append(InstallReplicas(overlay.name, mac, wanted))
            elif self._fits(mac, wanted, row):
                self._differences.ended(mac)
                self._amiss.discard(mac)
            elif not unchanged:
                again.append(mac)
            elif valid is not None and valid.refused and not row.targets:
                self._left(mac)
            elif self._differences.found(mac, wanted, row, now, out):
                repairs[mac] = wanted
                self._amiss.discard(mac)
            else:
                self._left(mac)
        self._repair(repairs, out)
        self._differences.complain(out)
        self.check(again, out)

    def _left(self, mac: bytes) -> None:
        if len(self._amiss) < WAITING_MAX:
            self._amiss.add(mac)

    def _repair(self, repairs: dict[bytes, tuple[Target, ...]], out: list[Command]) -> None:
        overlay = self._overlay
        installs: dict[Target, list[bytes]] = {}
        removals = []
        for mac, wanted in repairs.items():
            if mac[0] & 1:
                out.append(InstallReplicas(overlay.name, mac, wanted))
            elif wanted:
                installs.setdefault(wanted[0], []).append(mac)
            else:
                removals.append(mac)
        out.extend(Install(overlay.name, target, some, []) for target, some in installs.items())
        overlay.remove_rows(removals, out)

    # -- tables and links ----------------------------------------------------------------------

    def lost(self, now: float, out: list[Command]) -> None:
        """All rows are gone: have them written again, slice by slice."""
        overlay = self._overlay
        overlay.checks.clear()
        self._waiting.clear()
        planned = bool(self._lost)
        self._lost = list(overlay.entries)
        if self._lost and not planned:
            self.rewrite(now, out)

    def rewrite(self, now: float, out: list[Command]) -> None:
        """Write the next slice of a lost table."""
        overlay = self._overlay
        macs, self._lost = self._lost[-REWRITE:], self._lost[:-REWRITE]
        rows = {mac: targets for mac in macs if (targets := self._wanted(mac))}
        overlay.counters["drift.missing"] += len(rows)
        overlay.counters["repaired"] += len(rows)
        self._repair(rows, out)
        if self._lost:
            overlay.agenda.plan(now + REWRITE_PAUSE, Rewrite())

    def links_drifted(self, event: LinksDrifted, out: list[Command]) -> None:
        """Count and note what somebody did to the links."""
        overlay = self._overlay
        overlay.counters["drift.links"] += len(event.differences)
        if event.repaired:
            overlay.counters["repaired"] += len(event.differences)
        done = "put right" if event.repaired else "left so"
        out.extend(Note(overlay.name, f"{text}; {done}") for text in event.differences)

    def links_wrong(self, message: str | None, out: list[Command]) -> None:
        """Take note of what is still amiss with the links."""
        self._overlay.complain(_LINKS, message, out)

    def end_window(self, out: list[Command]) -> None:
        """Count repairs anew, and look again at what was left alone."""
        self.check(self._differences.end_window(out), out)

    # -- what should be ------------------------------------------------------------------------

    def _wanted(self, mac: bytes) -> tuple[Target, ...]:
        return self._targets(mac, valid_of(self._overlay.entries.get(mac)))

    def _targets(self, mac: bytes, valid: Valid | None) -> tuple[Target, ...]:
        """Return the targets that the rows of a MAC should have."""
        if valid is None or valid.local:
            return ()
        return self._overlay.here.others(valid.targets) if mac[0] & 1 else valid.targets[:1]

    def _fits(self, mac: bytes, wanted: tuple[Target, ...], row: FoundRow) -> bool:
        if not wanted:
            # A POINT overlay's bridge learns MACs there.
            return not row.targets and not (
                row.bridged and self._overlay.settings.mode is Mode.DYNAMIC
            )
        if mac[0] & 1:
            return set(row.targets) == set(wanted) and not row.fault
        return row.targets == wanted and row.bridged and not row.fault
