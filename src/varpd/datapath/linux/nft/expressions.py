"""The steps of a rule, in the terms of the kernel: load into a register, compare, decide.

A rule's expressions run in order; one that does not match ends the rule. Registers are 4 bytes
wide; what is loaded behind each other in registers is a key of several fields.

Each expression is data, so that what a dump tells can be compared with what was wanted.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft import wire

REGISTER_SIZE: Final = 4
"""Bytes of a register; each field of a key takes whole ones."""

_VERDICT_REGISTER: Final = 0
_REG32: Final = 8
"""NFT_REG32_00, the first register of 4 bytes."""

_WIDE: Final = 4
"""Every fourth is told as one of the wide registers, which are numbered from 1."""


class Base(enum.IntEnum):
    """Where an offset counts from (enum nft_payload_bases)."""

    LINK = 0
    NETWORK = 1
    TRANSPORT = 2


class Meta(enum.IntEnum):
    """What is known beside the packet's bytes (enum nft_meta_keys)."""

    PROTOCOL = 1
    IIF = 4
    OIF = 5
    IIFNAME = 6
    OIFNAME = 7
    SKUID = 10
    NFPROTO = 15
    L4PROTO = 16
    """Name of the bridge whose port a frame came by."""


class Compare(enum.IntEnum):
    """How to compare (enum nft_cmp_ops)."""

    EQUAL = 0
    UNEQUAL = 1
    LESS = 2
    LESS_OR_EQUAL = 3
    GREATER = 4
    GREATER_OR_EQUAL = 5


class Verdict(enum.IntEnum):
    """What becomes of a packet (NF_* of linux/netfilter.h, enum nft_verdicts)."""

    DROP = 0
    ACCEPT = 1
    JUMP = -3
    GOTO = -4
    RETURN = -5


class Expression(Struct, frozen=True):
    """One step: its name, and its attributes by number."""

    name: str
    attributes: Mapping[int, bytes]

    def serialize(self) -> bytes:
        """Return it as an element of a list of expressions."""
        data = [netlink.attribute(kind, value) for kind, value in self.attributes.items()]
        return wire.nested(
            _LIST_ELEMENT,
            netlink.attribute(_NAME, wire.text(self.name)),
            wire.nested(_DATA, *data),
        )

    def agrees(self, there: "Expression") -> bool:
        """Whether `there` is this expression as the kernel tells it, which may say more."""
        return self.name == there.name and all(
            there.attributes.get(kind) == value for kind, value in self.attributes.items()
        )


_LIST_ELEMENT: Final = 1
_NAME: Final = 1
_DATA: Final = 2
_DATA_VALUE: Final = 1
_DATA_VERDICT: Final = 2
_VERDICT_CODE: Final = 1
_VERDICT_CHAIN: Final = 2


def _register(place: int) -> bytes:
    return wire.u32(_REG32 + place if place % _WIDE else 1 + place // _WIDE)


_FIRST: Final = _register(0)


def payload(base: Base, offset: int, size: int, place: int = 0) -> Expression:
    """Load bytes of the packet into the register with the number `place`."""
    return Expression(
        "payload",
        {1: _register(place), 2: wire.u32(base), 3: wire.u32(offset), 4: wire.u32(size)},
    )


def meta(key: Meta, place: int = 0) -> Expression:
    """Load what is known beside the packet's bytes."""
    return Expression("meta", {1: _register(place), 2: wire.u32(key)})


def route_type() -> Expression:
    """Load of what type the route to the packet's destination is (RTN_* of linux/rtnetlink.h)."""
    address_type, of_destination = 3, 2
    return Expression("fib", {1: _FIRST, 2: wire.u32(address_type), 3: wire.u32(of_destination)})


def mask(bits: bytes, place: int = 0) -> Expression:
    """Keep only these bits of what was loaded."""
    register = _register(place)
    return Expression(
        "bitwise",
        {
            1: register,
            2: register,
            3: wire.u32(len(bits)),
            4: _value(bits),
            5: _value(bytes(len(bits))),
        },
    )


def compare(value: bytes, how: Compare = Compare.EQUAL) -> Expression:
    """Go on if what was loaded is `value`, or compares to it as said."""
    return Expression("cmp", {1: _FIRST, 2: wire.u32(how), 3: _value(value)})


def lookup(name: str, *, inverted: bool = False) -> Expression:
    """Go on if what was loaded is in the set with that name, or if it is not."""
    found = {1: wire.text(name), 2: _FIRST}
    return Expression("lookup", found | {5: wire.u32(1)} if inverted else found)


def verdict_of(name: str) -> Expression:
    """Do what the map with that name has for what was loaded."""
    return Expression(
        "lookup",
        {1: wire.text(name), 2: _FIRST, 3: wire.u32(_VERDICT_REGISTER)},
    )


def counter() -> Expression:
    """Count packets and bytes."""
    return Expression("counter", {})


def notrack() -> Expression:
    """Have connection tracking pass the packet over."""
    return Expression("notrack", {})


def verdict(what: Verdict, chain: str | None = None) -> Expression:
    """Decide; `chain` is where to go on with JUMP and GOTO."""
    return Expression("immediate", {1: wire.u32(_VERDICT_REGISTER), 2: verdict_data(what, chain)})


def verdict_data(what: Verdict, chain: str | None = None) -> bytes:
    """Return a verdict as data of an expression or of an element of a map."""
    parts = [netlink.attribute(_VERDICT_CODE, wire.u32(what))]
    if chain is not None:
        parts.append(netlink.attribute(_VERDICT_CHAIN, wire.text(chain)))
    return wire.nested(_DATA_VERDICT, *parts)


def _value(data: bytes) -> bytes:
    return netlink.attribute(_DATA_VALUE, data)


def serialize(expressions: Sequence[Expression]) -> bytes:
    """Return expressions as the content of a list."""
    return b"".join(item.serialize() for item in expressions)


def parse(data: bytes) -> tuple[Expression, ...]:
    """Read a list of expressions, such as a dump holds."""
    found = []
    for parts in wire.items_of(data):
        inner = parts.get(_DATA, b"")
        name = wire.parse_text(parts.get(_NAME, b""))
        found.append(Expression(name, netlink.attributes(inner, 0, len(inner))))
    return tuple(found)
