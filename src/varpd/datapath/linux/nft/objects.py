"""Tables, chains, rules, sets and elements, as data, and the messages that make and remove them.

Making what is there already is fine; a chain's hook cannot change so, its policy can. Comments are
user data in the form that nft writes, so that it shows them.
"""

import enum
import struct
from typing import Final

from msgspec import Struct

from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft import expressions, wire
from varpd.datapath.linux.nft.expressions import REGISTER_SIZE, Expression, Verdict
from varpd.datapath.linux.nft.wire import NLM_F_APPEND, NLM_F_CREATE, Family, Kind, Message

COMMENT_MAX: Final = 128
"""Characters of a comment that nft takes back."""

OWNER: Final = 0x2
"""NFT_TABLE_F_OWNER: nobody but the socket that made the table may change it (Linux 5.12)."""

PERSIST: Final = 0x4
"""NFT_TABLE_F_PERSIST: an owned table outlives its owner, and has none then (Linux 6.9)."""

_BASE_CHAIN: Final = 0x1
SET_INTERVAL: Final = 0x4
SET_MAP: Final = 0x8
_SET_CONCAT: Final = 0x80
_VERDICT_TYPE: Final = 0xFFFFFF00
_VERDICT_SIZE: Final = 16
_INTERVAL_END: Final = 1
_TYPE_BITS: Final = 6
"""Of a field, in the number that says the type of a key of several fields."""

_COMMENT: Final = 0
"""NFTNL_UDATA_*_COMMENT, the same for all objects but tables and sets."""

_KEY_BYTE_ORDER: Final = 0
"""NFTNL_UDATA_SET_KEYBYTEORDER: tells nft how to show keys of one field."""

_HOST_ORDER: Final = 1
_NETWORK_ORDER: Final = 2


class Hook(enum.IntEnum):
    """Where a packet meets a chain, in the families INET and BRIDGE (linux/netfilter.h)."""

    PREROUTING = 0
    INPUT = 1
    FORWARD = 2
    OUTPUT = 3
    POSTROUTING = 4


INGRESS: Final = 0
"""The one hook of the family NETDEV that is used here."""


