"""What the kernel's rows of a MAC amount to."""

from ipaddress import IPv4Address
from typing import Any

import pytest
from msgspec import structs

from varpd.datapath.linux import netlink, tables, verdicts
from varpd.datapath.linux.netlink import FdbRow
from varpd.datapath.linux.rows import Table
from varpd.engine.events import FoundRow
from varpd.provider.answers import Target

DEVICE, BRIDGE = 7, 6
TABLE = Table(DEVICE)
MAC = b"\x02\0\0\0\0\x01"
GROUP = b"\x01\0\x5e\0\0\x01"
STICKY = netlink.NTF_SELF | netlink.NTF_STICKY
TARGET = Target(IPv4Address("192.0.2.2"), 4789)
OWN = FdbRow(DEVICE, netlink.NUD_NOARP | 2, STICKY, MAC, b"\xc0\0\2\2", None, 0, 0)
BRIDGED = FdbRow(DEVICE, netlink.NUD_NOARP, netlink.NTF_STICKY, MAC, b"", None, BRIDGE, 0)


def changed(row: FdbRow, **changes: Any) -> FdbRow:
    return structs.replace(row, **changes)


def test_rows_as_varpd_writes_them() -> None:
    assert verdicts.found(TABLE, OWN, BRIDGED) == FoundRow((TARGET,), bridged=True)


def test_no_rows() -> None:
    assert verdicts.found(TABLE, None, None) == FoundRow()


def test_a_port_that_is_not_the_devices_own() -> None:
    row = changed(OWN, port=4790)
    assert verdicts.found(TABLE, row, BRIDGED).targets == (Target(TARGET.ip, 4790),)


def test_the_devices_own_port_is_that_of_the_table() -> None:
    assert verdicts.targets(Table(DEVICE, listen_port=99), [OWN]) == (Target(TARGET.ip, 99),)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"flags": netlink.NTF_SELF}, "somebody else wrote it"),
        ({"state": 2}, "it would age"),
        ({"vni": 77}, "with VNI 77"),
        ({"via": 3}, "by the link with index 3"),
        ({"nexthop": 5, "destination": b""}, "by the next-hop group 5"),
    ],
)
def test_what_is_odd_about_the_devices_row(changes: dict[str, Any], fault: str) -> None:
    assert verdicts.found(TABLE, changed(OWN, **changes), BRIDGED).fault == fault


def test_a_bridge_row_that_a_guest_may_take() -> None:
    found = verdicts.found(TABLE, OWN, changed(BRIDGED, flags=0))
    assert found == FoundRow((TARGET,), True, "the bridge's row is not sticky")


def test_a_bridge_row_on_a_guests_port() -> None:
    found = verdicts.found(TABLE, OWN, changed(BRIDGED, ifindex=9))
    assert found == FoundRow((TARGET,), False, "the bridge has it on the port with index 9")


def test_an_address_of_the_bridge_itself() -> None:
    found = verdicts.found(TABLE, None, changed(BRIDGED, state=netlink.NUD_PERMANENT))
    assert found == FoundRow((), False, "the bridge takes it for its own")


def test_a_guests_mac_has_no_row_of_ours() -> None:
    found = verdicts.found(TABLE, None, changed(BRIDGED, ifindex=9))
    assert not found.targets
    assert not found.bridged


def test_all_destinations_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    first = changed(OWN, mac=GROUP)
    second = changed(first, destination=b"\xc0\0\2\3")
    dump = [first, BRIDGED, second, OWN]
    monkeypatch.setattr(tables, "fdb_rows", lambda ifindex: iter(dump))
    other = Target(IPv4Address("192.0.2.3"), 4789)
    assert verdicts.groups(TABLE) == {GROUP: FoundRow((TARGET, other))}


def test_a_large_table_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = [OWN] * (verdicts.GROUPS_MAX + 1)
    monkeypatch.setattr(tables, "fdb_rows", lambda ifindex: iter(dump))
    assert verdicts.groups(TABLE) is None
