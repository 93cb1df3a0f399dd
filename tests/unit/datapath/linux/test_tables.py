"""What is made of the rows that the kernel dumps."""

from collections.abc import Iterator

import pytest

from support.linux_host import target
from varpd.datapath.base import Row
from varpd.datapath.linux import netlink, tables
from varpd.datapath.linux.netlink import FdbRow
from varpd.net.addresses import ZERO, parse_ip

DEVICE, BRIDGE, LISTEN_PORT = 7, 3, 4789
WHOLE, HALF, GROUP = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", b"\1\0\x5e\0\0\1"


def own(mac: bytes, ip: str, port: int | None = None) -> FdbRow:
    return FdbRow(DEVICE, 0x42, netlink.NTF_SELF, mac, parse_ip(ip).packed, port, 0, 0)


def of_bridge(mac: bytes, state: int = 0x40) -> FdbRow:
    return FdbRow(DEVICE, state, netlink.NTF_STICKY, mac, b"", None, BRIDGE, 0)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[FdbRow]:
    """The rows that the kernel has."""
    rows: list[FdbRow] = []

    def fdb_rows(ifindex: int) -> Iterator[FdbRow]:
        assert ifindex == DEVICE
        return iter(rows)

    monkeypatch.setattr(tables, "fdb_rows", fdb_rows)
    return rows


def test_a_row_counts_if_both_tables_have_it(kernel: list[FdbRow]) -> None:
    kernel += [
        of_bridge(WHOLE),
        own(WHOLE, "198.51.100.1"),
        own(HALF, "198.51.100.1"),
        of_bridge(b"\2\0\0\0\0\3"),
    ]
    assert tables.read_rows(DEVICE, LISTEN_PORT) == [Row(WHOLE, (target("198.51.100.1"),))]


def test_a_group_mac_needs_no_row_of_the_bridge_and_has_all_its_targets(
    kernel: list[FdbRow],
) -> None:
    kernel += [own(GROUP, "198.51.100.1"), own(GROUP, "2001:db8::1", 99)]
    assert tables.read_rows(DEVICE, LISTEN_PORT) == [
        Row(GROUP, (target("198.51.100.1"), target("2001:db8::1", 99)))
    ]


def test_the_default_row_is_told_apart(kernel: list[FdbRow]) -> None:
    kernel += [own(WHOLE, "198.51.100.1"), own(ZERO, "127.86.0.1", 789), own(ZERO, "127.86.0.2")]
    assert tables.default_targets(DEVICE, LISTEN_PORT) == [
        target("127.86.0.1", 789),
        target("127.86.0.2"),
    ]


def test_there_is_nothing_to_delete_where_only_the_default_row_and_the_port_are(
    kernel: list[FdbRow],
) -> None:
    kernel += [own(ZERO, "127.86.0.1", 789), of_bridge(WHOLE, netlink.NUD_PERMANENT)]
    assert tables.delete_slice(DEVICE) == 0
