"""What dumps tell of tables, chains, rules and sets, in the terms of `objects`."""

from collections.abc import Container, Iterable
from typing import Final

from msgspec import Struct

from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft import expressions, objects, wire
from varpd.datapath.linux.nft.expressions import Verdict
from varpd.datapath.linux.nft.objects import Chain, Element, Rule, Set

Attributes = dict[int, bytes]
"""Attributes of one message by number."""

_VERDICTS: Final = {wire.u32(verdict): verdict for verdict in Verdict}
_NOTHING: Final = b""


class FoundTable(Struct, frozen=True):
    """A table as the kernel tells it."""

    family: int
    name: str
    flags: int
    owner: int
    """Netlink port of the socket that owns it, or 0."""


class FoundChain(Struct, frozen=True):
    """A chain as the kernel tells it."""

    family: int
    table: str
    chain: Chain
    packets: int = 0
    """What its policy decided about, if that is counted."""


def table(family: int, found: Attributes) -> FoundTable:
    """Read a NEWTABLE."""
    return FoundTable(
        family,
        wire.parse_text(found.get(1, _NOTHING)),
        wire.number(found.get(2, _NOTHING)),
        wire.number(found.get(7, _NOTHING)),
    )


def chain(family: int, found: Attributes) -> FoundChain:
    """Read a NEWCHAIN."""
    name = wire.parse_text(found.get(3, _NOTHING))
    where = wire.parse_text(found.get(1, _NOTHING))
    if 4 not in found:
        return FoundChain(family, where, Chain(name))
    hook = _inner(found[4])
    device = hook.get(3)
    if device is None and 4 in hook:
        device = next(iter(_inner(hook[4]).values()), None)
    return FoundChain(
        family,
        where,
        Chain(
            name,
            wire.number(hook.get(1, _NOTHING)),
            int.from_bytes(hook.get(2, _NOTHING), "big", signed=True),
            None if device is None else wire.parse_text(device),
            _VERDICTS.get(found.get(5, wire.u32(Verdict.ACCEPT)), Verdict.ACCEPT),
        ),
        wire.number(_inner(found.get(8, _NOTHING)).get(2, _NOTHING)),
    )


def rule(found: Attributes) -> Rule:
    """Read a NEWRULE."""
    return Rule(
        wire.parse_text(found.get(2, _NOTHING)),
        expressions.parse(found.get(4, _NOTHING)),
        objects.parse_comment(found.get(7, _NOTHING)),
    )


def named_set(found: Attributes) -> Set:
    """Read a NEWSET."""
    flags = wire.number(found.get(3, _NOTHING))
    code = wire.number(found.get(4, _NOTHING))
    return Set(
        wire.parse_text(found.get(2, _NOTHING)),
        objects.fields_of(code),
        bool(flags & objects.SET_MAP),
        bool(flags & objects.SET_INTERVAL),
    )


def elements(found: Attributes) -> Iterable[Element]:
    """Read a NEWSETELEM; comments and targets of maps are told, too."""
    name = wire.parse_text(found.get(2, _NOTHING))
    for parts in wire.items_of(found.get(3, _NOTHING)):
        verdict = _inner(_inner(parts.get(2, _NOTHING)).get(2, _NOTHING))
        yield Element(
            name,
            _inner(parts.get(1, _NOTHING)).get(1, _NOTHING),
            bool(wire.number(parts.get(3, _NOTHING))),
            wire.parse_text(verdict[2]) if 2 in verdict else None,
            objects.parse_comment(parts.get(6, _NOTHING)),
        )


def counted(item: Rule) -> int:
    """Return how many packets a rule has counted, as a dump tells it."""
    for step in item.expressions:
        if step.name == "counter":
            return wire.number(step.attributes.get(2, _NOTHING))
    return 0


def is_ours(family: int, found: Attributes, families: Container[int], name: str) -> bool:
    """Whether a message is about an object in one of our tables (their name is attribute 1)."""
    return family in families and wire.parse_text(found.get(1, _NOTHING)) == name


def _inner(data: bytes) -> Attributes:
    return netlink.attributes(data, 0, len(data))
