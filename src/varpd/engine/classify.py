"""What kind of frame it is: which limit it counts against and how it is asked about.

ARP, neighbour discovery and DHCP frames to group addresses, and frames to addresses for which no
row may ever be written, are questions of their own. Everything else has an entry. Unicast frames
are ordinary whatever they carry: a unicast ARP request goes to the host that it is meant for.
"""

from typing import Final

from varpd.net import dhcpv4, ethernet, ndp, udp
from varpd.net.addresses import (
    ALL_DHCP_AGENTS_V6,
    ALL_MLDV2_ROUTERS_V6,
    ALL_NODES_V6,
    ALL_ROUTERS_V6,
    BROADCAST,
    SOLICITED_NODE_PREFIX,
)

UNICAST: Final = 0
ARP: Final = 1
ND: Final = 2
DHCP: Final = 3
MULTICAST: Final = 4

KINDS: Final = ("unicast", "arp", "nd", "dhcp", "multicast")
"""Names of the kinds, as limits and counters have them."""

_ND_TYPES: Final = range(133, 138)
"""Router solicitation to redirect (RFC 4861, section 4)."""

_ROWLESS: Final = frozenset(
    bytes(mac)
    for mac in (
        BROADCAST,
        ALL_NODES_V6,
        ALL_ROUTERS_V6,
        ALL_MLDV2_ROUTERS_V6,
        ALL_DHCP_AGENTS_V6,
    )
)
"""Group addresses for which a row would take ARP, DHCP, NDP, RA, MLD or DHCPv6 past varpd."""

_IPV6_NEXT_HEADER: Final = 6
_IPV6_HEADER: Final = 40
_IPV4_PROTOCOL: Final = 9
_IPV4_FRAGMENT: Final = slice(6, 8)
_FRAGMENT_OFFSET: Final = 0x1FFF
_HEADER_WORDS: Final = 0x0F
_DHCP_PORTS: Final = (dhcpv4.SERVER_PORT, dhcpv4.CLIENT_PORT)


def may_have_rows(mac: bytes) -> bool:
    """Return whether rows may be written for a group MAC."""
    return mac not in _ROWLESS and mac[:3] != SOLICITED_NODE_PREFIX


def group_kind(frame: bytes) -> int:
    """Return the kind of a frame to a group address; it has a whole Ethernet header."""
    ethertype = ethernet.ethertype_of(frame)
    start = ethernet.header_length(frame)
    if ethertype == ethernet.EtherType.ARP:
        return ARP
    if ethertype == ethernet.EtherType.IPV6:
        is_nd = (
            len(frame) > start + _IPV6_HEADER
            and frame[start + _IPV6_NEXT_HEADER] == ndp.PROTOCOL
            and frame[start + _IPV6_HEADER] in _ND_TYPES
        )
        return ND if is_nd else MULTICAST
    if ethertype == ethernet.EtherType.IPV4 and _is_dhcp(frame, start):
        return DHCP
    return MULTICAST


def _is_dhcp(frame: bytes, start: int) -> bool:
    if len(frame) <= start + _IPV4_PROTOCOL or frame[start + _IPV4_PROTOCOL] != udp.PROTOCOL:
        return False
    offset = int.from_bytes(frame[start:][_IPV4_FRAGMENT], "big") & _FRAGMENT_OFFSET
    ports = start + (frame[start] & _HEADER_WORDS) * 4
    if offset or len(frame) < ports + 4:
        return False
    source = int.from_bytes(frame[ports : ports + 2], "big")
    destination = int.from_bytes(frame[ports + 2 : ports + 4], "big")
    return source in _DHCP_PORTS and destination in _DHCP_PORTS
