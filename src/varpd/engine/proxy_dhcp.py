"""The DHCPv4 proxy: turns broadcasts between clients and servers into unicast (RFC 2131).

A client's broadcast gets the server's MAC as its Ethernet destination; a server's broadcast gets
the client's. Nothing else of the frame changes.
"""

import enum

from msgspec import Struct

from varpd.net import dhcpv4, ethernet, ipv4, udp
from varpd.net.addresses import MacAddress
from varpd.net.decode import DecodeError


class Direction(enum.Enum):
    """Who sends to whom."""

    TO_SERVER = "to-server"
    TO_CLIENT = "to-client"


class Request(Struct, frozen=True):
    """A DHCP message that was broadcast."""

    direction: Direction
    client: MacAddress
    """The client's MAC address, as the message names it."""


def parse(frame: bytes) -> Request:
    """Return what the frame is between whom.

    Raises:
        DecodeError: it is no DHCP message that is passed on.
    """
    outer = ethernet.Frame.parse(frame)
    if outer.ethertype != ethernet.EtherType.IPV4:
        raise DecodeError("dhcp-ethertype", "not an IPv4 frame")
    if not outer.dst.is_broadcast:
        raise DecodeError("dhcp-unicast", "not a broadcast")
    packet = ipv4.Packet.parse(outer.payload)
    if packet.is_fragment:
        raise DecodeError("dhcp-fragment", "a fragment")
    if packet.protocol != udp.PROTOCOL:
        raise DecodeError("dhcp-protocol", "not UDP")
    datagram = udp.Datagram.parse(packet.payload, packet.src, packet.dst)
    message = dhcpv4.Message.parse(datagram.payload)
    ports = (datagram.src_port, datagram.dst_port)
    if ports == (dhcpv4.CLIENT_PORT, dhcpv4.SERVER_PORT):
        direction, operation = Direction.TO_SERVER, dhcpv4.Operation.REQUEST
    elif ports == (dhcpv4.SERVER_PORT, dhcpv4.CLIENT_PORT):
        direction, operation = Direction.TO_CLIENT, dhcpv4.Operation.REPLY
    else:
        raise DecodeError("dhcp-ports", f"UDP ports {ports[0]} and {ports[1]}")
    if message.operation != operation:
        raise DecodeError("dhcp-operation", f"operation {message.operation} {direction.value}")
    if message.chaddr.is_group or message.chaddr.is_zero:
        raise DecodeError("dhcp-client", f"client's MAC address {message.chaddr}")
    return Request(direction, message.chaddr)
