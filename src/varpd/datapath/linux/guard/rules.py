"""From what overlays there are to the rules that keep them apart, as data.

Three things are guarded, in tables named `varpd`:

*The bridge is not an interface of the host* (family netdev). A chain at the ingress of each bridge
drops what is for the host itself; what is bridged never gets there.

*The listen port* (family inet). The kernel binds the socket of its tunnel devices to every address
of the host. A datagram is looked up once, by port and vnetid together, and only that overlay's own
chain judges it. So what a packet costs does not depend on how many overlays there are, and other
people's tunnels on the same port are left alone.

*Tracking*. Punts and wrapped frames are not tracked: one guest could fill the host's table of
connections with them. So all of that is done before packets are tracked, which is before they are
routed: what is only on its way through this host is let through.

On the way out, a datagram that the kernel's tunnel code made still has the link header of the frame
inside; what a program sends through a socket has none. That tells a punted frame from one that a
local user forged. The owner of the socket does not: a frame of a virtual machine has the socket of
its tap device.
"""

from collections.abc import Sequence
from ipaddress import collapse_addresses
from typing import Final

from msgspec import Struct

from varpd.datapath.base import Antispoof, GuestPort, IpNetwork
from varpd.datapath.linux.guard import layout, matches
from varpd.datapath.linux.guard.layout import BRIDGED, LINKS, TUNNELS, WRAPPED
from varpd.datapath.linux.nft import expressions, objects
from varpd.datapath.linux.nft.content import Content
from varpd.datapath.linux.nft.expressions import Base, Compare, Expression, Meta, Verdict
from varpd.datapath.linux.nft.objects import Chain, Element, Rule, Set, Type
from varpd.net.addresses import IpAddress

_INGRESS: Final = -500
"""Priority of the chains at bridges: before those of others."""

_ROUTER_ADVERTISEMENT: Final = 134
_REDIRECT_V6: Final = 137
_REDIRECT_V4: Final = 5
_NAME_SIZE: Final = 16

Sources = tuple[IpNetwork, ...] | frozenset[IpAddress] | None
"""Who may send wrapped frames: networks, or single addresses that change often; None: all."""


class Guarded(Struct, frozen=True):
    """One overlay, as far as the guard must know it."""

    overlay: str
    vnetid: int
    listen_ip: IpAddress
    listen_port: int
    bridge: int
    """Index of the bridge, whose name is the overlay's."""

    device: int
    """Index of the tunnel device."""

    host_access: bool = False
    """Whether guests may speak with the host itself."""

    underlay: tuple[str, ...] = ()
    """Interfaces that may bring wrapped frames; empty: all but overlays' links."""

    sources: Sources = None
    """Underlay addresses that wrapped frames may come from."""

    punt_ports: tuple[int, ...] = ()
    """Ports that the kernel hands frames to varpd on."""

    antispoof: Antispoof = Antispoof.OFF
    """What holds for ports that nothing is known of."""

    ports: tuple[GuestPort, ...] = ()
    """What is known of guests' ports."""

    strangers: frozenset[tuple[str, int]] = frozenset()
    """Names and indices of the ports that nothing is known of."""


def inet(item: Guarded) -> Content:
    """Return an overlay's part in the family inet.

    What may pass is let through by one rule; the others say why the rest may not.
    """
    chain = layout.wrapped_chain(item.overlay)
    proto = bytes([matches.NFPROTO[item.listen_ip.version]])
    refusals = [*_elsewhere(item, chain), _by_links(chain)]
    allowed: list[Expression] = [
        expressions.meta(Meta.IIF),
        expressions.lookup(LINKS, inverted=True),
    ]
    sets, elements = [], _elements(item, chain)
    for made, more, load, why in _conditions(item):
        sets.append(made)
        elements |= more
        allowed += [*load, expressions.lookup(made.name)]
        refused = (*load, expressions.lookup(made.name, inverted=True), *matches.counted_drop())
        refusals.append(Rule(chain, refused, why))
    passes = (expressions.notrack(), expressions.verdict(Verdict.ACCEPT))
    rules = (
        Rule(chain, (*_to_listen_ip(item), *allowed, *passes), "may pass, not tracked"),
        Rule(
            chain,
            (*_to_listen_ip(item), *matches.by_loopback(), *passes),
            f"from this host, see {layout.FROM_HERE}",
        ),
        Rule(
            chain,
            (
                *matches.has(Meta.NFPROTO, proto, Compare.UNEQUAL),
                expressions.verdict(Verdict.ACCEPT),
            ),
            "not an underlay address of this overlay's family",
        ),
        *refusals,
    )
    return Content((Chain(chain),), tuple(sets), rules, frozenset(elements))


def _to_listen_ip(item: Guarded, how: Compare = Compare.EQUAL) -> tuple[Expression, ...]:
    family = item.listen_ip.version
    size = len(item.listen_ip.packed)
    return (
        *matches.has(Meta.NFPROTO, bytes([matches.NFPROTO[family]])),
        expressions.payload(Base.NETWORK, matches.DESTINATION_AT[family], size),
        expressions.compare(item.listen_ip.packed, how),
    )


