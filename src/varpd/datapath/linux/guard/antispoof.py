"""From what is known of guests' ports to the rules that keep guests to their own names, as data.

Each port with antispoof has a chain, which a frame meets where it enters the bridge (family bridge,
hook prerouting): before the bridge learns from it, and before it is forwarded anywhere. The last
rules of a chain refuse and count what none before them has let through.

The kernel has taken a VLAN tag off by then, so that what is inside is judged like any frame; what
has a second one is refused where addresses are checked.

What a guest says before it has an address is let through: probes for its own addresses (RFC 5227,
section 2.1.1; RFC 4862, section 5.4), DHCP, and reports of multicast groups. Its IPv6 link-local
address is the one made from its MAC (RFC 4291, appendix A), unless others are given.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address
from typing import Final

from varpd.datapath.base import Antispoof, GuestPort
from varpd.datapath.linux import names
from varpd.datapath.linux.guard import layout, matches
from varpd.datapath.linux.guard.rules import Guarded
from varpd.datapath.linux.nft import expressions
from varpd.datapath.linux.nft.content import EMPTY, Content, merge
from varpd.datapath.linux.nft.expressions import Base, Compare, Expression, Meta, Verdict
from varpd.datapath.linux.nft.objects import Chain, Element, Hook, Rule, Set, Type
from varpd.net.addresses import IpAddress

_FIRST: Final = -500
"""Priority: before chains of others."""

_NAME_SIZE: Final = 16
_ARP: Final = b"\x08\x06"
_RARP: Final = b"\x80\x35"
_TAGS: Final = (b"\x81\x00", b"\x88\xa8")
"""Ethertypes of VLAN tags (IEEE 802.1Q)."""

_ETHERNET_IPV4: Final = bytes.fromhex("0001 0800 06 04")
"""Hardware type, protocol type and the lengths of addresses (RFC 826)."""

_ARP_SENDER_MAC, _ARP_SENDER_IP, _ARP_TARGET_IP = 8, 14, 24

_DHCP_PORTS: Final = (68).to_bytes(2, "big") + (67).to_bytes(2, "big")
_ANYBODY: Final = bytes(4)
_BROADCAST: Final = b"\xff" * 4
_UNSPECIFIED: Final = bytes(16)

_PAYLOAD_LENGTH_AT, _NEXT_HEADER_AT, _FRAGMENT_AT = 4, 6, 42
"""In the IPv6 header (RFC 8200, sections 3 and 4.5)."""

_FRAGMENT: Final = 44
_OFFSET_BITS: Final = b"\xff\xf8"

_SOLICITATION, _ADVERTISEMENT = 135, 136
_TARGET_AT, _OPTION_AT = 8, 24
"""In a solicitation or advertisement (RFC 4861, sections 4.3 and 4.4)."""

_BARE, _WITH_OPTION = (24).to_bytes(2, "big"), (32).to_bytes(2, "big")
"""Length of one without options, and with one option of 8 bytes."""

_SOURCE_OPTION, _TARGET_OPTION = b"\x01\x01", b"\x02\x01"
"""Type and length of link-layer address options (RFC 4861, section 4.6.1)."""

_WITHOUT_ADDRESS: Final = (133, 131, 132, 143)
"""What else may be said from ``::``: router solicitations, reports of groups (RFC 3590)."""

_NO_MAC: Final = "a port whose MAC is not known"

Steps = tuple[Expression, ...]
_ACCEPT: Final[Steps] = (expressions.verdict(Verdict.ACCEPT),)


def link_local(mac: bytes) -> IPv6Address:
    """Return the link-local address that is made from a MAC (RFC 4291, appendix A)."""
    interface = bytes([mac[0] ^ 2, *mac[1:3], 0xFF, 0xFE, *mac[3:]])
    return IPv6Address(b"\xfe\x80" + bytes(6) + interface)


def is_wanted(item: Guarded) -> bool:
    """Return whether any guest of an overlay is kept to its own names."""
    return item.antispoof is not Antispoof.OFF or any(
        port.antispoof is not Antispoof.OFF for port in item.ports
    )


def shared() -> Content:
    """Return what all overlays share in the family bridge."""
    name, members = layout.GUESTS, layout.MEMBERS
    return Content(
        chains=(
            Chain(name, Hook.PREROUTING, _FIRST),
            Chain(members, Hook.FORWARD, _FIRST),
        ),
        sets=(
            Set(name, (Type.INTERFACE_NAME,), is_map=True),
            Set(layout.STRANGERS, (Type.INTERFACE,), is_map=True),
            Set(members, (Type.INTERFACE_NAME,)),
        ),
        rules=(
            Rule(
                name,
                (expressions.meta(Meta.IIFNAME), expressions.verdict_of(name)),
                "what guests send, each by the chain of its port",
            ),
            Rule(
                name,
                (expressions.meta(Meta.IIF), expressions.verdict_of(layout.STRANGERS)),
                "ports that nothing is known of",
            ),
            # A port is here before it is among the strangers.
            Rule(
                members,
                (
                    expressions.meta(Meta.OIFNAME),
                    expressions.lookup(members),
                    expressions.meta(Meta.IIFNAME),
                    expressions.lookup(members, inverted=True),
                    *matches.counted_drop(),
                ),
                "ports that nothing is known of, yet",
            ),
        ),
    )


def bridge(item: Guarded) -> Content:
    """Return an overlay's part in the family bridge."""
    if not is_wanted(item):
        return EMPTY
    parts = [_port(item, port) for port in item.ports]
    if item.antispoof is not Antispoof.OFF:
        parts.append(_unknown(item))
    return merge(parts)


