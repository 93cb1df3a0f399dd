"""What the drift monitor makes of the kernel's messages."""

import socket
import struct

from varpd.datapath.linux import netlink
from varpd.datapath.linux.drift_monitor import DriftMonitor
from varpd.datapath.linux.netlink import FdbRow

BRIDGE, DEVICE, PORT, STRANGER = 6, 7, 8, 99
MAC, OTHER = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
ZERO = bytes(6)
NEW, GONE = netlink.RTM_NEWNEIGH, netlink.RTM_DELNEIGH


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, set[bytes], set[bytes]]] = []
        self.defaults: list[FdbRow | None] = []
        self.links: list[str] = []
        self.others: list[str] = []

    def rows_touched(self, overlay: str, written: set[bytes], removed: set[bytes]) -> None:
        self.rows.append((overlay, written, removed))

    def default_touched(self, overlay: str, row: FdbRow | None) -> None:
        self.defaults.append(row)

    def links_touched(self, overlay: str) -> None:
        self.links.append(overlay)

    def loopback_touched(self) -> None:
        self.others.append("loopback")

    def overflowed(self) -> None:
        self.others.append("overflow")


def row(kind: int, mac: bytes, ifindex: int = DEVICE, flags: int = 2, master: int = 0) -> bytes:
    body = netlink.NDMSG.pack(socket.AF_BRIDGE, ifindex, netlink.NUD_NOARP, flags, 0)
    body += netlink.attribute(netlink.NDA_LLADDR, mac)
    if master:
        body += netlink.attribute(9, struct.pack("=I", master))
    else:
        body += netlink.attribute(netlink.NDA_DST, b"\xc0\0\2\x63")
    return netlink.HEADER.pack(16 + len(body), kind, 0, 0, 0) + body


def link(kind: int, index: int, master: int = 0) -> bytes:
    body = struct.pack("=BxHiII", 0, 0, index, 0, 0)
    if master:
        body += netlink.attribute(10, struct.pack("=I", master))
    return netlink.HEADER.pack(16 + len(body), kind, 0, 0, 0) + body


def address(kind: int, index: int) -> bytes:
    body = struct.pack("=BBBBi", socket.AF_INET, 8, 0, 0, index)
    body += netlink.attribute(2, b"\x7f\0\0\x01")
    return netlink.HEADER.pack(16 + len(body), kind, 0, 0, 0) + body


def heard(*datagrams: bytes) -> Heard:
    ear = Heard()
    monitor = DriftMonitor(ear)
    monitor.watch("blue", BRIDGE, DEVICE, [PORT])
    for data in datagrams:
        for message in netlink.messages(data):
            monitor.take(data, message)
    monitor.tell()
    return ear


def test_rows_of_one_overlay_are_told_together() -> None:
    ear = heard(row(NEW, MAC), row(GONE, OTHER), row(GONE, OTHER, master=BRIDGE, flags=0x40))
    assert ear.rows == [("blue", {MAC}, {OTHER})]


def test_a_static_row_on_a_guests_port_is_told() -> None:
    assert heard(row(NEW, MAC, PORT, 0, BRIDGE)).rows == [("blue", {MAC}, set())]


def test_rows_of_others_are_not_told() -> None:
    ear = heard(row(NEW, MAC, STRANGER), row(NEW, MAC, STRANGER, 0, STRANGER))
    assert ear.rows == []


def test_rows_of_the_bridge_itself_are_not_told() -> None:
    assert heard(row(NEW, MAC, BRIDGE, 0, BRIDGE)).rows == []


def test_default_rows_are_told_with_their_destination() -> None:
    ear = heard(row(NEW, ZERO), row(GONE, ZERO))
    first, second = ear.defaults
    assert first is not None
    assert first.destination == b"\xc0\0\2\x63"
    assert second is None
    assert ear.rows == []


def test_links_and_ports_are_told_once() -> None:
    assert heard(link(netlink.RTM_NEWLINK, DEVICE), link(netlink.RTM_DELLINK, BRIDGE)).links == [
        "blue"
    ]
    assert heard(link(netlink.RTM_NEWLINK, PORT)).links == ["blue"]
    assert heard(link(netlink.RTM_NEWLINK, 55, BRIDGE)).links == ["blue"]
    assert heard(link(netlink.RTM_NEWLINK, 55)).links == []


def test_loopback_is_told() -> None:
    assert heard(address(netlink.RTM_DELADDR, 1)).others == ["loopback"]
    assert heard(link(netlink.RTM_NEWLINK, 1)).others == ["loopback"]
    assert heard(address(netlink.RTM_DELADDR, 5)).others == []


def test_an_overlay_that_is_left_is_told_no_more() -> None:
    ear = Heard()
    monitor = DriftMonitor(ear)
    monitor.watch("blue", BRIDGE, DEVICE, [PORT])
    monitor.unwatch("blue")
    for data in (row(NEW, MAC), link(netlink.RTM_NEWLINK, PORT)):
        for message in netlink.messages(data):
            monitor.take(data, message)
    monitor.tell()
    assert ear.rows == []
    assert ear.links == []
