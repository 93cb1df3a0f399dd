"""Framing of netlink messages, and the few of rtnetlink's that are read here.

See netlink(7) and rtnetlink(7).

 nlmsghdr        length | type | flags | sequence | port             16 bytes, host byte order
 body            ndmsg, ifaddrmsg or ifinfomsg
 attributes      length | type | value, each begun at a multiple of four bytes

This is for what comes in thousands: rows, dumps of tables and the kernel's notifications.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from msgspec import Struct

from varpd.net.addresses import MAC_SIZE, IpAddress

SOL_NETLINK: Final = 270
"""Level of the options of netlink sockets; Python's socket module does not have it."""

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22
RTM_NEWNEIGH: Final = 28
RTM_DELNEIGH: Final = 29
RTM_GETNEIGH: Final = 30

NLM_F_REQUEST: Final = 0x01
NLM_F_DUMP: Final = 0x300
NLM_F_DUMP_INTR: Final = 0x10
"""On a message of a dump: the table changed meanwhile, so that something may be missing."""

NTF_SELF: Final = 0x02
"""The row is in the FDB of the device itself."""

NTF_MASTER: Final = 0x04
"""The row is in the FDB of the device's bridge."""

NTF_STICKY: Final = 0x40
"""The row stays, whatever the bridge learns. All rows that varpd writes into a bridge are so."""

NUD_NOARP: Final = 0x40
"""The row does not age."""

NUD_PERMANENT: Final = 0x80
"""In the FDB of a bridge: the MAC of the port itself."""

HEADER: Final = struct.Struct("=IHHII")
NDMSG: Final = struct.Struct("=BxxxiHBB")
_IFADDRMSG: Final = struct.Struct("=BBBBi")
_IFINFOMSG: Final = struct.Struct("=BxHiII")
ATTRIBUTE: Final = struct.Struct("=HH")
_U32: Final = struct.Struct("=I")
ERROR: Final = struct.Struct("=i")
_PORT: Final = struct.Struct("!H")
_VLAN: Final = struct.Struct("=H")
_CACHEINFO: Final = struct.Struct("=IIII")
_TYPE_MASK: Final = 0x3FFF
_ALIGNMENT: Final = 4

TICKS: Final = os.sysconf("SC_CLK_TCK")
"""Clock ticks a second, the kernel's unit for times given to programs."""

NDA_DST: Final = 1
NDA_LLADDR: Final = 2
NDA_CACHEINFO: Final = 3
_NDA_VLAN: Final = 5
NDA_PORT: Final = 6
NDA_VNI: Final = 7
NDA_IFINDEX: Final = 8
_NDA_MASTER: Final = 9
NDA_NH_ID: Final = 13
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFLA_IFNAME: Final = 3
_IFLA_MASTER: Final = 10
_IFLA_LINKINFO: Final = 18
_IFLA_INFO_SLAVE_DATA: Final = 5
_IFLA_BRPORT_GROUP_FWD_MASK: Final = 31
_IFLA_EXT_MASK: Final = 29
_RTEXT_FILTER_SKIP_STATS: Final = 8
_NO_BYTES: Final = b""
_IPV4_SIZE: Final = 4
_ADDRESS_SIZES: Final = frozenset({_IPV4_SIZE, 16})


class Message(Struct, frozen=True, gc=False):
    """One message: its type, its flags, and where its body is in the datagram."""

    kind: int
    flags: int
    sequence: int
    start: int
    end: int


class FdbRow(Struct, frozen=True, gc=False):
    """A row of an FDB as the kernel tells it."""

    ifindex: int
    """The device, or the port of the bridge."""

    state: int
    flags: int
    mac: bytes
    destination: bytes
    """Address of the target as it is in the message; empty in a bridge's table."""

    port: int | None
    """Port of the target; None: the device's own."""

    master: int
    """Index of the bridge, 0 in a device's own table."""

    vlan: int
    """VLAN of the row, 0 for none."""

    vni: int | None = None
    """VNI that is sent, where it is not the device's own."""

    via: int = 0
    """Index of the link that frames are sent by, 0: as routes have it."""

    nexthop: int = 0
    """The group of next hops that stands in the place of a destination, 0 for none."""


