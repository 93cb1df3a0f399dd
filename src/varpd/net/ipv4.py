"""IPv4 header (RFC 791, section 3.1).

 0               1               2               3
+-------+-------+---------------+-------------------------------+
|version|  IHL  |type of service|         total length          |
+-------+-------+---------------+-+-+-+-------------------------+
|        identification         |0|D|M|     fragment offset     |
+---------------+---------------+-+-+-+-------------------------+
| time to live  |   protocol    |        header checksum        |
+---------------+---------------+-------------------------------+
|                        source address                         |
+---------------------------------------------------------------+
|                      destination address                      |
+---------------------------------------------------------------+
|                  options (0 to 40 bytes) ...                  |
+---------------------------------------------------------------+
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import ClassVar, Final, Self

from varpd.net.checksum import internet_checksum
from varpd.net.decode import DecodeError, Reason
from varpd.net.fields import UINT8_MAX, UINT13_MAX, UINT16_MAX, check_range, check_size

VERSION: Final = 4

DEFAULT_TTL: Final = 64
"""Time to live recommended for packets of one's own (RFC 1700; IANA, "IP Parameters")."""

OPTIONS_MAX: Final = 40
"""Bytes of options that the header length, 15 words at most, leaves room for."""

_LAYOUT = struct.Struct("!BBHHHBBH4s4s")
_WORD: Final = 4
_IHL_MASK: Final = 0x0F
_CHECKSUM_AT: Final = 10
_CHECKSUM = struct.Struct("!H")
_DONT_FRAGMENT: Final = 1 << 14
_MORE_FRAGMENTS: Final = 1 << 13
_OFFSET_MASK: Final = UINT13_MAX


@dataclass(frozen=True, slots=True)
class Packet:
    """An IPv4 packet, or a fragment of one."""

    HEADER_SIZE: ClassVar[int] = _LAYOUT.size
    """Bytes in the header without options."""

    src: IPv4Address
    dst: IPv4Address
    protocol: int
    """Protocol of the payload, 0 to 255."""

    payload: bytes
    """What the total length says belongs to the packet: Ethernet padding is not in it."""

    ttl: int = DEFAULT_TTL
    """Time to live, 0 to 255 hops."""

    tos: int = 0
    """Type of service: DSCP and ECN, 8 bits."""

    identification: int = 0
    """The same number in every fragment of one packet, 16 bits."""

    dont_fragment: bool = False
    more_fragments: bool = False
    """Whether this is a fragment and not the last."""

    fragment_offset: int = 0
    """Where the payload belongs in that of the whole packet, in units of 8 bytes."""

    options: bytes = b""
    """Options as they stand on the wire, a multiple of 4 bytes, 40 at most."""

    def __post_init__(self) -> None:
        check_range("protocol", self.protocol, UINT8_MAX)
        check_range("time to live", self.ttl, UINT8_MAX)
        check_range("type of service", self.tos, UINT8_MAX)
        check_range("identification", self.identification, UINT16_MAX)
        check_range("fragment offset", self.fragment_offset, UINT13_MAX)
        check_range("size of options", len(self.options), OPTIONS_MAX)
        if len(self.options) % _WORD:
            raise ValueError(f"options of {len(self.options)} bytes do not fill words of 4")
        check_range("total length", self._total_length, UINT16_MAX)

    @property
    def _header_length(self) -> int:
        return _LAYOUT.size + len(self.options)

    @property
    def _total_length(self) -> int:
        return self._header_length + len(self.payload)

    @property
    def is_fragment(self) -> bool:
        """Whether the payload is only a part of that of the packet sent."""
        return self.more_fragments or self.fragment_offset > 0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the payload of a frame; what is behind the packet is passed over.

        Raises:
            DecodeError: `data` ends before the packet does, or the version, a length or the
                header checksum is wrong.
        """
        check_size("IPv4 header", data, _LAYOUT.size)
        (first, tos, total, ident, fragment, ttl, protocol, _, src, dst) = _LAYOUT.unpack_from(data)
        if first >> 4 != VERSION:
            raise DecodeError(Reason.IPV4_VERSION, f"IPv4 header of version {first >> 4}")
        header = (first & _IHL_MASK) * _WORD
        if header < _LAYOUT.size:
            raise DecodeError(Reason.IPV4_LENGTH, f"IPv4 header length of {header} bytes")
        if total < header:
            raise DecodeError(
                Reason.IPV4_LENGTH, f"IPv4 total length {total} below the header's {header}"
            )
        check_size("IPv4 packet", data, total)
        if internet_checksum(data[:header]) != 0:
            raise DecodeError(Reason.IPV4_CHECKSUM, "IPv4 header checksum does not match")
        return cls(
            src=IPv4Address(src),
            dst=IPv4Address(dst),
            protocol=protocol,
            payload=data[header:total],
            ttl=ttl,
            tos=tos,
            identification=ident,
            dont_fragment=bool(fragment & _DONT_FRAGMENT),
            more_fragments=bool(fragment & _MORE_FRAGMENTS),
            fragment_offset=fragment & _OFFSET_MASK,
            options=data[_LAYOUT.size : header],
        )

    def serialize(self) -> bytes:
        """Return the packet as it goes on the wire, the reserved flag zero."""
        fragment = self.fragment_offset
        if self.dont_fragment:
            fragment |= _DONT_FRAGMENT
        if self.more_fragments:
            fragment |= _MORE_FRAGMENTS
        header = bytearray(
            _LAYOUT.pack(
                VERSION << 4 | self._header_length // _WORD,
                self.tos,
                self._total_length,
                self.identification,
                fragment,
                self.ttl,
                self.protocol,
                0,
                self.src.packed,
                self.dst.packed,
            )
        )
        header += self.options
        _CHECKSUM.pack_into(header, _CHECKSUM_AT, internet_checksum(header))
        return bytes(header) + self.payload
