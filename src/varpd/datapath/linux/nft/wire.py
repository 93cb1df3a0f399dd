"""Framing of nfnetlink messages, and batches of them.

 nlmsghdr        length | subsystem << 8 | message type | flags | sequence | port
 nfgenmsg        family | version 0 | resource
 attributes      as everywhere in netlink, but numbers big-endian

A batch is a datagram: BATCH_BEGIN, messages, BATCH_END. The kernel makes all the changes in it at
one moment, or none.
"""

import enum
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from varpd.datapath.linux import netlink

SUBSYSTEM: Final = 10
"""NFNL_SUBSYS_NFTABLES."""

CHANGES_GROUP: Final = 7
"""NFNLGRP_NFTABLES: every change of every rule set in the network namespace."""

NETLINK_NETFILTER: Final = 12
"""The netlink protocol; Python's socket module does not have it."""

BATCH_BEGIN: Final = 0x10
BATCH_END: Final = 0x11

NLM_F_ACK: Final = 0x04
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800

_GENMSG: Final = struct.Struct("!BBH")
_U32: Final = struct.Struct("!I")
_U64: Final = struct.Struct("!Q")


class Kind(enum.IntEnum):
    """What a message is about (enum nf_tables_msg_types)."""

    NEWTABLE = 0
    GETTABLE = 1
    DELTABLE = 2
    NEWCHAIN = 3
    GETCHAIN = 4
    DELCHAIN = 5
    NEWRULE = 6
    GETRULE = 7
    DELRULE = 8
    NEWSET = 9
    GETSET = 10
    DELSET = 11
    NEWSETELEM = 12
    GETSETELEM = 13
    DELSETELEM = 14
    NEWGEN = 15


class Family(enum.IntEnum):
    """Whose packets a table sees (NFPROTO_* of linux/netfilter.h)."""

    UNSPEC = 0
    INET = 1
    IPV4 = 2
    NETDEV = 5
    BRIDGE = 7
    IPV6 = 10


class Message(Struct, frozen=True):
    """One message of a batch."""

    kind: Kind
    family: Family
    attributes: bytes
    flags: int = 0
    """Beside NLM_F_REQUEST."""


def u32(number: int) -> bytes:
    """Return a number of 32 bits as attributes hold it; negative ones in two's complement."""
    return _U32.pack(number & 0xFFFFFFFF)


def number(value: bytes) -> int:
    """Read a number of any size."""
    return int.from_bytes(value, "big")


def text(value: str) -> bytes:
    """Return a string as attributes hold it."""
    return value.encode() + b"\0"


def parse_text(value: bytes) -> str:
    """Read a string."""
    return value.split(b"\0", 1)[0].decode(errors="replace")


def nested(kind: int, *attributes: bytes) -> bytes:
    """Return an attribute that holds attributes; without NLA_F_NESTED, as the kernel tells it."""
    return netlink.attribute(kind, b"".join(attributes))


def items_of(data: bytes) -> Iterator[dict[int, bytes]]:
    """Read a list of nested attributes, the attributes of each."""
    at = 0
    while at + netlink.ATTRIBUTE.size <= len(data):
        length, _ = netlink.ATTRIBUTE.unpack_from(data, at)
        if length < netlink.ATTRIBUTE.size:
            return
        end = min(at + length, len(data))
        yield netlink.attributes(data, at + netlink.ATTRIBUTE.size, end)
        at += netlink.align(length)


def kind_of(message: netlink.Message) -> Kind | None:
    """Return what a message is about; None: not about nftables, or of a kind not used here."""
    if message.kind >> 8 != SUBSYSTEM or message.kind & 0xFF not in _KINDS:
        return None
    return Kind(message.kind & 0xFF)


def family_of(data: bytes, message: netlink.Message) -> int:
    """Return the family that a message is about."""
    return data[message.start] if message.start < message.end else 0


def port_of(data: bytes, message: netlink.Message) -> int:
    """Return the netlink port that asked for what a message tells; 0 for the kernel itself."""
    return int(netlink.HEADER.unpack_from(data, message.start - netlink.HEADER.size)[4])


def attributes_of(data: bytes, message: netlink.Message) -> dict[int, bytes]:
    """Read the attributes of a message."""
    return netlink.attributes(data, message.start + _GENMSG.size, message.end)


def request(
    kind: Kind, family: Family, attributes: bytes, sequence: int, *, dump: bool = True
) -> bytes:
    """Return the message that asks for something: for all that there is, or for one object."""
    flags = netlink.NLM_F_REQUEST | (netlink.NLM_F_DUMP if dump else NLM_F_ACK)
    return _message(SUBSYSTEM << 8 | kind, flags, sequence, _GENMSG.pack(family, 0, 0) + attributes)


def batch(messages: Sequence[Message], sequence: int) -> bytes:
    """Return the datagram that makes changes; they are numbered from `sequence` on.

    The last one, number ``sequence + len(messages) - 1``, asks for an acknowledgement.
    """
    edge = _GENMSG.pack(Family.UNSPEC, 0, SUBSYSTEM)
    parts = [_message(BATCH_BEGIN, netlink.NLM_F_REQUEST, 0, edge)]
    for place, item in enumerate(messages):
        flags = netlink.NLM_F_REQUEST | item.flags
        if place == len(messages) - 1:
            flags |= NLM_F_ACK
        body = _GENMSG.pack(item.family, 0, 0) + item.attributes
        parts.append(_message(SUBSYSTEM << 8 | item.kind, flags, sequence + place, body))
    parts.append(_message(BATCH_END, netlink.NLM_F_REQUEST, 0, edge))
    return b"".join(parts)


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, flags, sequence, 0) + body


_KINDS: Final = frozenset(int(kind) for kind in Kind)