def _unknown(item: Guarded) -> Content:
    """Return what refuses ports that nothing is known of."""
    told = f"{item.overlay}: antispoof {item.antispoof.value}"
    known = (names.device_name(item.overlay), *(port.name for port in item.ports))
    elements = {Element(layout.MEMBERS, _name(each), comment=told) for each in known}
    chains, rules = [], []
    for name, index in sorted(item.strangers):
        chain = layout.port_chain(item.overlay, name)
        chains.append(Chain(chain))
        rules.append(Rule(chain, matches.counted_drop(), _NO_MAC))
        elements.add(Element(layout.STRANGERS, matches.index(index), goto=chain, comment=told))
    return Content(tuple(chains), (), tuple(rules), frozenset(elements))


def _port(item: Guarded, port: GuestPort) -> Content:
    chain = layout.port_chain(item.overlay, port.name)
    sets: list[Set] = []
    elements = {
        Element(
            layout.GUESTS,
            _name(port.name),
            goto=chain,
            comment=f"{item.overlay}: antispoof {port.antispoof.value}",
        )
    }
    if port.antispoof is Antispoof.OFF:
        if item.antispoof is Antispoof.OFF:
            return EMPTY
        rules: list[Rule] = [Rule(chain, _ACCEPT, "antispoof is off here")]
    elif port.mac is None:
        rules = [Rule(chain, matches.counted_drop(), _NO_MAC)]
    else:
        rules = [Rule(chain, steps, why) for steps, why in _own_mac(port.mac)]
        if port.antispoof is Antispoof.MAC_AND_IP:
            own = (*port.addresses, link_local(port.mac))
            for family, kind in ((4, Type.IPV4), (6, Type.IPV6)):
                name = layout.address_set(item.overlay, port.name, family)
                sets.append(Set(name, (kind,)))
                elements |= _addresses(name, family, own)
            judged = _own_addresses(item.overlay, port.name, port.mac)
            rules += [Rule(chain, steps, why) for steps, why in judged]
    return Content((Chain(chain),), tuple(sets), tuple(rules), frozenset(elements))


def _name(link: str) -> bytes:
    return link.encode().ljust(_NAME_SIZE, b"\0")


def _addresses(name: str, family: int, own: Iterable[IpAddress]) -> set[Element]:
    return {Element(name, each.packed) for each in own if each.version == family}


Judgement = tuple[Steps, str]
"""The steps of a rule and what it is for."""


def _own_mac(mac: bytes) -> list[Judgement]:
    """Return what refuses frames that name another MAC as the sender's."""
    found = [((*_source_is(mac, Compare.UNEQUAL), *matches.counted_drop()), "not from its MAC")]
    for ethertype, name in ((_ARP, "ARP"), (_RARP, "RARP")):
        other = (*_field(_ARP_SENDER_MAC, mac, Compare.UNEQUAL), *matches.counted_drop())
        found.append(((*_is(ethertype), *other), f"{name} that names another MAC"))
    return found


def _own_addresses(overlay: str, port: str, mac: bytes) -> Sequence[Judgement]:
    """Return what lets through what a guest says as one of its addresses, and refuses the rest."""
    ipv4, ipv6 = (layout.address_set(overlay, port, family) for family in (4, 6))
    return (
        *_arp(ipv4),
        *_ipv4(ipv4),
        *_ipv6(ipv6, mac),
        *(((*_is(tag), *matches.counted_drop()), "several VLAN tags") for tag in _TAGS),
    )


def _arp(own: str) -> list[Judgement]:
    good = (*_is(_ARP), *_field(0, _ETHERNET_IPV4))
    probe = (*_field(_ARP_SENDER_IP, _ANYBODY), *_in(own, Base.NETWORK, _ARP_TARGET_IP, 4))
    return [
        ((*good, *_in(own, Base.NETWORK, _ARP_SENDER_IP, 4), *_ACCEPT), "ARP from its addresses"),
        ((*good, *probe, *_ACCEPT), "ARP probes for its addresses"),
        ((*_is(_ARP), *matches.counted_drop()), "ARP, not from its addresses"),
    ]


