"""What the tables of a tunnel device hold that an earlier daemon made, told apart row by row.

A unicast MAC has two rows that are one: see `varpd.datapath.linux.rows`. One of them alone, a row
of the bridge that guests could draw to their own port, or a MAC that the device sends to several
targets is torn. A group MAC has rows in the device's table only, one for each target.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from varpd.datapath.linux import netlink, tables
from varpd.datapath.linux.netlink import FdbRow
from varpd.engine.events import RowsAdopted
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO
from varpd.provider.answers import Target

SLICE: Final = 512
"""MACs told in one event: about a millisecond."""

Meant = tuple[bytes, tuple[Target, ...]]
"""A MAC, and where its rows lead."""


class Found(Struct):
    """The rows that a tunnel device and its bridge have."""

    rows: list[Meant]
    """MACs whose rows are as varpd writes them."""

    torn: list[Meant]
    """Other MACs, with the target that is meant; none where that cannot be told."""

    defaults: list[Target]
    """Where the device sends what it has no row for."""

    def events(self, overlay: str) -> Iterator[RowsAdopted]:
        """Yield what the engine has to know of it, in slices."""
        for at in range(0, len(self.rows), SLICE):
            yield RowsAdopted(overlay, self.rows[at : at + SLICE], [])
        for at in range(0, len(self.torn), SLICE):
            yield RowsAdopted(overlay, [], self.torn[at : at + SLICE])


def read(device: int, listen_port: int, mode: Mode) -> Found:
    """Read the tables of a tunnel device; blocks, for seconds where they are large."""
    return sort(tables.whole_fdb(device), listen_port, mode)


def sort(found: Iterable[FdbRow], listen_port: int, mode: Mode) -> Found:
    """Tell rows apart, as they were read of one device.

    In POINT mode what the bridge has on the device it has learned, and that is as it should be.
    """
    bridged: dict[bytes, bool] = {}
    destinations: dict[bytes, tuple[Target, ...]] = {}
    interned: dict[tuple[bytes, int | None], Target] = {}
    for row in found:
        if row.master:
            if not (row.state & netlink.NUD_PERMANENT or mode is Mode.POINT):
                bridged[row.mac] = bridged.get(row.mac, True) and _is_ours(row)
        elif row.destination:
            key = (row.destination, row.port)
            target = interned.get(key)
            if target is None:
                # The kernel leaves out a port that is the device's own.
                target = Target(ip=netlink.ip_of(row.destination), port=row.port or listen_port)
                interned[key] = target
            destinations[row.mac] = (*destinations.get(row.mac, ()), target)
    defaults = list(destinations.pop(ZERO, ()))
    rows: list[Meant] = []
    torn: list[Meant] = []
    for mac, targets in destinations.items():
        whole = bridged.pop(mac, False)
        if mac[0] & 1 or (whole and len(targets) == 1):
            rows.append((mac, targets))
        else:
            torn.append((mac, targets if len(targets) == 1 else ()))
    torn += [(mac, ()) for mac in bridged]
    return Found(rows, torn, defaults)


def _is_ours(row: FdbRow) -> bool:
    """Return whether a row of the bridge stays where it is, whatever guests send."""
    return bool(row.flags & netlink.NTF_STICKY and row.state & netlink.NUD_NOARP) and not row.vlan
