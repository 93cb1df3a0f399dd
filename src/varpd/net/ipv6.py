"""IPv6 header (RFC 8200, section 3).

 0               1               2               3
+-------+---------------+---------------------------------------+
|version| traffic class |              flow label               |
+-------+---------------+-------+---------------+---------------+
|        payload length         |  next header  |   hop limit   |
+-------------------------------+---------------+---------------+
|                   source address (16 bytes)                   |
+---------------------------------------------------------------+
|                destination address (16 bytes)                 |
+---------------------------------------------------------------+

Extension headers are not taken apart: the first of them is the payload.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import ClassVar, Final, Self

from varpd.net.decode import DecodeError, Reason
from varpd.net.fields import UINT8_MAX, UINT16_MAX, UINT20_MAX, check_range, check_size

VERSION: Final = 6

DEFAULT_HOP_LIMIT: Final = 64
"""Hop limit recommended for packets of one's own (RFC 1700; IANA, "IP Parameters")."""

_LAYOUT = struct.Struct("!IHBB16s16s")
_VERSION_SHIFT: Final = 28
_CLASS_SHIFT: Final = 20


@dataclass(frozen=True, slots=True)
class Packet:
    """An IPv6 packet."""

    HEADER_SIZE: ClassVar[int] = _LAYOUT.size

    src: IPv6Address
    dst: IPv6Address
    next_header: int
    """Protocol of the payload, 0 to 255."""

    payload: bytes
    """What the payload length says belongs to the packet: Ethernet padding is not in it."""

    hop_limit: int = DEFAULT_HOP_LIMIT
    """0 to 255 hops."""

    traffic_class: int = 0
    """DSCP and ECN, 8 bits."""

    flow_label: int = 0
    """20 bits."""

    def __post_init__(self) -> None:
        check_range("next header", self.next_header, UINT8_MAX)
        check_range("hop limit", self.hop_limit, UINT8_MAX)
        check_range("traffic class", self.traffic_class, UINT8_MAX)
        check_range("flow label", self.flow_label, UINT20_MAX)
        check_range("payload length", len(self.payload), UINT16_MAX)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the payload of a frame; what is behind the packet is passed over.

        Raises:
            DecodeError: `data` ends before the packet does, or the version is wrong.
        """
        check_size("IPv6 header", data, cls.HEADER_SIZE)
        first, length, next_header, hop_limit, src, dst = _LAYOUT.unpack_from(data)
        if first >> _VERSION_SHIFT != VERSION:
            raise DecodeError(
                Reason.IPV6_VERSION, f"IPv6 header of version {first >> _VERSION_SHIFT}"
            )
        end = cls.HEADER_SIZE + length
        check_size("IPv6 packet", data, end)
        return cls(
            src=IPv6Address(src),
            dst=IPv6Address(dst),
            next_header=next_header,
            payload=data[cls.HEADER_SIZE : end],
            hop_limit=hop_limit,
            traffic_class=first >> _CLASS_SHIFT & UINT8_MAX,
            flow_label=first & UINT20_MAX,
        )

    def serialize(self) -> bytes:
        """Return the packet as it goes on the wire."""
        first = VERSION << _VERSION_SHIFT | self.traffic_class << _CLASS_SHIFT | self.flow_label
        header = _LAYOUT.pack(
            first,
            len(self.payload),
            self.next_header,
            self.hop_limit,
            self.src.packed,
            self.dst.packed,
        )
        return header + self.payload
