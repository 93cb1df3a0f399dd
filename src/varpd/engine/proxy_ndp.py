"""The NDP proxy: answers solicitations in the name of who has the address (RFC 4861)."""

from ipaddress import IPv6Address

from msgspec import Struct

from varpd.net import ethernet, ipv6, ndp
from varpd.net.addresses import ALL_NODES_ADDRESS, ALL_NODES_V6, MacAddress
from varpd.net.decode import DecodeError


class Request(Struct, frozen=True):
    """A guest asks who has an address."""

    frame: ethernet.Frame
    packet: ipv6.Packet
    solicitation: ndp.Solicitation

    @property
    def address(self) -> IPv6Address:
        """The overlay address asked about."""
        return self.solicitation.target

    @property
    def is_probe(self) -> bool:
        """Whether the guest checks that nobody has the address (RFC 4862, section 5.4)."""
        return self.packet.src.is_unspecified


def parse(frame: bytes) -> Request:
    """Return the solicitation that a frame holds.

    Raises:
        DecodeError: it is none that is answered.
    """
    outer = ethernet.Frame.parse(frame)
    if outer.ethertype != ethernet.EtherType.IPV6:
        raise DecodeError("ndp-ethertype", "not an IPv6 frame")
    packet = ipv6.Packet.parse(outer.payload)
    if not outer.dst.is_group or not packet.dst.is_multicast:
        raise DecodeError("ndp-unicast", "a unicast solicitation is for the host it is sent to")
    if packet.src.is_multicast:
        # Nobody can be answered there (RFC 4291, section 2.7).
        raise DecodeError("ndp-source", f"solicitation from multicast {packet.src}")
    message = ndp.parse(packet)
    if not isinstance(message, ndp.Solicitation):
        raise DecodeError("ndp-not-solicitation", "not a neighbour solicitation")
    return Request(outer, packet, message)


def reply(request: Request, mac: MacAddress, *, router: bool) -> bytes:
    """Return the frame that says that `mac` has the address (RFC 4861, section 7.2.4)."""
    asker = request.frame
    if request.is_probe:
        dst, destination = ALL_NODES_ADDRESS, ALL_NODES_V6
    else:
        dst, destination = request.packet.src, asker.src
    message = ndp.Advertisement(
        request.address,
        router=router,
        solicited=not request.is_probe,
        override=True,
        options=(ndp.TargetLinkLayerAddress(mac),),
    )
    return _frame(message, request.address, dst, mac, destination, asker.tag)


def announcement(
    mac: MacAddress, address: IPv6Address, vlan: int | None, destination: MacAddress | None
) -> bytes:
    """Return an unsolicited advertisement that `mac` has `address` (RFC 4861, section 7.2.6)."""
    message = ndp.Advertisement(address, override=True, options=(ndp.TargetLinkLayerAddress(mac),))
    tag = None if vlan is None else ethernet.Tag(vlan)
    return _frame(message, address, ALL_NODES_ADDRESS, mac, destination or ALL_NODES_V6, tag)


def _frame(
    message: ndp.Advertisement,
    src: IPv6Address,
    dst: IPv6Address,
    mac: MacAddress,
    destination: MacAddress,
    tag: ethernet.Tag | None,
) -> bytes:
    packet = message.to_packet(src, dst)
    return ethernet.Frame(
        destination, mac, ethernet.EtherType.IPV6, packet.serialize(), tag
    ).serialize()