def _ipv4(own: str) -> list[Judgement]:
    mine = _is(matches.ETHERTYPE[4].to_bytes(2, "big"))
    source = _in(own, Base.NETWORK, matches.SOURCE_AT[4], 4)
    dhcp = (
        *_field(matches.SOURCE_AT[4], _ANYBODY + _BROADCAST),
        *matches.has(Meta.L4PROTO, bytes([matches.UDP])),
        expressions.payload(Base.TRANSPORT, 0, 4),
        expressions.compare(_DHCP_PORTS),
    )
    return [
        ((*mine, *source, *_ACCEPT), "IPv4 from its addresses"),
        ((*mine, *dhcp, *_ACCEPT), "DHCP of a client without an address"),
        ((*mine, *matches.counted_drop()), "IPv4, not from its addresses"),
    ]


def _ipv6(own: str, mac: bytes) -> list[Judgement]:
    """Return what judges IPv6: neighbour discovery is looked into, wherever it hides.

    Behind extension headers and in fragments there may be none (RFC 6980, section 5).
    """
    any6 = _is(matches.ETHERTYPE[6].to_bytes(2, "big"))
    mine = (*any6, *_in(own, Base.NETWORK, matches.SOURCE_AT[6], 16))
    nobody = (*any6, *_field(matches.SOURCE_AT[6], _UNSPECIFIED))
    plain = _field(_NEXT_HEADER_AT, bytes([matches.ICMPV6]))
    target = _in(own, Base.TRANSPORT, _TARGET_AT, 16)
    found: list[Judgement] = [
        (
            (*mine, *matches.has(Meta.L4PROTO, bytes([matches.ICMPV6]), Compare.UNEQUAL), *_ACCEPT),
            "IPv6 from its addresses",
        ),
        (
            (
                *mine,
                *_field(_NEXT_HEADER_AT, bytes([_FRAGMENT])),
                expressions.payload(Base.NETWORK, _FRAGMENT_AT, 2),
                expressions.mask(_OFFSET_BITS),
                expressions.compare(bytes(2), Compare.UNEQUAL),
                *_ACCEPT,
            ),
            "later fragments",
        ),
        ((*mine, *_icmp_not_nd(), *_ACCEPT), "ICMPv6 from its addresses"),
        ((*nobody, *plain, *_icmp(_SOLICITATION), *target, *_ACCEPT), "probes for its addresses"),
    ]
    found += [
        ((*nobody, *_icmp(kind), *_ACCEPT), f"ICMPv6 of type {kind} before it has an address")
        for kind in _WITHOUT_ADDRESS
    ]
    for kind, option, needs, name in (
        (_SOLICITATION, _SOURCE_OPTION, (), "solicitations"),
        (_ADVERTISEMENT, _TARGET_OPTION, target, "advertisements of its addresses"),
    ):
        honest = (*mine, *plain, *_icmp(kind), *needs)
        bare = _field(_PAYLOAD_LENGTH_AT, _BARE)
        named = (
            *_field(_PAYLOAD_LENGTH_AT, _WITH_OPTION),
            expressions.payload(Base.TRANSPORT, _OPTION_AT, 8),
            expressions.compare(option + mac),
        )
        found.append(((*honest, *bare, *_ACCEPT), name))
        found.append(((*honest, *named, *_ACCEPT), f"{name}, with its MAC"))
    found.append(((*any6, *matches.counted_drop()), "IPv6, not from its addresses"))
    return found


def _is(ethertype: bytes) -> Steps:
    return matches.has(Meta.PROTOCOL, ethertype)


def _source_is(mac: bytes, how: Compare) -> Steps:
    return expressions.payload(Base.LINK, 6, len(mac)), expressions.compare(mac, how)


def _field(offset: int, value: bytes, how: Compare = Compare.EQUAL) -> Steps:
    """Go on if bytes behind the Ethernet header are `value`, or compare to it as said."""
    return expressions.payload(Base.NETWORK, offset, len(value)), expressions.compare(value, how)


def _in(name: str, base: Base, offset: int, size: int) -> Steps:
    return expressions.payload(base, offset, size), expressions.lookup(name)


def _icmp(kind: int) -> Steps:
    return (
        *matches.has(Meta.L4PROTO, bytes([matches.ICMPV6])),
        expressions.payload(Base.TRANSPORT, 0, 1),
        expressions.compare(bytes([kind])),
    )


def _icmp_not_nd() -> Steps:
    """Go on with ICMPv6 but solicitations and advertisements."""
    return (
        *matches.has(Meta.L4PROTO, bytes([matches.ICMPV6])),
        expressions.payload(Base.TRANSPORT, 0, 1),
        expressions.compare(bytes([_SOLICITATION]), Compare.UNEQUAL),
        expressions.compare(bytes([_ADVERTISEMENT]), Compare.UNEQUAL),
    )
