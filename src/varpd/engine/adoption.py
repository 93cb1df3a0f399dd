"""Rows that were in the kernel before varpd was: they become entries, and nothing is written.

A daemon that comes after another finds the rows of the links that it takes over. They carry
traffic, so each stays in force as it is until the plugin has been asked about it, see
`varpd.engine.recheck`. What is known already is newer than any row: what the plugin said when it
started, and the administrator's entries. Only where that differs is a row written or removed.
"""

from collections.abc import Iterable

from varpd.engine import classify
from varpd.engine.commands import Command, Resend
from varpd.engine.overlay import Overlay, weight
from varpd.engine.resolution import Resolution
from varpd.engine.settings import Mode
from varpd.provider.answers import Target
from varpd.targets.entries import Origin, Pending, Valid, valid_of

Found = tuple[bytes, tuple[Target, ...]]
"""A MAC, and where its rows lead."""


class Adoption:
    """Takes the rows that one overlay's links had."""

    def __init__(self, overlay: Overlay, resolution: Resolution) -> None:
        """Take the overlay, and who asks its plugin."""
        self._overlay = overlay
        self._resolution = resolution
        self._denied: set[bytes] | None = set()

    def deny(self, mac: bytes) -> None:
        """Somebody says that what is known of a MAC no longer holds: neither do rows found later.

        A plugin may say so of any number of MACs; no more are kept than there may be entries.
        """
        denied = self._denied
        if denied is not None and len(denied) < self._overlay.settings.limits.targets:
            denied.add(mac)

    def end(self) -> None:
        """All rows that there were have been told."""
        self._denied = None

    def adopt(
        self, rows: Iterable[Found], torn: Iterable[Found], now: float, out: list[Command]
    ) -> None:
        """Take rows that are there whole, and rows that are `torn`, which are made whole or go."""
        overlay = self._overlay
        found: dict[tuple[Target, ...], list[bytes]] = {}
        mended: list[bytes] = []
        strays: list[bytes] = []
        room = overlay.shares.targets.room()
        for is_whole, some in ((True, rows), (False, torn)):
            for mac, targets in some:
                entry = overlay.entries.get(mac)
                known = valid_of(entry)
                if known is not None:
                    if not is_whole or set(targets) != set(overlay.here.others(known.targets)):
                        mended.append(mac)
                    continue
                may_be = entry is None or isinstance(entry, Pending)
                if not (may_be and self._is_of_use(mac, targets)):
                    strays.append(mac)
                    continue
                more = weight(targets) - (entry is not None)
                if more > room:
                    overlay.counters["ignored.table-full"] += 1
                    strays.append(mac)
                    continue
                room -= more
                found.setdefault(targets, []).append(mac)
                if not is_whole or overlay.here.others(targets) != targets:
                    mended.append(mac)
        for targets, macs in found.items():
            self._take(targets, macs, now, out)
        self._mend(mended, out)
        overlay.counters["adopted.removed"] += len(strays)
        overlay.remove_rows(strays, out)

    def _is_of_use(self, mac: bytes, targets: tuple[Target, ...]) -> bool:
        """Return whether rows of a MAC that nothing is known of may stay in force."""
        overlay = self._overlay
        return (
            overlay.settings.mode is Mode.DYNAMIC
            and not (self._denied and mac in self._denied)
            and not (mac[0] & 1 and not classify.may_have_rows(mac))
            and not overlay.here.has_all(targets)
        )

    def _take(
        self, targets: tuple[Target, ...], macs: list[bytes], now: float, out: list[Command]
    ) -> None:
        """Make entries of rows; frames that waited for an answer are sent."""
        overlay = self._overlay
        valid = overlay.valid(targets, now, Origin.ADOPTED)
        for mac in macs:
            before = overlay.entries.get(mac)
            overlay.put(mac, valid)
            if isinstance(before, Pending):
                overlay.shares.waiting.give(before.waiting.size)
                self._send(mac, valid, before.waiting.packets, out)
        overlay.counters["adopted"] += len(macs)
        self._resolution.expire(valid, macs, now)
        self._resolution.rechecks.add(macs, now)

    def _send(self, mac: bytes, valid: Valid, packets: list[bytes], out: list[Command]) -> None:
        overlay = self._overlay
        if mac[0] & 1:
            overlay.replicate(valid.targets, packets, out)
        elif packets:
            overlay.counters["resent"] += len(packets)
            out.append(Resend(overlay.name, valid.targets[0], packets))

    def _mend(self, macs: list[bytes], out: list[Command]) -> None:
        """Write the rows of MACs as they are to be, or remove them where the target is here."""
        overlay = self._overlay
        gone: list[bytes] = []
        written: dict[Valid, list[bytes]] = {}
        for mac in macs:
            valid = valid_of(overlay.entries[mac])
            if valid is None or valid.local:
                gone.append(mac)
            else:
                written.setdefault(valid, []).append(mac)
        for valid, some in written.items():
            for group in (False, True):
                chosen = [mac for mac in some if bool(mac[0] & 1) is group]
                if chosen:
                    overlay.install(valid, chosen, [], out)
        overlay.counters["adopted.mended"] += len(macs)
        overlay.remove_rows(gone, out)
