"""A captured frame on one line."""

from datetime import UTC, datetime
from typing import Final

from varpd.net import arp, ethernet, ipv4, ipv6
from varpd.net.decode import DecodeError
from varpd.net.pcapng import Packet

_NANOSECONDS: Final = 1_000_000_000
_PROTOCOLS: Final = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}


def describe(kind: str, packet: Packet) -> str:
    """Return a frame on one line: when, of which kind, from whom to whom, what, how long."""
    seconds, rest = divmod(packet.time, _NANOSECONDS)
    time = datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")
    comment = f" {packet.comment}" if packet.comment else ""
    what = f"{_ends(packet.data)} {_content(packet.data)}".strip()
    return f"{time}.{rest // 1000:06} {kind:<8} {what}, {packet.length} bytes{comment}"


def _ends(data: bytes) -> str:
    dst, src = data[:6], data[6:12]
    if len(src) < 6:
        return ""
    tag = ""
    try:
        vlan = ethernet.vlan_of(data)
    except DecodeError:
        vlan = None
    if vlan is not None:
        tag = f" vlan {vlan}"
    return f"{src.hex(':')} > {dst.hex(':')}{tag}"


def _content(data: bytes) -> str:
    """Return what a frame holds, as far as it is kept and can be read."""
    try:
        start = ethernet.header_length(data)
        kind = ethernet.ethertype_of(data)
    except DecodeError:
        return "cut off"
    try:
        match kind:
            case ethernet.EtherType.ARP:
                return _arp(arp.Packet.parse(data[start:]))
            case ethernet.EtherType.IPV4:
                found = ipv4.Packet.parse(data[start:])
                return f"IPv4 {found.src} > {found.dst} {_protocol(found.protocol)}"
            case ethernet.EtherType.IPV6:
                packet = ipv6.Packet.parse(data[start:])
                return f"IPv6 {packet.src} > {packet.dst} {_protocol(packet.next_header)}"
            case _:
                pass
    except DecodeError:
        pass
    return "802.3" if kind is None else _name(kind)


def _name(kind: int) -> str:
    try:
        return ethernet.EtherType(kind).name
    except ValueError:
        return f"ethertype {kind:#06x}"


def _arp(packet: arp.Packet) -> str:
    if packet.operation == arp.Operation.REQUEST:
        return f"ARP who has {packet.target_ip}, tell {packet.sender_ip}"
    return f"ARP {packet.sender_ip} is at {packet.sender_mac}"


def _protocol(number: int) -> str:
    return _PROTOCOLS.get(number, f"protocol {number}")