class LocalAddress(Struct, frozen=True):
    """An address of this network namespace."""

    ifindex: int
    prefix: int
    """Length of the prefix that it was given with."""

    address: bytes


def align(length: int) -> int:
    """Return `length` rounded up to where the next message or attribute begins."""
    return (length + _ALIGNMENT - 1) & -_ALIGNMENT


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute with its padding."""
    length = ATTRIBUTE.size + len(value)
    return ATTRIBUTE.pack(length, kind) + value + bytes(align(length) - length)


def dump_request(kind: int, body: bytes) -> bytes:
    """Return the message that asks for a whole table."""
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body


def fdb_of_port(ifindex: int) -> bytes:
    """Return the request for the rows of one device: those of its bridge and its own."""
    return dump_request(RTM_GETNEIGH, NDMSG.pack(socket.AF_BRIDGE, ifindex, 0, 0, 0))


def all_addresses() -> bytes:
    """Return the request for all addresses, of both families."""
    return dump_request(RTM_GETADDR, _IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0))


def links_of_bridge(ifindex: int) -> bytes:
    """Return the request for the ports of a bridge."""
    body = _IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    body += attribute(_IFLA_MASTER, _U32.pack(ifindex))
    return dump_request(
        RTM_GETLINK, body + attribute(_IFLA_EXT_MASK, _U32.pack(_RTEXT_FILTER_SKIP_STATS))
    )


def fdb_row_deletion(row: FdbRow) -> bytes:
    """Return the message that deletes a row from the one table that it was seen in."""
    flags = NTF_MASTER if row.master else NTF_SELF
    body = NDMSG.pack(socket.AF_BRIDGE, row.ifindex, 0, flags, 0)
    body += attribute(NDA_LLADDR, row.mac)
    if row.vlan:
        body += attribute(_NDA_VLAN, _VLAN.pack(row.vlan))
    return HEADER.pack(HEADER.size + len(body), RTM_DELNEIGH, NLM_F_REQUEST, 0, 0) + body


def destination_deletion(row: FdbRow) -> bytes:
    """Return the message that takes away that one destination of a tunnel device's row."""
    body = NDMSG.pack(socket.AF_BRIDGE, row.ifindex, 0, NTF_SELF, 0)
    body += attribute(NDA_LLADDR, row.mac) + attribute(NDA_DST, row.destination)
    if row.port is not None:
        body += attribute(NDA_PORT, _PORT.pack(row.port))
    if row.vni is not None:
        body += attribute(NDA_VNI, _U32.pack(row.vni))
    if row.via:
        body += attribute(NDA_IFINDEX, _U32.pack(row.via))
    return HEADER.pack(HEADER.size + len(body), RTM_DELNEIGH, NLM_F_REQUEST, 0, 0) + body


def hear_kernel_only(opened: socket.socket) -> None:
    """Have a netlink socket take nothing from other programs, which may be privileged enough.

    A connected one refuses what does not come from its peer, here the kernel (netlink_unicast of
    net/netlink/af_netlink.c); what is told to a group comes from the kernel in any case.

    Raises:
        OSError: the kernel refuses.
    """
    opened.connect((0, 0))


