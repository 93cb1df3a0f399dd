"""Ethernet frames with at most one 802.1Q tag (IEEE 802.3, 3.2; IEEE 802.1Q, 9.6).

 0               1               2               3
+---------------------------------------------------------------+
|                    destination (bytes 0-3)                    |
+-------------------------------+-------------------------------+
|    destination (bytes 4-5)    |      source (bytes 0-1)       |
+-------------------------------+-------------------------------+
|                      source (bytes 2-5)                       |
+-------------------------------+-----+-+-----------------------+
|         TPID (0x8100)         | PCP |D|          VID          |  only in a tagged frame
+-------------------------------+-----+-+-----------------------+
|     EtherType, or length      |            payload ...
+-------------------------------+

A type/length field of 1536 or more is an EtherType. One of 1500 or less is the length of the
payload of an 802.3 frame, which has no EtherType. Only the first tag is looked behind: in a frame
with two, the second is the EtherType (0x8100) and the rest of it payload.

`Frame` is the whole frame as a message. The functions below it are for the hot path: each reads
no more of the frame than it is asked for.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, Self

from varpd.net.addresses import MAC_SIZE, Mac, MacAddress
from varpd.net.decode import DecodeError, Reason
from varpd.net.fields import UINT3_MAX, UINT12_MAX, UINT16_MAX, check_range, check_size


class EtherType(IntEnum):
    """The EtherTypes that mean something here (IANA, "EtherTypes")."""

    IPV4 = 0x0800
    ARP = 0x0806
    VLAN = 0x8100
    """TPID of an 802.1Q tag (IEEE 802.1Q, table 9-1)."""
    IPV6 = 0x86DD


ETHERTYPE_MIN: Final = 1536
"""Least value of the type/length field that is a type (IEEE 802.3, 3.2.6)."""

LENGTH_MAX: Final = 1500
"""Greatest value of the type/length field that is a length (IEEE 802.3, 3.2.6)."""

VLAN_NONE: Final = 0
"""VID of a priority tag: a priority, but no VLAN (IEEE 802.1Q, table 9-2)."""

VLAN_RESERVED: Final = 4095
"""VID that no VLAN may have (IEEE 802.1Q, table 9-2)."""

_HEADER = struct.Struct("!6s6sH")
_TAG = struct.Struct("!HH")
_VID_MASK: Final = UINT12_MAX
_DEI_BIT: Final = 1 << 12
_PCP_SHIFT: Final = 13

HEADER_SIZE: Final = _HEADER.size
"""Bytes in front of the payload of an untagged frame, and the least that a frame may have."""

TAGGED_HEADER_SIZE: Final = _HEADER.size + _TAG.size
"""Bytes in front of the payload of a tagged frame."""

_TYPE_AT: Final = 2 * MAC_SIZE
_TPID: Final = EtherType.VLAN.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Tag:
    """An 802.1Q tag (IEEE 802.1Q, 9.6)."""

    vid: int
    """VLAN identifier, 0 to 4095 as it stands on the wire; `vlan_of` says what counts as one."""

    pcp: int = 0
    """Priority code point, 0 to 7."""

    dei: bool = False
    """Drop eligible indicator."""

    def __post_init__(self) -> None:
        check_range("VID", self.vid, UINT12_MAX)
        check_range("PCP", self.pcp, UINT3_MAX)

    @classmethod
    def from_tci(cls, tci: int) -> Self:
        """Take apart the 16 bits of tag control information behind the TPID."""
        return cls(tci & _VID_MASK, tci >> _PCP_SHIFT, bool(tci & _DEI_BIT))

    @property
    def tci(self) -> int:
        """The tag control information: priority, drop eligibility and VLAN in 16 bits."""
        return self.pcp << _PCP_SHIFT | (_DEI_BIT if self.dei else 0) | self.vid


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole Ethernet frame, without its check sequence."""

    HEADER_SIZE: ClassVar[int] = HEADER_SIZE

    dst: MacAddress
    src: MacAddress
    ethertype: int | None
    """1536 to 65535; None for an 802.3 frame, whose field is the length of its payload."""

    payload: bytes
    """What follows the header, padding included; in an 802.3 frame without it, at most 1500."""

    tag: Tag | None = None

    def __post_init__(self) -> None:
        if self.ethertype is None:
            check_range("length of an 802.3 payload", len(self.payload), LENGTH_MAX)
        elif not ETHERTYPE_MIN <= self.ethertype <= UINT16_MAX:
            raise ValueError(f"EtherType out of range: {self.ethertype}")
        elif self.ethertype == EtherType.VLAN and self.tag is None:
            raise ValueError("the first 802.1Q tag of a frame is no EtherType; set the tag")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a frame.

        Raises:
            DecodeError: `data` is shorter than the header or than the length field says, or the
                type/length field is neither.
        """
        check_size("Ethernet header", data, HEADER_SIZE)
        dst, src, kind = _HEADER.unpack_from(data)
        tag = None
        start = HEADER_SIZE
        if kind == EtherType.VLAN:
            check_size("tagged Ethernet header", data, TAGGED_HEADER_SIZE)
            tci, kind = _TAG.unpack_from(data, HEADER_SIZE)
            tag = Tag.from_tci(tci)
            start = TAGGED_HEADER_SIZE
        if kind >= ETHERTYPE_MIN:
            return cls(MacAddress(dst), MacAddress(src), kind, data[start:], tag)
        if kind > LENGTH_MAX:
            raise DecodeError(
                Reason.ETHERNET_LENGTH, f"{kind} is neither an EtherType nor a length"
            )
        check_size("802.3 frame", data, start + kind)
        return cls(MacAddress(dst), MacAddress(src), None, data[start : start + kind], tag)

    def serialize(self) -> bytes:
        """Return the frame as it goes on the wire, without padding of its own."""
        kind = len(self.payload) if self.ethertype is None else self.ethertype
        if self.tag is None:
            return _HEADER.pack(self.dst, self.src, kind) + self.payload
        head = _HEADER.pack(self.dst, self.src, EtherType.VLAN)
        return head + _TAG.pack(self.tag.tci, kind) + self.payload


def ethertype_of(frame: bytes) -> int | None:
    """Return the EtherType, that behind the tag in a tagged frame; None in an 802.3 frame.

    Raises:
        DecodeError: `frame` is shorter than its header.
    """
    at = header_length(frame) - 2
    kind = frame[at] << 8 | frame[at + 1]
    return kind if kind >= ETHERTYPE_MIN else None


def vlan_of(frame: bytes) -> int | None:
    """Return the VLAN (1 to 4094), or None: no tag, a priority tag, or the reserved VID.

    Raises:
        DecodeError: `frame` is shorter than its header.
    """
    if header_length(frame) == HEADER_SIZE:
        return None
    vid = (frame[HEADER_SIZE] << 8 | frame[HEADER_SIZE + 1]) & _VID_MASK
    return vid if VLAN_NONE < vid < VLAN_RESERVED else None


def header_length(frame: bytes) -> int:
    """Return how many bytes stand in front of the payload, 14 or 18.

    Raises:
        DecodeError: `frame` is shorter than that.
    """
    size = len(frame)
    if size < HEADER_SIZE:  # the common case is spared the call
        check_size("Ethernet header", frame, HEADER_SIZE)
    if frame[_TYPE_AT:HEADER_SIZE] != _TPID:
        return HEADER_SIZE
    if size < TAGGED_HEADER_SIZE:
        check_size("tagged Ethernet header", frame, TAGGED_HEADER_SIZE)
    return TAGGED_HEADER_SIZE


def replace_destination(frame: bytes, mac: Mac) -> bytes:
    """Return `frame` sent to `mac` instead.

    Raises:
        DecodeError: `frame` is shorter than its header.
        ValueError: `mac` is not six bytes.
    """
    header_length(frame)
    if len(mac) != MAC_SIZE:
        raise ValueError(f"MAC address needs {MAC_SIZE} bytes, got {len(mac)}")
    return bytes(mac) + frame[MAC_SIZE:]
