"""The MACs that an overlay's bridge has on guests' ports, and what changed since it was last told.

Pure: the monitor feeds it.
"""

from collections.abc import Iterable
from typing import Final

MACS_MAX: Final = 16_384
"""MACs kept for one overlay: four times what its bridge learns by itself. Rows beyond that can
only have been put there by an administrator; they are counted and passed over."""

_NO_VLANS: Final[frozenset[int]] = frozenset()


class LearnedMacs:
    """The MACs of one overlay. A MAC may have a row for each VLAN; it is known while it has one."""

    def __init__(self) -> None:
        self.passed_over = 0
        """Rows that there was no room for."""

        self._vlans: dict[bytes, frozenset[int]] = {}
        self._told: set[bytes] = set()
        self._touched: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._vlans)

    def add(self, mac: bytes, vlan: int) -> None:
        """A guest's port has a row."""
        vlans = self._vlans.get(mac)
        if vlans is None:
            if len(self._vlans) >= MACS_MAX:
                self.passed_over += 1
                return
            self._touched.add(mac)
            vlans = _NO_VLANS
        self._vlans[mac] = vlans | {vlan}

    def remove(self, mac: bytes, vlan: int) -> None:
        """No guest's port has that row any more."""
        vlans = self._vlans.get(mac)
        if vlans is None or vlan not in vlans:
            return
        if len(vlans) > 1:
            self._vlans[mac] = vlans - {vlan}
        else:
            self.discard(mac)

    def discard(self, mac: bytes) -> None:
        """No guest's port has the MAC any more, in whatever VLAN."""
        if self._vlans.pop(mac, None) is not None:
            self._touched.add(mac)

    def replace(self, rows: Iterable[tuple[bytes, int]]) -> None:
        """These MACs, with their VLANs, are all that there are."""
        self._touched.update(self._vlans)
        self._vlans.clear()
        for mac, vlan in rows:
            self.add(mac, vlan)

    def changes(self) -> tuple[list[bytes], list[bytes]]:
        """Return the MACs that are new and those that are gone since this was last asked."""
        new, gone = [], []
        for mac in self._touched:
            if mac in self._vlans and mac not in self._told:
                new.append(mac)
            elif mac not in self._vlans and mac in self._told:
                gone.append(mac)
        self._touched.clear()
        self._told.update(new)
        self._told.difference_update(gone)
        return new, gone