def _elsewhere(item: Guarded, chain: str) -> tuple[Rule, ...]:
    other = _to_listen_ip(item, Compare.UNEQUAL)
    here = (*matches.for_somebody_here(), *matches.counted_drop())
    return (
        Rule(chain, (*other, *here), "not to the listen address"),
        Rule(chain, (*other, expressions.verdict(Verdict.ACCEPT)), "on its way to another host"),
    )


def _by_links(chain: str) -> Rule:
    by_link = (expressions.meta(Meta.IIF), expressions.lookup(LINKS), *matches.counted_drop())
    return Rule(chain, by_link, "by an overlay's link")


def _elements(item: Guarded, chain: str) -> set[Element]:
    """Return what the sets that all share hold of an overlay."""
    told = f"{item.overlay}: vnetid {item.vnetid}"
    key = matches.tunnel_key(item.listen_port, item.vnetid)
    bridge, device = matches.index(item.bridge), matches.index(item.device)
    found = {
        Element(TUNNELS, key, comment=told),
        Element(WRAPPED, key, goto=chain, comment=told),
        Element(LINKS, bridge, comment=f"{item.overlay}: bridge"),
        Element(LINKS, device, comment=f"{item.overlay}: tunnel"),
        Element(BRIDGED, objects.key(bridge, bridge), comment=f"{item.overlay}: bridge"),
    }
    for port in item.punt_ports:
        key = matches.tunnel_key(port, item.vnetid)
        found.add(Element(TUNNELS, key, comment=f"{told}, to varpd"))
        found.add(Element(WRAPPED, key, goto=layout.PUNTED, comment=f"{told}, to varpd"))
    return found


Condition = tuple[Set, set[Element], tuple[Expression, ...], str]
"""A set, what is in it, what loads the key that must be in it, and what it means if it is not."""


def _conditions(item: Guarded) -> list[Condition]:
    """Return on what else it depends whether a wrapped frame may pass."""
    found: list[Condition] = []
    if item.underlay:
        name = layout.underlay_set(item.overlay)
        padded = (each.encode().ljust(_NAME_SIZE, b"\0") for each in item.underlay)
        found.append(
            (
                Set(name, (Type.INTERFACE_NAME,)),
                {Element(name, each) for each in padded},
                (expressions.meta(Meta.IIFNAME),),
                "not by an interface of vxlan/underlay",
            )
        )
    if item.sources is not None:
        name, family = layout.from_set(item.overlay), item.listen_ip.version
        size = len(item.listen_ip.packed)
        load = (
            *matches.has(Meta.NFPROTO, bytes([matches.NFPROTO[family]])),
            expressions.payload(Base.NETWORK, matches.SOURCE_AT[family], size),
        )
        made, elements = _sources(name, item.sources, family, size)
        found.append((made, elements, load, "from an address outside of allow_from"))
    return found


def _sources(name: str, sources: Sources, family: int, size: int) -> tuple[Set, set[Element]]:
    kind = Type.IPV4 if family == 4 else Type.IPV6
    if isinstance(sources, frozenset):
        elements = {Element(name, each.packed) for each in sources if each.version == family}
        return Set(name, (kind,)), elements
    networks = [network for network in sources or () if network.version == family]
    return Set(name, (kind,), is_interval=True), _ranges(name, networks, size)


def _ranges(name: str, networks: Sequence[IpNetwork], size: int) -> set[Element]:
    """Return the elements of networks, each as its first address and the first behind it."""
    elements = set()
    # All of one family by now, which the type does not say.
    for network in collapse_addresses(networks):  # type: ignore[type-var]
        elements.add(Element(name, network.network_address.packed))
        behind = int(network.broadcast_address) + 1
        if behind < 1 << 8 * size:
            elements.add(Element(name, behind.to_bytes(size, "big"), ends=True))
    return elements


def netdev(item: Guarded) -> Content:
    """Return an overlay's part in the family netdev: what its guests may say to the host."""
    name = layout.host_chain(item.overlay)
    policy = Verdict.ACCEPT if item.host_access else Verdict.DROP
    chain = Chain(name, objects.INGRESS, _INGRESS, item.overlay, policy)
    if not item.host_access:
        return Content(
            (chain,), (), (Rule(name, matches.counted_drop(), "guests may not reach this host"),)
        )
    why = "guests may not change the routes of this host"
    rules = (
        Rule(
            name, (*_icmp(6, matches.ICMPV6, _ROUTER_ADVERTISEMENT), *matches.counted_drop()), why
        ),
        Rule(name, (*_icmp(6, matches.ICMPV6, _REDIRECT_V6), *matches.counted_drop()), why),
        Rule(name, (*_icmp(4, matches.ICMP, _REDIRECT_V4), *matches.counted_drop()), why),
    )
    return Content((chain,), (), rules)


def _icmp(family: int, protocol: int, kind: int) -> tuple[Expression, ...]:
    return (
        *matches.has(Meta.PROTOCOL, matches.ETHERTYPE[family].to_bytes(2, "big")),
        *matches.has(Meta.L4PROTO, bytes([protocol])),
        expressions.payload(Base.TRANSPORT, 0, 1),
        expressions.compare(bytes([kind])),
    )
