"""What a sender is told whose packet is too big for the underlay.

A tunnel device that knows a frame's destination answers a packet that does not fit with
"fragmentation needed" or "packet too big", in the name of the packet's destination, as a bridge has
no address to do it in its own. A frame that was punted met no such check, since the way to varpd
has a large MTU: so varpd answers in the same way, or the guest's path MTU discovery would take the
first packet of a conversation to fit, and the next one not.

Answered are exactly the packets that the kernel answers: IPv4 whole and with DF set, and IPv6; to
unicast addresses, and not ICMP errors (RFC 1812, section 4.3.2.7; RFC 4443, section 2.4). All
others are sent on, cut by the underlay.
"""

from typing import Final

from varpd.net import checksum, ethernet, ipv4, ipv6
from varpd.net.addresses import MAC_SIZE
from varpd.net.decode import DecodeError
from varpd.net.ethernet import EtherType

ICMP_PROTOCOL: Final = 1
ICMPV6_PROTOCOL: Final = 58

IPV4_MTU_MIN: Final = 576
"""The least MTU told over IPv4; the kernel tells no less, as every host takes as much."""

IPV6_MTU_MIN: Final = 1280
"""The least MTU of IPv6 (RFC 8200, section 5)."""

_ANSWER_MAX: Final = {4: 576, 6: 1280}
"""Greatest size of an answer with its IP header (RFC 1812, 4.3.2.3; RFC 4443, 2.4)."""

_ICMP_HEADER: Final = 8
_CHECKSUM_AT: Final = slice(2, 4)

# Type 3 code 4 (RFC 792, RFC 1191); type 2 code 0 (RFC 4443, section 3.2).
_FRAGMENTATION_NEEDED: Final = b"\x03\x04"
_PACKET_TOO_BIG: Final = b"\x02\x00"

_ICMP_ERRORS: Final = frozenset({3, 4, 5, 11, 12})
_ICMPV6_INFORMATIONAL: Final = 0x80

_TTL: Final = 64
_GROUP_BIT: Final = 0x01


def answer(frame: bytes, limit: int) -> bytes | None:
    """Return the frame that tells the sender of `frame` that it is too big.

    `limit` is the size of the largest frame that fits. None: the frame fits, or is one that is
    not answered.
    """
    if len(frame) <= limit or frame[0] & _GROUP_BIT:
        return None
    try:
        start = ethernet.header_length(frame)
        kind = ethernet.ethertype_of(frame)
        if kind == EtherType.IPV4:
            packet = _answer_ipv4(frame[start:], limit - start)
        elif kind == EtherType.IPV6:
            packet = _answer_ipv6(frame[start:], limit - start)
        else:
            return None
    except DecodeError:
        return None
    if packet is None:
        return None
    # Back to the sender, in the name of the destination, in the same VLAN.
    return frame[MAC_SIZE : 2 * MAC_SIZE] + frame[:MAC_SIZE] + frame[2 * MAC_SIZE : start] + packet


def _answer_ipv4(data: bytes, mtu: int) -> bytes | None:
    packet = ipv4.Packet.parse(data)
    size = ipv4.Packet.HEADER_SIZE + len(packet.options) + len(packet.payload)
    if size <= mtu or mtu < IPV4_MTU_MIN or not packet.dont_fragment or packet.is_fragment:
        return None
    if packet.protocol == ICMP_PROTOCOL and packet.payload[:1] in _ERROR_BYTES:
        return None
    if packet.dst.is_multicast or packet.dst.packed == b"\xff" * 4 or packet.src.is_unspecified:
        return None
    room = _ANSWER_MAX[4] - ipv4.Packet.HEADER_SIZE - _ICMP_HEADER
    message = bytearray(_FRAGMENTATION_NEEDED + bytes(4) + mtu.to_bytes(2, "big"))
    message += data[: min(size, room)]
    message[_CHECKSUM_AT] = checksum.internet_checksum(message).to_bytes(2, "big")
    return ipv4.Packet(
        src=packet.dst,
        dst=packet.src,
        protocol=ICMP_PROTOCOL,
        payload=bytes(message),
        ttl=_TTL,
        dont_fragment=True,
    ).serialize()


def _answer_ipv6(data: bytes, mtu: int) -> bytes | None:
    packet = ipv6.Packet.parse(data)
    size = ipv6.Packet.HEADER_SIZE + len(packet.payload)
    if size <= mtu or mtu < IPV6_MTU_MIN:
        return None
    if packet.next_header == ICMPV6_PROTOCOL and not (
        packet.payload and packet.payload[0] & _ICMPV6_INFORMATIONAL
    ):
        return None
    if packet.dst.is_multicast or packet.src.is_multicast or packet.src.is_unspecified:
        return None
    room = _ANSWER_MAX[6] - ipv6.Packet.HEADER_SIZE - _ICMP_HEADER
    message = bytearray(_PACKET_TOO_BIG + bytes(2) + mtu.to_bytes(4, "big"))
    message += data[: min(size, room)]
    summed = checksum.pseudo_header(packet.dst, packet.src, ICMPV6_PROTOCOL, len(message))
    message[_CHECKSUM_AT] = checksum.internet_checksum(summed + message).to_bytes(2, "big")
    return ipv6.Packet(
        src=packet.dst,
        dst=packet.src,
        next_header=ICMPV6_PROTOCOL,
        payload=bytes(message),
        hop_limit=_TTL,
    ).serialize()


_ERROR_BYTES: Final = frozenset(bytes((kind,)) for kind in _ICMP_ERRORS)
