"""What the kernel's rows of a MAC amount to, and whether they are as varpd writes them."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from varpd.datapath.linux import netlink, tables
from varpd.datapath.linux.netlink import FdbRow
from varpd.datapath.linux.rows import GROUP_BIT, Table
from varpd.engine.events import FoundRow
from varpd.provider.answers import Target

GROUPS_MAX: Final = 4096
"""Rows of a table that is read for its group MACs: that takes the row writer up to 20 ms."""

_STAYS: Final = netlink.NUD_NOARP | netlink.NUD_PERMANENT


def found(table: Table, own: FdbRow | None, bridge: FdbRow | None) -> FoundRow:
    """Return what a unicast MAC's rows in the tunnel device and in the bridge amount to."""
    faults = [] if own is None else own_faults(own)
    own_address = bridge is not None and bridge.state & netlink.NUD_PERMANENT
    bridged = bridge is not None and bridge.ifindex == table.ifindex and not own_address
    if own_address:
        faults.append("the bridge takes it for its own")
    elif bridge is not None and not bridged:
        faults.append(f"the bridge has it on the port with index {bridge.ifindex}")
    elif bridge is not None and not bridge.flags & netlink.NTF_STICKY:
        faults.append("the bridge's row is not sticky")
    return FoundRow(() if own is None else targets(table, [own]), bridged, ", ".join(faults))


def own_faults(row: FdbRow) -> list[str]:
    """Return in what a row of a tunnel device is not as varpd writes it, but for the target."""
    faults = []
    if row.nexthop:
        faults.append(f"by the next-hop group {row.nexthop}")
    if row.vni is not None:
        faults.append(f"with VNI {row.vni}")
    if row.via:
        faults.append(f"by the link with index {row.via}")
    if not row.state & _STAYS:
        faults.append("it would age")
    if not row.flags & netlink.NTF_STICKY:
        faults.append("somebody else wrote it")
    return faults


def targets(table: Table, rows: Iterable[FdbRow]) -> tuple[Target, ...]:
    """Return the destinations of a tunnel device's rows."""
    return tuple(
        Target(ip=netlink.ip_of(row.destination), port=row.port or table.listen_port)
        for row in rows
        if row.destination
    )


def groups(table: Table) -> dict[bytes, FoundRow] | None:
    """Return the rows of all group MACs in a small table; None: it is not small.

    They cannot be asked for one by one: the kernel tells but one destination then.
    """
    rows = list(islice(tables.fdb_rows(table.ifindex), GROUPS_MAX + 1))
    if len(rows) > GROUPS_MAX:
        return None
    by_mac: dict[bytes, list[FdbRow]] = {}
    for row in rows:
        if not row.master and row.mac[0] & GROUP_BIT:
            by_mac.setdefault(row.mac, []).append(row)
    return {
        mac: FoundRow(
            targets(table, some),
            fault=", ".join(dict.fromkeys(fault for row in some for fault in own_faults(row))),
        )
        for mac, some in by_mac.items()
    }
