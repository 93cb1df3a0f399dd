"""UDP header (RFC 768; over IPv6 also RFC 8200, section 8.1).

 0               1               2               3
+-------------------------------+-------------------------------+
|          source port          |       destination port        |
+-------------------------------+-------------------------------+
|            length             |           checksum            |
+-------------------------------+-------------------------------+
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import ClassVar, Final, Self

from varpd.net.addresses import IpAddress
from varpd.net.checksum import internet_checksum, pseudo_header
from varpd.net.decode import DecodeError, Reason
from varpd.net.fields import UINT16_MAX, check_range, check_size

PROTOCOL: Final = 17
"""Number of UDP as an IP protocol (IANA, "Protocol Numbers")."""

_LAYOUT = struct.Struct("!HHHH")

_NO_CHECKSUM: Final = 0
"""What the field holds if the sender made no checksum; a sum of 0 is sent as 0xffff (RFC 768)."""

PAYLOAD_MAX: Final = UINT16_MAX - _LAYOUT.size
"""Most bytes that the length field leaves for the payload."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP datagram. Its checksum covers the IP addresses, so both directions are told them."""

    HEADER_SIZE: ClassVar[int] = _LAYOUT.size

    src_port: int
    """0 to 65535; 0 is no port (RFC 768)."""

    dst_port: int
    """0 to 65535."""

    payload: bytes
    """At most `PAYLOAD_MAX` bytes."""

    def __post_init__(self) -> None:
        check_range("source port", self.src_port, UINT16_MAX)
        check_range("destination port", self.dst_port, UINT16_MAX)
        check_range("UDP payload size", len(self.payload), PAYLOAD_MAX)

    @classmethod
    def parse(cls, data: bytes, src: IpAddress, dst: IpAddress) -> Self:
        """Read the payload of an IP packet; what is behind the datagram is passed over.

        Raises:
            DecodeError: `data` ends before the datagram does, the length is wrong, or the
                checksum is; none is needed over IPv4, over IPv6 it is.
            ValueError: the addresses are of different families.
        """
        check_size("UDP header", data, cls.HEADER_SIZE)
        src_port, dst_port, length, checksum = _LAYOUT.unpack_from(data)
        if length < cls.HEADER_SIZE:
            raise DecodeError(Reason.UDP_LENGTH, f"UDP length of {length} bytes")
        check_size("UDP datagram", data, length)
        pseudo = pseudo_header(src, dst, PROTOCOL, length)
        if checksum == _NO_CHECKSUM:
            if isinstance(src, IPv6Address):
                raise DecodeError(Reason.UDP_CHECKSUM, "UDP over IPv6 without a checksum")
        elif internet_checksum(pseudo + data[:length]) != 0:
            raise DecodeError(Reason.UDP_CHECKSUM, "UDP checksum does not match")
        return cls(src_port, dst_port, data[cls.HEADER_SIZE : length])

    def serialize(self, src: IpAddress, dst: IpAddress) -> bytes:
        """Return the datagram as it goes on the wire, with its checksum.

        Raises:
            ValueError: the addresses are of different families.
        """
        length = self.HEADER_SIZE + len(self.payload)
        pseudo = pseudo_header(src, dst, PROTOCOL, length)
        header = _LAYOUT.pack(self.src_port, self.dst_port, length, 0)
        # A sum of 0 would say that there is no checksum.
        checksum = internet_checksum(pseudo + header + self.payload) or UINT16_MAX
        return _LAYOUT.pack(self.src_port, self.dst_port, length, checksum) + self.payload