class Type(enum.Enum):
    """Type of a field of a key, and its size in bytes; nft shows values by it."""

    IPV4 = (7, 4)
    IPV6 = (8, 16)
    MAC = (9, 6)
    PORT = (13, 2)
    INTERFACE = (20, 4)
    """Index of an interface, host byte order."""

    INTERFACE_NAME = (41, 16)
    """Name of an interface, filled up with zeros."""

    def __init__(self, code: int, size: int) -> None:
        self.code = code
        self.size = size

    @property
    def width(self) -> int:
        """Bytes that it takes in a key."""
        return -(-self.size // REGISTER_SIZE) * REGISTER_SIZE


class Table(Struct, frozen=True):
    """A table: the name space of all else."""

    family: Family
    name: str


class Chain(Struct, frozen=True):
    """A chain of rules; with a hook it meets packets by itself."""

    name: str
    hook: int | None = None
    """`Hook`, or `INGRESS`."""

    priority: int = 0
    """Lower ones come first."""

    device: str | None = None
    """Of an ingress chain."""

    policy: Verdict = Verdict.ACCEPT
    """What becomes of what no rule decides about; of a chain with a hook."""


class Rule(Struct, frozen=True):
    """A rule of a chain."""

    chain: str
    expressions: tuple[Expression, ...]
    comment: str

    def agrees(self, there: "Rule") -> bool:
        """Whether `there` is this rule as the kernel tells it."""
        return (
            self.chain == there.chain
            and self.comment == there.comment
            and len(self.expressions) == len(there.expressions)
            and all(
                wanted.agrees(found)
                for wanted, found in zip(self.expressions, there.expressions, strict=True)
            )
        )


class Set(Struct, frozen=True):
    """A named set, or a map from keys to verdicts."""

    name: str
    fields: tuple[Type, ...]
    is_map: bool = False
    is_interval: bool = False
    """Whether elements are ranges; then of one field."""


class Element(Struct, frozen=True):
    """An element of a set."""

    set: str
    key: bytes
    ends: bool = False
    """Whether it is the first key behind a range that the element before it began."""

    goto: str | None = None
    """In a map: the chain to go on with."""

    comment: str = ""


def fields_of(code: int) -> tuple[Type, ...]:
    """Return the fields of a key whose type is told by this number; empty: not one of ours."""
    types = {field.code: field for field in Type}
    found = []
    while code:
        field = types.get(code & (1 << _TYPE_BITS) - 1)
        if field is None:
            return ()
        found.append(field)
        code >>= _TYPE_BITS
    return tuple(reversed(found))


def key(*fields: bytes) -> bytes:
    """Return a key of several fields, each filled up to whole registers."""
    return b"".join(field + bytes(-len(field) % REGISTER_SIZE) for field in fields)


def new_table(table: Table, flags: int = 0) -> Message:
    """Return the message that makes a table, or takes over one without an owner."""
    found = netlink.attribute(1, wire.text(table.name))
    if flags:
        found += netlink.attribute(2, wire.u32(flags))
    return Message(Kind.NEWTABLE, table.family, found, NLM_F_CREATE)


def delete_table(table: Table) -> Message:
    """Return the message that removes a table with all that is in it."""
    return Message(Kind.DELTABLE, table.family, netlink.attribute(1, wire.text(table.name)))


def new_chain(table: Table, chain: Chain) -> Message:
    """Return the message that makes a chain, or changes its policy."""
    parts = [
        netlink.attribute(1, wire.text(table.name)),
        netlink.attribute(3, wire.text(chain.name)),
    ]
    if chain.hook is not None:
        hook = [
            netlink.attribute(1, wire.u32(chain.hook)),
            netlink.attribute(2, wire.u32(chain.priority)),
        ]
        if chain.device is not None:
            hook.append(netlink.attribute(3, wire.text(chain.device)))
        parts += [
            wire.nested(4, *hook),
            netlink.attribute(5, wire.u32(chain.policy)),
            netlink.attribute(7, wire.text("filter")),
        ]
    return Message(Kind.NEWCHAIN, table.family, b"".join(parts), NLM_F_CREATE)


def delete_chain(table: Table, name: str) -> Message:
    """Return the message that removes a chain, which must be empty and unused."""
    return Message(
        Kind.DELCHAIN,
        table.family,
        netlink.attribute(1, wire.text(table.name)) + netlink.attribute(3, wire.text(name)),
    )


def new_rule(table: Table, rule: Rule) -> Message:
    """Return the message that appends a rule to its chain."""
    found = (
        netlink.attribute(1, wire.text(table.name))
        + netlink.attribute(2, wire.text(rule.chain))
        + wire.nested(4, expressions.serialize(rule.expressions))
        + netlink.attribute(7, _userdata(_COMMENT, rule.comment))
    )
    return Message(Kind.NEWRULE, table.family, found, NLM_F_CREATE | NLM_F_APPEND)


def flush_chain(table: Table, name: str) -> Message:
    """Return the message that removes all rules of a chain."""
    return Message(
        Kind.DELRULE,
        table.family,
        netlink.attribute(1, wire.text(table.name)) + netlink.attribute(2, wire.text(name)),
    )


def new_set(table: Table, item: Set, identity: int) -> Message:
    """Return the message that makes a set; `identity` is a number of its own in the batch."""
    flags = SET_MAP if item.is_map else 0
    flags |= SET_INTERVAL if item.is_interval else 0
    flags |= _SET_CONCAT if len(item.fields) > 1 else 0
    code = 0
    for field in item.fields:
        code = code << _TYPE_BITS | field.code
    in_host_order = item.fields[0] in (Type.INTERFACE, Type.INTERFACE_NAME)
    order = struct.pack("=I", _HOST_ORDER if in_host_order else _NETWORK_ORDER)
    width = sum(field.width for field in item.fields)
    size = width if len(item.fields) > 1 else item.fields[0].size
    parts = [
        netlink.attribute(1, wire.text(table.name)),
        netlink.attribute(2, wire.text(item.name)),
        netlink.attribute(3, wire.u32(flags)),
        netlink.attribute(4, wire.u32(code)),
        netlink.attribute(5, wire.u32(size)),
        netlink.attribute(10, wire.u32(identity)),
        netlink.attribute(13, bytes([_KEY_BYTE_ORDER, len(order)]) + order),
    ]
    if len(item.fields) > 1:
        sizes = [
            wire.nested(1, netlink.attribute(1, wire.u32(field.size))) for field in item.fields
        ]
        parts.append(wire.nested(9, wire.nested(2, *sizes)))
    if item.is_map:
        parts += [
            netlink.attribute(6, wire.u32(_VERDICT_TYPE)),
            netlink.attribute(7, wire.u32(_VERDICT_SIZE)),
        ]
    return Message(Kind.NEWSET, table.family, b"".join(parts), NLM_F_CREATE)


def delete_set(table: Table, name: str) -> Message:
    """Return the message that removes a set, which no rule may use."""
    return Message(
        Kind.DELSET,
        table.family,
        netlink.attribute(1, wire.text(table.name)) + netlink.attribute(2, wire.text(name)),
    )


def flush_set(table: Table, name: str) -> Message:
    """Return the message that takes all elements out of a set."""
    return Message(
        Kind.DELSETELEM,
        table.family,
        netlink.attribute(1, wire.text(table.name)) + netlink.attribute(2, wire.text(name)),
    )


def new_elements(table: Table, *items: Element) -> list[Message]:
    """Return the messages that put elements into their sets."""
    return [_elements(Kind.NEWSETELEM, table, item, NLM_F_CREATE) for item in items]


def delete_elements(table: Table, *items: Element) -> list[Message]:
    """Return the messages that take elements out of their sets; they must be there."""
    return [_elements(Kind.DELSETELEM, table, item, 0) for item in items]


def _elements(kind: Kind, table: Table, item: Element, flags: int) -> Message:
    parts = [wire.nested(1, netlink.attribute(1, item.key))]
    if item.goto is not None and kind is Kind.NEWSETELEM:
        parts.append(wire.nested(2, expressions.verdict_data(Verdict.GOTO, item.goto)))
    if item.ends:
        parts.append(netlink.attribute(3, wire.u32(_INTERVAL_END)))
    if item.comment and kind is Kind.NEWSETELEM:
        parts.append(netlink.attribute(6, _userdata(_COMMENT, item.comment)))
    found = (
        netlink.attribute(1, wire.text(table.name))
        + netlink.attribute(2, wire.text(item.set))
        + wire.nested(3, wire.nested(1, *parts))
    )
    return Message(kind, table.family, found, flags)


def _userdata(kind: int, value: str) -> bytes:
    data = wire.text(value[:COMMENT_MAX])
    return bytes([kind, len(data)]) + data


def parse_comment(userdata: bytes) -> str:
    """Read the comment from user data; empty if there is none."""
    at = 0
    while at + 2 <= len(userdata):
        kind, length = userdata[at], userdata[at + 1]
        if kind == _COMMENT:
            return wire.parse_text(userdata[at + 2 : at + 2 + length])
        at += 2 + length
    return ""
