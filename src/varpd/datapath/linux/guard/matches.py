"""What rules of the guard look at, as steps of rules."""

import struct
import sys
from typing import Final

from varpd.datapath.linux.nft import expressions, objects
from varpd.datapath.linux.nft.expressions import Base, Compare, Expression, Meta, Verdict

UDP: Final = 17
ICMP: Final = 1
ICMPV6: Final = 58
NFPROTO: Final = {4: 2, 6: 10}
ETHERTYPE: Final = {4: 0x0800, 6: 0x86DD}
DESTINATION_AT: Final = {4: 16, 6: 24}
SOURCE_AT: Final = {4: 12, 6: 8}
DESTINATION_PORT_AT: Final = 2
_VNI_AT: Final = 12
"""Behind the ports, length and checksum of UDP, and the flags of VXLAN (RFC 7348, section 5)."""

_U16: Final = struct.Struct("!H")
_U32: Final = struct.Struct("!I")
_VNI_SHIFT: Final = 8
_UNICAST: Final = 1
"""RTN_UNICAST: the route leads to another host."""

_LOOPBACK: Final = 1


def tunnel_key(port: int, vnetid: int) -> bytes:
    """Return the key that `TUNNEL` loads of a datagram."""
    return objects.key(_U16.pack(port), _U32.pack(vnetid << _VNI_SHIFT))


def port_key(port: int) -> bytes:
    """Return a port as a key of a set."""
    return _U16.pack(port)


def index(number: int) -> bytes:
    """Return the index of an interface, or a user, as the kernel compares it."""
    return number.to_bytes(4, sys.byteorder)


TUNNEL: Final = (
    expressions.meta(Meta.L4PROTO),
    expressions.compare(bytes([UDP])),
    expressions.payload(Base.TRANSPORT, DESTINATION_PORT_AT, 2),
    # The vnetid and a reserved byte, which the kernel wants to be zero.
    expressions.payload(Base.TRANSPORT, _VNI_AT, 4, 1),
)
"""A UDP datagram, and its port and vnetid as the key of a look-up."""

PORT: Final = TUNNEL[:3]
"""A UDP datagram, and its port."""

VNETID: Final = (expressions.payload(Base.TRANSPORT, _VNI_AT, 4),)
"""That there is a vnetid."""


def for_somebody_here() -> tuple[Expression, ...]:
    """Go on with what is for this host, or for several hosts, and not just on its way elsewhere."""
    return expressions.route_type(), expressions.compare(index(_UNICAST), Compare.UNEQUAL)


def counted_drop() -> tuple[Expression, ...]:
    """Drop, and count."""
    return expressions.counter(), expressions.verdict(Verdict.DROP)


def has(key: Meta, value: bytes, how: Compare = Compare.EQUAL) -> tuple[Expression, ...]:
    """Go on if what is known beside the bytes is `value`, or compares to it as said."""
    return expressions.meta(key), expressions.compare(value, how)


def by_loopback(how: Compare = Compare.EQUAL) -> tuple[Expression, ...]:
    """Go on with what came by `lo`, or with what did not."""
    return has(Meta.IIF, index(_LOOPBACK), how)
