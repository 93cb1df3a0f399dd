"""What is said unasked: by the plugin, the administrator and the kernel."""

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from varpd.engine import proxy_arp, proxy_ndp
from varpd.engine.adoption import Adoption
from varpd.engine.agenda import ClearRefusals
from varpd.engine.commands import (
    Command,
    Inject,
    Install,
    InstallReplicas,
    SetDefaultTarget,
)
from varpd.engine.events import Announced
from varpd.engine.overlay import NEVER, ROWS_GRACE, Overlay
from varpd.engine.resolution import Resolution
from varpd.net.addresses import MacAddress
from varpd.provider.answers import Target
from varpd.targets.entries import (
    Blocked,
    Entry,
    Origin,
    Pending,
    Refreshing,
    Valid,
    is_administrators,
    is_adopted,
    valid_of,
    with_valid,
)

REFUSED_RETRY: Final = 10.0
"""Seconds until rows that the kernel refused are tried again."""


class Statements:
    """Takes what is said of one overlay's MACs."""

    def __init__(self, overlay: Overlay, resolution: Resolution, adoption: Adoption) -> None:
        """Take the overlay, who asks its plugin, and who takes rows that are found."""
        self._overlay = overlay
        self._resolution = resolution
        self._adoption = adoption
        self._local = overlay.here.addresses

    # -- the plugin ----------------------------------------------------------------------------

    def set_target(self, mac: bytes, target: Target, now: float, out: list[Command]) -> None:
        """The plugin says where a MAC is."""
        overlay = self._overlay
        entry = overlay.entries.get(mac)
        if is_administrators(entry):
            overlay.counters["ignored.administrator"] += 1
        elif entry is None and overlay.shares.targets.room() <= 0:
            overlay.counters["ignored.table-full"] += 1
        else:
            self._set(mac, target, Origin.PLUGIN, now, out)

    def invalidate(self, mac: bytes, now: float, out: list[Command]) -> None:
        """The plugin says that what is known of a MAC no longer holds."""
        if not is_administrators(self._overlay.entries.get(mac)):
            self._forget(mac, out)
            if mac in self._overlay.learned:
                self._resolution.verification.begin([mac], now, out)

    def enumerated(
        self, pairs: Iterable[tuple[bytes, Target]], now: float, out: list[Command]
    ) -> None:
        """The plugin told what it knows; what is known or asked for already is left alone."""
        overlay = self._overlay
        room = overlay.shares.targets.room()
        found: dict[Target, list[bytes]] = {}
        for mac, target in pairs:
            entry = overlay.entries.get(mac)
            if entry is not None:
                if is_adopted(entry):
                    self._set(mac, target, Origin.PLUGIN, now, out)
                continue
            if room <= 0:
                overlay.counters["ignored.table-full"] += 1
                continue
            room -= 1
            found.setdefault(target, []).append(mac)
        for target, macs in found.items():
            valid = overlay.valid((target,), now)
            for mac in macs:
                overlay.put(mac, valid)
            self._resolution.expire(valid, macs, now)
            overlay.install(valid, macs, [], out)

    def announced(self, said: Announced, out: list[Command]) -> None:
        """The plugin wants the local guests to hear who has an address."""
        mac = MacAddress(said.mac)
        destination = None if said.destination is None else MacAddress(said.destination)
        if said.address.version == 4:
            frame = proxy_arp.announcement(mac, said.address, said.vlan, destination)
        else:
            frame = proxy_ndp.announcement(mac, said.address, said.vlan, destination)
        self._overlay.counters["announced"] += 1
        out.append(Inject(self._overlay.name, [frame]))

    def set_default(self, target: Target, out: list[Command]) -> None:
        """A POINT overlay's one target is known, or another."""
        self._overlay.default = target
        out.append(SetDefaultTarget(self._overlay.name, target))
        self._report_default(out)

    # -- the administrator ---------------------------------------------------------------------

    def set_entry(self, mac: bytes, target: Target | None, now: float, out: list[Command]) -> None:
        """The administrator says where a MAC is, or that frames to it are dropped."""
        overlay = self._overlay
        if target is not None:
            self._set(mac, target, Origin.ADMINISTRATOR, now, out)
            return
        entry = overlay.entries.get(mac)
        if isinstance(entry, Pending):
            overlay.shares.waiting.give(entry.waiting.size)
            overlay.drop("blocked", len(entry.waiting.packets))
        had_rows = _has_rows(entry)
        overlay.put(mac, Blocked(now))
        if had_rows:
            overlay.remove_rows([mac], out)

    def delete_entry(self, mac: bytes, out: list[Command]) -> None:
        """The administrator wants a MAC forgotten, whoever said it."""
        self._forget(mac, out)

    def flush(self, out: list[Command]) -> None:
        """The administrator wants all forgotten that the plugin said."""
        overlay = self._overlay
        rows = []
        for mac, entry in list(overlay.entries.items()):
            if is_administrators(entry):
                continue
            if isinstance(entry, Pending):
                self._resolution.ask_anew(mac, entry, out)
                continue
            if _has_rows(entry):
                rows.append(mac)
            overlay.forget(mac)
        overlay.remove_rows(rows, out)

    # -- the kernel ----------------------------------------------------------------------------

    def relocate(self, now: float, out: list[Command]) -> None:
        """The addresses that lead to this host changed."""
        overlay = self._overlay
        before, self._local = self._local, overlay.here.addresses
        overlay.checks.clear()
        if not overlay.has_target_at(before ^ self._local):
            self._report_default(out)
            return
        here: list[bytes] = []
        away: dict[Target, list[bytes]] = {}
        moved: dict[Valid, Valid] = {}
        for mac, entry in list(overlay.entries.items()):
            valid = valid_of(entry)
            if valid is None:
                continue
            local = overlay.here.has_all(valid.targets)
            if local != valid.local:
                if valid not in moved:
                    rows_at = NEVER if local else now + ROWS_GRACE
                    moved[valid] = structs.replace(
                        valid, local=local, rows_at=rows_at, refused=False
                    )
                # A refresh of what becomes local was asked for before, so it must not count.
                overlay.put(mac, moved[valid] if local else with_valid(entry, moved[valid]))
                if local and isinstance(entry, Refreshing):
                    self._resolution.expire(moved[valid], [mac], now)
            if mac[0] & 1:
                out.append(InstallReplicas(overlay.name, mac, overlay.here.others(valid.targets)))
            elif local and not valid.local:
                here.append(mac)
            elif valid.local and not local:
                away.setdefault(valid.targets[0], []).append(mac)
        overlay.remove_rows(here, out)
        out.extend(Install(overlay.name, target, macs, []) for target, macs in away.items())
        self._report_default(out)

    def learned(self, macs: Iterable[bytes], now: float, out: list[Command]) -> None:
        """The kernel saw MACs as sources on a guest's port: those of other hosts are taken back."""
        overlay = self._overlay
        macs = list(macs)
        overlay.learned.update(macs)
        for mac in macs:
            valid = valid_of(overlay.entries.get(mac))
            if valid is not None and not valid.local:
                overlay.install(valid, [mac], [], out)
        self._resolution.verification.begin(macs, now, out)

    def forgotten(self, macs: Iterable[bytes]) -> None:
        """The kernel no longer has MACs on a guest's port."""
        self._overlay.learned.difference_update(macs)

    def refused(self, macs: Iterable[bytes], error: str, now: float, out: list[Command]) -> None:
        """The kernel refused rows: their frames go by way of varpd, and rows are tried later."""
        overlay = self._overlay
        macs = list(macs)
        overlay.counters["rows-refused"] += len(macs)
        for mac in macs:
            entry = overlay.entries.get(mac)
            valid = valid_of(entry)
            if entry is not None and valid is not None:
                later = structs.replace(valid, rows_at=now + REFUSED_RETRY, refused=True)
                overlay.put(mac, with_valid(entry, later))
        text = f"the kernel refused {len(macs)} rows: {error}"
        overlay.complain("refused", text, out)
        overlay.refused_at = now
        overlay.agenda.plan(now + 3 * REFUSED_RETRY, ClearRefusals())

    # -- moves ---------------------------------------------------------------------------------

    def _set(
        self, mac: bytes, target: Target, origin: Origin, now: float, out: list[Command]
    ) -> None:
        """Put a target in the place of whatever is known; frames that wait are sent."""
        overlay = self._overlay
        before = overlay.entries.get(mac)
        packets: list[bytes] = []
        since = 0.0
        if isinstance(before, Pending):
            packets, since = before.waiting.packets, before.waiting.since
            overlay.shares.waiting.give(before.waiting.size)
        valid = overlay.valid((target,), now, origin)
        overlay.put(mac, valid)
        if origin is Origin.PLUGIN:
            self._resolution.expire(valid, [mac], now)
        if self._resolution.confirms(before, valid):
            return
        if valid.local and _has_rows(before):
            overlay.remove_rows([mac], out)
        overlay.install(valid, [mac], packets, out, since)

    def _forget(self, mac: bytes, out: list[Command]) -> None:
        """Forget a MAC; frames that wait are asked about anew."""
        overlay = self._overlay
        self._adoption.deny(mac)
        entry = overlay.entries.get(mac)
        if isinstance(entry, Pending):
            self._resolution.ask_anew(mac, entry, out)
            return
        overlay.forget(mac)
        if _has_rows(entry):
            overlay.remove_rows([mac], out)

    def _report_default(self, out: list[Command]) -> None:
        overlay = self._overlay
        if overlay.default is None:
            return
        local = overlay.here.has(overlay.default)
        if local != overlay.default_local:
            overlay.default_local = local
            text = f"the target {overlay.default} is this host" if local else None
            overlay.complain("default", text, out)


def _has_rows(entry: Entry | None) -> bool:
    valid = valid_of(entry)
    return valid is not None and not valid.local
