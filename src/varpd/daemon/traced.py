"""Frames that are traced, made of what an operator says of them."""

from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeVar

from varpd.control.messages import ControlError, ErrorCode
from varpd.control.tracing import TraceRequest
from varpd.net import arp, dhcpv4, ethernet, ipv4, ndp, udp
from varpd.net.addresses import BROADCAST, MacAddress, parse_ip, solicited_node
from varpd.provider.arguments import is_station

ASKER: Final = MacAddress(b"\x02varpd")
"""Who sends a traced frame unless somebody is named: no guest's MAC but by accident."""

SIZE_MAX: Final = 9000
"""Bytes of a traced frame at most."""

_LIMITED_BROADCAST: Final = IPv4Address("255.255.255.255")
_XID: Final = 1
_LOWEST_BIT: Final = 1


def make_frame(request: TraceRequest) -> bytes:
    """Return the frame that a request describes.

    Raises:
        ControlError: there is no such frame.
    """
    src = ASKER if request.src is None else _mac(request.src, "src")
    if not is_station(src):
        raise _wrong(f"{src} is no station's address", "src")
    try:
        tag = None if request.vlan is None else ethernet.Tag(request.vlan)
        match request.kind:
            case "frame":
                return _plain(request, src, tag)
            case "arp":
                return _arp(_address(request, IPv4Address), src, tag)
            case "nd":
                return _solicitation(_address(request, IPv6Address), src, tag)
            case "dhcp":
                return _discovery(src, tag)
    except ValueError as exc:
        raise _wrong(str(exc), None) from exc


def describe(frame: bytes) -> str:
    """Return in words what a frame is."""
    parsed = ethernet.Frame.parse(frame)
    kind = "an 802.3 frame" if parsed.ethertype is None else f"ethertype 0x{parsed.ethertype:04x}"
    tag = "" if parsed.tag is None else f", VLAN {parsed.tag.vid}"
    return f"{kind}{tag}, {len(frame)} bytes, from {parsed.src} to {parsed.dst}"


def _plain(request: TraceRequest, src: MacAddress, tag: ethernet.Tag | None) -> bytes:
    if request.dst is None:
        raise _wrong("a frame needs a destination", "dst")
    dst = _mac(request.dst, "dst")
    head = ethernet.Frame(dst, src, request.ethertype, b"", tag).serialize()
    if not len(head) <= request.size <= SIZE_MAX:
        raise _wrong(f"a frame has {len(head)} to {SIZE_MAX} bytes", "size")
    return head.ljust(request.size, b"\0")


def _arp(address: IPv4Address, src: MacAddress, tag: ethernet.Tag | None) -> bytes:
    packet = arp.Packet(
        operation=arp.Operation.REQUEST,
        sender_mac=src,
        # Any address but the one that is asked for: that would be an announcement.
        sender_ip=IPv4Address(int(address) ^ _LOWEST_BIT),
        target_mac=MacAddress(bytes(6)),
        target_ip=address,
    )
    ethertype = ethernet.EtherType.ARP
    return ethernet.Frame(BROADCAST, src, ethertype, packet.serialize(), tag).serialize()


def _solicitation(address: IPv6Address, src: MacAddress, tag: ethernet.Tag | None) -> bytes:
    message = ndp.Solicitation(address, (ndp.SourceLinkLayerAddress(src),))
    group = solicited_node(address)
    packet = message.to_packet(IPv6Address(int(address) ^ _LOWEST_BIT), group)
    dst = MacAddress(b"\x33\x33" + group.packed[-4:])
    ethertype = ethernet.EtherType.IPV6
    return ethernet.Frame(dst, src, ethertype, packet.serialize(), tag).serialize()


def _discovery(src: MacAddress, tag: ethernet.Tag | None) -> bytes:
    kind = bytes((dhcpv4.OptionCode.MESSAGE_TYPE, 1, dhcpv4.MessageType.DISCOVER))
    options = kind + bytes((dhcpv4.OptionCode.END,))
    message = dhcpv4.Message(dhcpv4.Operation.REQUEST, _XID, src, broadcast=True, options=options)
    anybody = IPv4Address(0)
    datagram = udp.Datagram(dhcpv4.CLIENT_PORT, dhcpv4.SERVER_PORT, message.serialize())
    payload = datagram.serialize(anybody, _LIMITED_BROADCAST)
    packet = ipv4.Packet(anybody, _LIMITED_BROADCAST, udp.PROTOCOL, payload)
    ethertype = ethernet.EtherType.IPV4
    return ethernet.Frame(BROADCAST, src, ethertype, packet.serialize(), tag).serialize()


Ip = TypeVar("Ip", IPv4Address, IPv6Address)


def _address(request: TraceRequest, kind: type[Ip]) -> Ip:
    version = "IPv4" if kind is IPv4Address else "IPv6"
    if request.address is None:
        raise _wrong(f"{request.kind} needs an {version} address", "address")
    try:
        found = parse_ip(request.address)
    except ValueError as exc:
        raise _wrong(str(exc), "address") from exc
    if not isinstance(found, kind):
        raise _wrong(f"{found} is not an {version} address", "address")
    return found


def _mac(text: str, field: str) -> MacAddress:
    try:
        return MacAddress.parse(text)
    except ValueError as exc:
        raise _wrong(str(exc), field) from exc


def _wrong(message: str, field: str | None) -> ControlError:
    return ControlError(ErrorCode.INVALID, message, field)
