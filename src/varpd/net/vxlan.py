"""VXLAN header (RFC 7348, section 5).

 0               1               2               3
+-+-+-+-+-+-+-+-+-----------------------------------------------+
|R|R|R|R|I|R|R|R|                   reserved                    |
+---------------------------------------------------------------+
|           network identifier (VNI)            |   reserved    |
+---------------------------------------------------------------+

Reserved bits are sent as zero and not looked at when received.
"""

import struct
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from varpd.net.decode import DecodeError, Reason
from varpd.net.fields import UINT24_MAX, check_range, check_size

PORT: Final = 4789
"""UDP port assigned by IANA."""

VNI_MAX: Final = UINT24_MAX
"""Largest network identifier the 24-bit field holds."""

_LAYOUT = struct.Struct("!B3xI")
_FLAG_VNI: Final = 0x08
_VNI_SHIFT: Final = 8

HEADER_SIZE: Final = _LAYOUT.size
"""Bytes between the UDP header and the encapsulated frame."""


@dataclass(frozen=True, slots=True)
class Header:
    """The eight bytes in front of an encapsulated Ethernet frame."""

    SIZE: ClassVar[int] = HEADER_SIZE

    vni: int
    """Network identifier, 0 to `VNI_MAX`."""

    def __post_init__(self) -> None:
        check_range("VNI", self.vni, VNI_MAX)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the header at the front of a UDP payload.

        Raises:
            DecodeError: `data` is too short or says it carries no VNI.
        """
        return cls(vni_of(data))

    def serialize(self) -> bytes:
        """Return the header as it goes on the wire, reserved bits zero."""
        return pack_header(self.vni)


def pack_header(vni: int) -> bytes:
    """Return the header for a network, without making a `Header`; for the hot path.

    Raises:
        ValueError: `vni` is not from 0 to `VNI_MAX`.
    """
    check_range("VNI", vni, VNI_MAX)
    return _LAYOUT.pack(_FLAG_VNI, vni << _VNI_SHIFT)


def vni_of(datagram: bytes) -> int:
    """Return the network identifier of a UDP payload, without making a `Header`.

    Raises:
        DecodeError: `datagram` is too short or says it carries no VNI.
    """
    if len(datagram) < HEADER_SIZE:  # the common case is spared the call
        check_size("VXLAN header", datagram, HEADER_SIZE)
    flags, word = _LAYOUT.unpack_from(datagram)
    if not flags & _FLAG_VNI:
        raise DecodeError(Reason.VXLAN_FLAGS, "VXLAN header carries no VNI")
    vni: int = word >> _VNI_SHIFT
    return vni
