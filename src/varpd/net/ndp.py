"""Neighbour solicitation and advertisement of IPv6 (RFC 4861, sections 4.3, 4.4 and 4.6).

 0               1               2               3
+---------------+---------------+-------------------------------+
|type 135 or 136|   code (0)    |           checksum            |
+-+-+-+---------+---------------+-------------------------------+
|R|S|O|         reserved (no flags in a solicitation)           |
+-+-+-+---------------------------------------------------------+
|                   target address (16 bytes)                   |
+---------------+---------------+-------------------------------+
|  option type  |    length     |          option data ...
+---------------+---------------+-------------------------------+

An option's length counts units of 8 bytes, type and length included.

`parse` takes the whole IPv6 packet, since whether a message is valid (sections 7.1.1 and 7.1.2)
depends on its addresses and hop limit.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address
from typing import Final, TypeAlias, assert_never

from varpd.net import ipv6
from varpd.net.addresses import MAC_SIZE, MacAddress, is_solicited_node
from varpd.net.checksum import internet_checksum, pseudo_header
from varpd.net.decode import DecodeError, Reason
from varpd.net.fields import UINT8_MAX, check_range, check_size

PROTOCOL: Final = 58
"""Number of ICMPv6 as an IPv6 next header (RFC 4443, section 1)."""

HOP_LIMIT: Final = 255
"""Hop limit that every message has (RFC 4861, section 7.1): no router has passed it on."""


class MessageType(IntEnum):
    """ICMPv6 types that are read here (RFC 4861, sections 4.3 and 4.4)."""

    SOLICITATION = 135
    ADVERTISEMENT = 136


class OptionType(IntEnum):
    """Options that are taken apart (RFC 4861, section 4.6.1)."""

    SOURCE_LINK_LAYER_ADDRESS = 1
    TARGET_LINK_LAYER_ADDRESS = 2


_LAYOUT = struct.Struct("!BBHI16s")
_CHECKSUM_AT: Final = 2
_CHECKSUM = struct.Struct("!H")
_CODE: Final = 0
_ROUTER: Final = 1 << 31
_SOLICITED: Final = 1 << 30
_OVERRIDE: Final = 1 << 29

_OPTION = struct.Struct("!BB")
_OPTION_UNIT: Final = 8
_OPTION_DATA_MAX: Final = UINT8_MAX * _OPTION_UNIT - _OPTION.size


@dataclass(frozen=True, slots=True)
class SourceLinkLayerAddress:
    """The MAC address of the sender (RFC 4861, section 4.6.1; RFC 2464, section 6)."""

    mac: MacAddress


@dataclass(frozen=True, slots=True)
class TargetLinkLayerAddress:
    """The MAC address of the target (RFC 4861, section 4.6.1; RFC 2464, section 6)."""

    mac: MacAddress


@dataclass(frozen=True, slots=True)
class RawOption:
    """Any other option, as it stands on the wire."""

    kind: int
    """Option type, 0 to 255, none that has a class of its own."""

    data: bytes
    """What stands behind type and length: 6 bytes, 14, and so on in steps of 8."""

    def __post_init__(self) -> None:
        check_range("option type", self.kind, UINT8_MAX)
        check_range("size of option data", len(self.data), _OPTION_DATA_MAX)
        if self.kind in tuple(OptionType):
            raise ValueError(f"option {self.kind} has a class of its own")
        if (_OPTION.size + len(self.data)) % _OPTION_UNIT:
            raise ValueError(f"option data of {len(self.data)} bytes does not fill units of 8")


Option: TypeAlias = SourceLinkLayerAddress | TargetLinkLayerAddress | RawOption


@dataclass(frozen=True, slots=True)
class Solicitation:
    """Who has `target`? (RFC 4861, section 4.3)"""

    target: IPv6Address
    """Address asked for; not multicast."""

    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        if self.target.is_multicast:
            raise ValueError(f"target is multicast: {self.target}")

    @property
    def source_mac(self) -> MacAddress | None:
        """What the first source link-layer address option holds, if there is one."""
        return next((o.mac for o in self.options if isinstance(o, SourceLinkLayerAddress)), None)

    def serialize(self, src: IPv6Address, dst: IPv6Address) -> bytes:
        """Return the ICMPv6 message with its checksum.

        Raises:
            ValueError: a solicitation from :: to anything but a solicited-node address, or with
                a source link-layer address.
        """
        fault = _solicitation_fault(self, src, dst)
        if fault is not None:
            raise ValueError(fault)
        return _serialize(MessageType.SOLICITATION, 0, self, src, dst)

    def to_packet(self, src: IPv6Address, dst: IPv6Address) -> ipv6.Packet:
        """Return the IPv6 packet that carries the message.

        Raises:
            ValueError: as `serialize`.
        """
        return ipv6.Packet(src, dst, PROTOCOL, self.serialize(src, dst), HOP_LIMIT)


@dataclass(frozen=True, slots=True)
class Advertisement:
    """`target` is here (RFC 4861, section 4.4)."""

    target: IPv6Address
    """Address spoken of; not multicast."""

    router: bool = False
    """The sender is a router. Clearing it makes the hearer forget a default route by it."""

    solicited: bool = False
    """This answers a solicitation; never set to a multicast address."""

    override: bool = False
    """The hearer is to replace the MAC address that it has."""

    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        if self.target.is_multicast:
            raise ValueError(f"target is multicast: {self.target}")

    @property
    def target_mac(self) -> MacAddress | None:
        """What the first target link-layer address option holds, if there is one."""
        return next((o.mac for o in self.options if isinstance(o, TargetLinkLayerAddress)), None)

    def serialize(self, src: IPv6Address, dst: IPv6Address) -> bytes:
        """Return the ICMPv6 message with its checksum.

        Raises:
            ValueError: a solicited advertisement to a multicast address.
        """
        fault = _advertisement_fault(self, dst)
        if fault is not None:
            raise ValueError(fault)
        flags = (
            (_ROUTER if self.router else 0)
            | (_SOLICITED if self.solicited else 0)
            | (_OVERRIDE if self.override else 0)
        )
        return _serialize(MessageType.ADVERTISEMENT, flags, self, src, dst)

    def to_packet(self, src: IPv6Address, dst: IPv6Address) -> ipv6.Packet:
        """Return the IPv6 packet that carries the message.

        Raises:
            ValueError: as `serialize`.
        """
        return ipv6.Packet(src, dst, PROTOCOL, self.serialize(src, dst), HOP_LIMIT)


Message: TypeAlias = Solicitation | Advertisement


def parse(packet: ipv6.Packet) -> Message:
    """Read the message in an IPv6 packet and make every check of RFC 4861, 7.1.1 and 7.1.2.

    Extension headers are not looked behind: neighbour discovery has no use for them.

    Raises:
        DecodeError: the packet is no solicitation or advertisement, or not a valid one.
    """
    if packet.next_header != PROTOCOL:
        raise DecodeError(Reason.NDP_NEXT_HEADER, f"next header {packet.next_header} is not ICMPv6")
    data = packet.payload
    check_size("neighbour discovery message", data, _LAYOUT.size)
    kind, code, _, flags, packed_target = _LAYOUT.unpack_from(data)
    if kind not in (MessageType.SOLICITATION, MessageType.ADVERTISEMENT):
        raise DecodeError(Reason.NDP_TYPE, f"ICMPv6 type {kind}")
    if code != _CODE:
        raise DecodeError(Reason.NDP_CODE, f"neighbour discovery with ICMPv6 code {code}")
    if packet.hop_limit != HOP_LIMIT:
        raise DecodeError(
            Reason.NDP_HOP_LIMIT, f"neighbour discovery with hop limit {packet.hop_limit}"
        )
    pseudo = pseudo_header(packet.src, packet.dst, PROTOCOL, len(data))
    if internet_checksum(pseudo + data) != 0:
        raise DecodeError(Reason.NDP_CHECKSUM, "ICMPv6 checksum does not match")
    target = IPv6Address(packed_target)
    if target.is_multicast:
        raise DecodeError(Reason.NDP_TARGET, f"target is multicast: {target}")
    options = tuple(_parse_options(data[_LAYOUT.size :]))
    if kind == MessageType.SOLICITATION:
        return _valid_solicitation(Solicitation(target, options), packet)
    advertisement = Advertisement(
        target,
        router=bool(flags & _ROUTER),
        solicited=bool(flags & _SOLICITED),
        override=bool(flags & _OVERRIDE),
        options=options,
    )
    return _valid_advertisement(advertisement, packet)


def _valid_solicitation(message: Solicitation, packet: ipv6.Packet) -> Solicitation:
    fault = _solicitation_fault(message, packet.src, packet.dst)
    if fault is not None:
        raise DecodeError(Reason.NDP_UNSPECIFIED_SOURCE, fault)
    return message


def _valid_advertisement(message: Advertisement, packet: ipv6.Packet) -> Advertisement:
    fault = _advertisement_fault(message, packet.dst)
    if fault is not None:
        raise DecodeError(Reason.NDP_SOLICITED_FLAG, fault)
    return message


def _solicitation_fault(message: Solicitation, src: IPv6Address, dst: IPv6Address) -> str | None:
    """Say what is wrong with a message between these addresses (RFC 4861, section 7.1.1)."""
    if not src.is_unspecified:
        return None
    if not is_solicited_node(dst):
        return f"solicitation from :: to {dst}, no solicited-node address"
    if message.source_mac is not None:
        return "solicitation from :: with a source link-layer address"
    return None


def _advertisement_fault(message: Advertisement, dst: IPv6Address) -> str | None:
    """Say what is wrong with a message to this address (RFC 4861, section 7.1.2)."""
    if message.solicited and dst.is_multicast:
        return f"solicited advertisement to multicast {dst}"
    return None


def _parse_options(data: bytes) -> Iterator[Option]:
    at = 0
    while at < len(data):
        check_size("neighbour discovery option", data, at + _OPTION.size)
        kind, units = _OPTION.unpack_from(data, at)
        if units == 0:
            raise DecodeError(Reason.NDP_OPTION, f"option {kind} of length zero")
        end = at + units * _OPTION_UNIT
        check_size("neighbour discovery option", data, end)
        yield _parse_option(kind, data[at + _OPTION.size : end])
        at = end


def _parse_option(kind: int, data: bytes) -> Option:
    if kind not in tuple(OptionType):
        return RawOption(kind, data)
    if len(data) != MAC_SIZE:
        raise DecodeError(
            Reason.NDP_OPTION, f"link-layer address option {kind} with {len(data)} bytes"
        )
    if kind == OptionType.SOURCE_LINK_LAYER_ADDRESS:
        return SourceLinkLayerAddress(MacAddress(data))
    return TargetLinkLayerAddress(MacAddress(data))


def _serialize_option(option: Option) -> bytes:
    match option:
        case SourceLinkLayerAddress(mac):
            kind, data = OptionType.SOURCE_LINK_LAYER_ADDRESS, bytes(mac)
        case TargetLinkLayerAddress(mac):
            kind, data = OptionType.TARGET_LINK_LAYER_ADDRESS, bytes(mac)
        case RawOption(kind, data):
            pass
        case _:
            assert_never(option)
    return _OPTION.pack(kind, (_OPTION.size + len(data)) // _OPTION_UNIT) + data


def _serialize(
    kind: MessageType,
    flags: int,
    message: Message,
    src: IPv6Address,
    dst: IPv6Address,
) -> bytes:
    data = bytearray(_LAYOUT.pack(kind, _CODE, 0, flags, message.target.packed))
    for option in message.options:
        data += _serialize_option(option)
    pseudo = pseudo_header(src, dst, PROTOCOL, len(data))
    _CHECKSUM.pack_into(data, _CHECKSUM_AT, internet_checksum(pseudo + data))
    return bytes(data)
