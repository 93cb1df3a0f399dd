"""The ARP proxy: answers requests for overlay addresses in the name of who has them (RFC 826)."""

from ipaddress import IPv4Address

from msgspec import Struct

from varpd.net import arp, ethernet
from varpd.net.addresses import BROADCAST, MacAddress
from varpd.net.decode import DecodeError


class Request(Struct, frozen=True):
    """A guest asks who has an address."""

    frame: ethernet.Frame
    packet: arp.Packet

    @property
    def address(self) -> IPv4Address:
        """The overlay address asked about."""
        return self.packet.target_ip

    @property
    def is_probe(self) -> bool:
        """Whether the guest checks that nobody has the address (RFC 5227, section 2.1.1)."""
        return self.packet.is_probe


def parse(frame: bytes) -> Request:
    """Return the request that a frame holds.

    Raises:
        DecodeError: it is none that is answered.
    """
    outer = ethernet.Frame.parse(frame)
    if outer.ethertype != ethernet.EtherType.ARP:
        raise DecodeError("arp-ethertype", "not an ARP frame")
    if not outer.dst.is_group:
        raise DecodeError("arp-unicast", "a unicast ARP frame is for the host it is sent to")
    packet = arp.Packet.parse(outer.payload)
    if not packet.is_request:
        raise DecodeError("arp-operation", "not an ARP request")
    if packet.is_gratuitous:
        # An answer would look like a conflict to the host that announces its own address.
        raise DecodeError("arp-gratuitous", "a gratuitous ARP request is never answered")
    return Request(outer, packet)


def reply(request: Request, mac: MacAddress) -> bytes:
    """Return the frame that says that `mac` has the address."""
    packet = arp.Packet(
        operation=arp.Operation.REPLY,
        sender_mac=mac,
        sender_ip=request.packet.target_ip,
        target_mac=request.packet.sender_mac,
        target_ip=request.packet.sender_ip,
    )
    asker = request.frame
    return ethernet.Frame(
        asker.src, mac, ethernet.EtherType.ARP, packet.serialize(), asker.tag
    ).serialize()


def announcement(
    mac: MacAddress, address: IPv4Address, vlan: int | None, destination: MacAddress | None
) -> bytes:
    """Return a gratuitous request that says that `mac` has `address` (RFC 5227, section 3)."""
    packet = arp.Packet(
        operation=arp.Operation.REQUEST,
        sender_mac=mac,
        sender_ip=address,
        target_mac=BROADCAST,
        target_ip=address,
    )
    tag = None if vlan is None else ethernet.Tag(vlan)
    return ethernet.Frame(
        destination or BROADCAST, mac, ethernet.EtherType.ARP, packet.serialize(), tag
    ).serialize()