def messages(data: bytes) -> Iterator[Message]:
    """Read the messages of one datagram from the kernel."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, at)
        length = max(length, HEADER.size)
        yield Message(kind, flags, sequence, at + HEADER.size, min(at + length, len(data)))
        at += align(length)


def error_of(data: bytes, message: Message) -> int:
    """Return the error number in an NLMSG_ERROR or NLMSG_DONE, 0 for none."""
    if message.end - message.start < ERROR.size:
        return 0
    (number,) = ERROR.unpack_from(data, message.start)
    return -int(number)


def attributes(data: bytes, at: int, end: int) -> dict[int, bytes]:
    """Read the attributes that stand from `at` to `end`, by number; what is cut off ends them."""
    found = {}
    while at + ATTRIBUTE.size <= end:
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if length < ATTRIBUTE.size:
            break
        if at + length > end:
            break
        found[kind & _TYPE_MASK] = data[at + ATTRIBUTE.size : at + length]
        at += align(length)
    return found


def parse_fdb_row(data: bytes, message: Message) -> FdbRow | None:
    """Read an RTM_NEWNEIGH or RTM_DELNEIGH; None if it is about no row of an FDB, or cut off."""
    if message.end - message.start < NDMSG.size:
        return None
    family, ifindex, state, flags, _ = NDMSG.unpack_from(data, message.start)
    if family != socket.AF_BRIDGE:
        return None
    found = attributes(data, message.start + NDMSG.size, message.end)
    mac = found.get(NDA_LLADDR, _NO_BYTES)
    destination = found.get(NDA_DST, _NO_BYTES)
    if len(mac) != MAC_SIZE or (destination and len(destination) not in _ADDRESS_SIZES):
        return None
    return FdbRow(
        ifindex,
        state,
        flags,
        mac,
        destination,
        _number(_PORT, found.get(NDA_PORT)),
        _number(_U32, found.get(_NDA_MASTER)) or 0,
        _number(_VLAN, found.get(_NDA_VLAN)) or 0,
        _number(_U32, found.get(NDA_VNI)),
        _number(_U32, found.get(NDA_IFINDEX)) or 0,
        _number(_U32, found.get(NDA_NH_ID)) or 0,
    )


def row_ages(data: bytes, message: Message) -> tuple[float | None, float | None]:
    """Return how many seconds ago the row of an RTM_NEWNEIGH carried a frame, and was written."""
    times = attributes(data, message.start + NDMSG.size, message.end).get(NDA_CACHEINFO)
    if times is None or len(times) < _CACHEINFO.size:
        return None, None
    # confirmed, used, updated, references: struct nda_cacheinfo.
    _, used, updated, _ = _CACHEINFO.unpack_from(times)
    return used / TICKS, updated / TICKS


def _number(form: struct.Struct, value: bytes | None) -> int | None:
    """Return the number in an attribute; None if there is none, or none of that size."""
    return None if value is None or len(value) != form.size else int(form.unpack(value)[0])


def parse_address(data: bytes, message: Message) -> LocalAddress | None:
    """Read an RTM_NEWADDR or RTM_DELADDR; None if there is no address in it, or it is cut off."""
    if message.end - message.start < _IFADDRMSG.size:
        return None
    _, prefix, _, _, ifindex = _IFADDRMSG.unpack_from(data, message.start)
    found = attributes(data, message.start + _IFADDRMSG.size, message.end)
    # On a point-to-point link IFA_ADDRESS is the other side's.
    address = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if address is None or len(address) not in _ADDRESS_SIZES:
        return None
    return LocalAddress(ifindex, prefix, address)


def parse_port(data: bytes, message: Message) -> tuple[int, str, int] | None:
    """Read an RTM_NEWLINK or RTM_DELLINK.

    Returns:
        The index and name of a link, and the index of its bridge or 0; None if it is cut off.
    """
    if message.end - message.start < _IFINFOMSG.size:
        return None
    _, _, ifindex, _, _ = _IFINFOMSG.unpack_from(data, message.start)
    found = attributes(data, message.start + _IFINFOMSG.size, message.end)
    name = found.get(_IFLA_IFNAME, _NO_BYTES).rstrip(b"\0").decode(errors="replace")
    return ifindex, name, _number(_U32, found.get(_IFLA_MASTER)) or 0


def port_forwards(data: bytes, message: Message) -> int:
    """Read of an RTM_NEWLINK which reserved addresses a port of a bridge forwards (a mask)."""
    found = attributes(data, message.start + _IFINFOMSG.size, message.end)
    for kind in (_IFLA_LINKINFO, _IFLA_INFO_SLAVE_DATA, _IFLA_BRPORT_GROUP_FWD_MASK):
        value = found.get(kind, _NO_BYTES)
        found = attributes(value, 0, len(value))
    return int.from_bytes(value, sys.byteorder)


def ip_of(packed: bytes) -> IpAddress:
    """Return the address that is packed in 4 or 16 bytes."""
    return IPv4Address(packed) if len(packed) == _IPV4_SIZE else IPv6Address(packed)
