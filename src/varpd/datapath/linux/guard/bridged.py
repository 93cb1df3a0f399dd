"""Packets of our own that prove what other people's rules let pass over a bridge.

They come to the bridge of an overlay by its tunnel device and would flood to its guests' ports;
behind the rules of all others a rule of ours counts them and drops them, so that no guest sees any.
"""

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import Final

from varpd.datapath.base import Link
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.net import ethernet, ipv4, ipv6, udp
from varpd.net.addresses import MacAddress
from varpd.net.ethernet import EtherType

MARK: Final = b"varpd forwarding"
"""The payload, by which the rule knows them."""

OVERLAYS: Final = 16
"""Overlays that one is sent in at a time, at most: rules that tell overlays apart are rare."""

_FROM: Final = MacAddress.parse("02:00:00:00:00:01")
_TO: Final = MacAddress.parse("02:00:00:00:00:02")
_DISCARD: Final = 9
"""The port of the service that takes everything and says nothing (RFC 863)."""

# Addresses for measurements: RFC 2544, appendix C.2.2 with RFC 6890, and RFC 5180, section 8.
_FROM_V4, _TO_V4 = IPv4Address("198.18.0.1"), IPv4Address("198.18.0.2")
_FROM_V6, _TO_V6 = IPv6Address("2001:2::1"), IPv6Address("2001:2::2")


def frame(family: int) -> bytes:
    """Return the frame with a packet of a family, 4 or 6."""
    datagram = udp.Datagram(_DISCARD, _DISCARD, MARK)
    if family == 4:
        payload = datagram.serialize(_FROM_V4, _TO_V4)
        packet = ipv4.Packet(_FROM_V4, _TO_V4, udp.PROTOCOL, payload).serialize()
    else:
        payload = datagram.serialize(_FROM_V6, _TO_V6)
        packet = ipv6.Packet(_FROM_V6, _TO_V6, udp.PROTOCOL, payload).serialize()
    ethertype = EtherType.IPV4 if family == 4 else EtherType.IPV6
    return ethernet.Frame(_TO, _FROM, ethertype, packet).serialize()


def send(links: Iterable[Link], family: int) -> None:
    """Send one in each of the first `OVERLAYS` overlays; one that cannot be sent proves nothing."""
    for link in islice(links, OVERLAYS):
        header = ENCAPSULATIONS[link.encapsulation].pack_header(link.vnetid)
        outer = socket.AF_INET if link.listen_ip.version == 4 else socket.AF_INET6
        with suppress(OSError), socket.socket(outer, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.bind((str(link.listen_ip), 0))
            sender.sendto(header + frame(family), (str(link.listen_ip), link.listen_port))
