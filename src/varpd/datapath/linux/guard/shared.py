"""The rules that all overlays share, in the family inet."""

from collections.abc import Iterable
from typing import Final

from varpd.datapath.linux.guard import bridged, matches
from varpd.datapath.linux.guard.layout import (
    BRIDGED,
    FROM_HERE,
    LINKS,
    PASSED,
    PORTS,
    PUNTED,
    SEEN,
    TUNNELS,
    WRAPPED,
)
from varpd.datapath.linux.nft import expressions
from varpd.datapath.linux.nft.content import Content
from varpd.datapath.linux.nft.expressions import Base, Compare, Expression, Meta, Verdict
from varpd.datapath.linux.nft.objects import Chain, Element, Hook, Rule, Set, Type
from varpd.net.udp import Datagram

_RAW: Final = -300
"""NF_IP_PRI_RAW: before connection tracking."""

_BEFORE_FILTERS: Final = -10
_FIRST: Final = -(2**31)
_LAST: Final = 2**31 - 1
_INCOMING: Final = "incoming"
_OUTGOING: Final = "outgoing"
_FORWARD: Final = "forward"


def inet(uid: int, ports: Iterable[int]) -> Content:
    """Return what all overlays share in the family inet.

    Args:
        uid: the user of varpd.
        ports: the listen ports.
    """
    return Content(
        chains=(
            Chain(_INCOMING, Hook.PREROUTING, _RAW),
            Chain(_OUTGOING, Hook.OUTPUT, _RAW),
            Chain(_FORWARD, Hook.FORWARD, _BEFORE_FILTERS),
            Chain(SEEN, Hook.FORWARD, _FIRST),
            Chain(PASSED, Hook.FORWARD, _LAST),
            Chain(PUNTED),
            Chain(FROM_HERE),
        ),
        sets=(
            Set(TUNNELS, (Type.PORT, Type.IPV4)),
            Set(WRAPPED, (Type.PORT, Type.IPV4), is_map=True),
            Set(LINKS, (Type.INTERFACE,)),
            Set(BRIDGED, (Type.INTERFACE, Type.INTERFACE)),
            Set(PORTS, (Type.PORT,)),
        ),
        rules=(*_incoming(), *_outgoing(uid), *_forwarded()),
        elements=frozenset(Element(PORTS, matches.port_key(port)) for port in ports),
    )


def _incoming() -> tuple[Rule, ...]:
    """Return who judges what comes in: before it is tracked, so that it need not be."""
    to_listen_port = (*matches.PORT, expressions.lookup(PORTS))
    here = (*matches.for_somebody_here(), *matches.counted_drop())
    return (
        Rule(
            _INCOMING,
            (*matches.TUNNEL, expressions.verdict_of(WRAPPED)),
            "frames of overlays, each by the chain of its overlay",
        ),
        Rule(
            _INCOMING,
            (
                *to_listen_port,
                *matches.VNETID,
                expressions.compare(bytes(4), Compare.GREATER_OR_EQUAL),
                expressions.verdict(Verdict.ACCEPT),
            ),
            "of none of our overlays",
        ),
        # Put together later, where no rule sees the whole, it might be for one of them.
        Rule(_INCOMING, (*to_listen_port, *here), "fragments too short to have a vnetid"),
        Rule(
            PUNTED,
            (
                *matches.by_loopback(),
                expressions.notrack(),
                expressions.verdict(Verdict.ACCEPT),
            ),
            "handed to varpd, not tracked",
        ),
        Rule(PUNTED, here, "only this host hands frames to varpd"),
    )


def _outgoing(uid: int) -> tuple[Rule, ...]:
    return (
        Rule(
            _OUTGOING,
            (
                *matches.TUNNEL,
                expressions.lookup(TUNNELS),
                expressions.verdict(Verdict.GOTO, FROM_HERE),
            ),
            "frames of overlays",
        ),
        Rule(
            FROM_HERE,
            (
                expressions.payload(Base.LINK, 0, 1),
                expressions.compare(b"\0", Compare.GREATER_OR_EQUAL),
                expressions.notrack(),
                expressions.verdict(Verdict.ACCEPT),
            ),
            "wrapped by the kernel, not tracked",
        ),
        Rule(
            FROM_HERE,
            (
                *matches.has(Meta.SKUID, matches.index(uid), Compare.UNEQUAL),
                *matches.counted_drop(),
            ),
            "local users send no frames into overlays",
        ),
        Rule(FROM_HERE, (expressions.notrack(),), "sent by varpd, not tracked"),
    )


def _forwarded() -> tuple[Rule, ...]:
    pair = (expressions.meta(Meta.IIF), expressions.meta(Meta.OIF, 1), expressions.lookup(BRIDGED))
    return (
        Rule(_FORWARD, (*pair, expressions.verdict(Verdict.ACCEPT)), "bridged, not routed"),
        Rule(
            _FORWARD,
            (expressions.meta(Meta.IIF), expressions.lookup(LINKS), *matches.counted_drop()),
            "nothing is routed out of an overlay",
        ),
        Rule(
            _FORWARD,
            (expressions.meta(Meta.OIF), expressions.lookup(LINKS), *matches.counted_drop()),
            "nothing is routed into an overlay",
        ),
        *_counting(SEEN, pair, "before all rules"),
        *_counting(PASSED, pair, "behind all rules"),
        Rule(
            PASSED,
            (
                *pair,
                expressions.payload(Base.TRANSPORT, Datagram.HEADER_SIZE, len(bridged.MARK)),
                expressions.compare(bridged.MARK),
                *matches.counted_drop(),
            ),
            "sent by varpd to find out whether it gets here",
        ),
    )


def _counting(chain: str, pair: tuple[Expression, ...], where: str) -> tuple[Rule, ...]:
    """Return what counts each family by itself, in the order in which counts are read."""
    return tuple(
        Rule(
            chain,
            (*matches.has(Meta.NFPROTO, bytes([proto])), *pair, expressions.counter()),
            f"bridged packets of IPv{family} {where}",
        )
        for family, proto in matches.NFPROTO.items()
    )
