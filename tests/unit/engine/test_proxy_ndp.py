"""The NDP proxy, with scapy as a second opinion."""

import contextlib
from ipaddress import IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_RS

from support.scapy_oracle import (
    UDP,
    Dot1Q,
    Ether,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    Raw,
)
from support.wire import ipv6_unicast_addresses, macs, mangled, padding
from varpd.engine import proxy_ndp
from varpd.net.addresses import (
    ALL_NODES_V6,
    IPV6_MULTICAST_PREFIX,
    MacAddress,
    ipv6_multicast_mac,
    solicited_node,
)
from varpd.net.decode import DecodeError

ASKER = MacAddress.parse("02:00:00:00:00:09")
HOLDER = MacAddress.parse("02:00:00:00:00:05")
IP_ASKER, IP_HOLDER = IPv6Address("fe80::9"), IPv6Address("2001:db8::5")
NOBODY = IPv6Address("::")
tags = st.none() | st.builds(
    Dot1Q, vlan=st.integers(0, 4095), prio=st.integers(0, 7), dei=st.integers(0, 1)
)


def solicitation(
    src: IPv6Address = IP_ASKER,
    target: IPv6Address = IP_HOLDER,
    *,
    dst: IPv6Address | None = None,
    hop_limit: int = 255,
    tag: Dot1Q | None = None,
    destination: MacAddress | None = None,
    asker: MacAddress = ASKER,
    option: bool | None = None,
    **fields: Any,
) -> bytes:
    """Return a solicitation as scapy writes it; `fields` are those of its ICMPv6 message."""
    group = solicited_node(target) if dst is None else dst
    if destination is None:
        destination = ipv6_multicast_mac(group) if group.is_multicast else HOLDER
    outer = Ether(dst=str(destination), src=str(asker))
    packet = IPv6(src=str(src), dst=str(group), hlim=hop_limit)
    packet /= ICMPv6ND_NS(tgt=str(target), **fields)
    if option or (option is None and src != NOBODY):
        packet /= ICMPv6NDOptSrcLLAddr(lladdr=str(asker))
    return bytes((outer if tag is None else outer / tag) / packet)


def refused(frame: bytes) -> str:
    """Return the reason for which a frame is not answered."""
    with pytest.raises(DecodeError) as caught:
        proxy_ndp.parse(frame)
    return caught.value.reason


def tag_of(frame: Ether) -> tuple[int, int, int] | None:
    return (frame.vlan, frame.prio, frame.dei) if Dot1Q in frame else None


def flags_of(message: ICMPv6ND_NA) -> tuple[bool, bool, bool]:
    """Return the flags: router, solicited, override."""
    return bool(message.R), bool(message.S), bool(message.O)


def is_sealed(packet: IPv6) -> bool:
    """Return whether scapy would write the same checksum."""
    again = IPv6(bytes(packet))
    del again.payload.cksum
    return bytes(again) == bytes(packet)


def answered(frame: bytes, *, router: bool = False) -> Ether:
    return Ether(proxy_ndp.reply(proxy_ndp.parse(frame), HOLDER, router=router))


@given(
    asker=macs.filter(lambda mac: not mac.is_group),
    src=ipv6_unicast_addresses,
    target=ipv6_unicast_addresses,
    holder=macs,
    router=st.booleans(),
    option=st.booleans(),
    tag=tags,
    tail=padding,
)
def test_a_solicitation_is_answered_in_the_name_of_who_has_the_address(
    asker: MacAddress,
    src: IPv6Address,
    target: IPv6Address,
    holder: MacAddress,
    router: bool,
    option: bool,
    tag: Dot1Q | None,
    tail: bytes,
) -> None:
    wire = solicitation(src, target, asker=asker, option=option, tag=tag) + tail
    asked = proxy_ndp.parse(wire)
    assert asked.address == target
    assert not asked.is_probe

    reply = Ether(proxy_ndp.reply(asked, holder, router=router))
    assert (reply.src, reply.dst) == (str(holder), str(asker))
    assert tag_of(reply) == tag_of(Ether(wire))
    packet = reply[IPv6]
    assert (IPv6Address(packet.src), IPv6Address(packet.dst)) == (target, src)
    assert packet.hlim == 255
    assert is_sealed(packet)
    message = packet[ICMPv6ND_NA]
    assert IPv6Address(message.tgt) == target
    assert flags_of(message) == (router, True, True)
    assert message[ICMPv6NDOptDstLLAddr].lladdr == str(holder)


@given(target=ipv6_unicast_addresses, holder=macs, router=st.booleans(), tag=tags)
def test_who_checks_an_address_is_answered_at_all_nodes_and_not_as_solicited(
    target: IPv6Address, holder: MacAddress, router: bool, tag: Dot1Q | None
) -> None:
    wire = solicitation(NOBODY, target, tag=tag)
    asked = proxy_ndp.parse(wire)
    assert asked.is_probe

    reply = Ether(proxy_ndp.reply(asked, holder, router=router))
    assert (reply.src, reply.dst) == (str(holder), "33:33:00:00:00:01")
    assert tag_of(reply) == tag_of(Ether(wire))
    packet = reply[IPv6]
    assert (IPv6Address(packet.src), packet.dst, packet.hlim) == (target, "ff02::1", 255)
    assert is_sealed(packet)
    message = packet[ICMPv6ND_NA]
    assert flags_of(message) == (router, False, True)
    assert message[ICMPv6NDOptDstLLAddr].lladdr == str(holder)


def test_a_solicitation_to_all_nodes_is_answered_too() -> None:
    reply = answered(solicitation(dst=IPv6Address("ff02::1")))
    assert (reply.dst, reply[ICMPv6ND_NA].S) == (str(ASKER), 1)


def test_a_unicast_solicitation_is_left_to_whom_it_is_sent_to() -> None:
    assert refused(solicitation(dst=IP_HOLDER)) == "ndp-unicast"
    assert refused(solicitation(destination=HOLDER)) == "ndp-unicast"
    group = MacAddress(IPV6_MULTICAST_PREFIX + bytes(4))
    assert refused(solicitation(dst=IP_HOLDER, destination=group)) == "ndp-unicast"


@pytest.mark.parametrize("hop_limit", [0, 1, 64, 254])
def test_what_a_router_may_have_passed_on_is_not_answered(hop_limit: int) -> None:
    assert refused(solicitation(hop_limit=hop_limit)) == "ndp-hop-limit"


def test_a_wrong_checksum_is_not_answered() -> None:
    right = Ether(solicitation())[ICMPv6ND_NS].cksum
    assert refused(solicitation(cksum=right ^ 0x0100)) == "ndp-checksum"


def test_a_code_is_not_answered() -> None:
    assert refused(solicitation(code=1)) == "ndp-code"


def test_a_multicast_address_is_nobodys() -> None:
    frame = solicitation(target=IPv6Address("ff02::fb"), dst=IPv6Address("ff02::1"))
    assert refused(frame) == "ndp-target"


def test_nobody_is_answered_at_a_multicast_address() -> None:
    assert refused(solicitation(src=IPv6Address("ff02::9"))) == "ndp-source"


def test_who_has_no_address_yet_asks_only_where_the_address_would_be_heard() -> None:
    frame = solicitation(NOBODY, dst=IPv6Address("ff02::1"))
    assert refused(frame) == "ndp-unspecified-source"


def test_who_has_no_address_yet_may_not_name_a_mac_for_it() -> None:
    frame = solicitation(NOBODY, option=True)
    assert refused(frame) == "ndp-unspecified-source"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (b"\x01\x00" + bytes(6), "ndp-option"),
        (b"\x01\x02" + bytes(14), "ndp-option"),
        (b"\x01\x02" + bytes(6), "truncated"),
        (b"\x01", "truncated"),
    ],
)
def test_options_that_do_not_fit_are_not_answered(options: bytes, reason: str) -> None:
    group = solicited_node(IP_HOLDER)
    outer = Ether(dst=str(ipv6_multicast_mac(group)), src=str(ASKER))
    packet = IPv6(src=str(IP_ASKER), dst=str(group), hlim=255)
    frame = bytes(outer / packet / ICMPv6ND_NS(tgt=str(IP_HOLDER)) / Raw(options))
    assert refused(frame) == reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (ICMPv6ND_NA(tgt=str(IP_HOLDER)), "ndp-not-solicitation"),
        (ICMPv6ND_RS() / Raw(bytes(16)), "ndp-type"),
        (ICMPv6EchoRequest(data=bytes(16)), "ndp-type"),
        (UDP(), "ndp-next-header"),
    ],
)
def test_only_a_solicitation_is_answered(message: IPv6, reason: str) -> None:
    outer = Ether(dst=str(ALL_NODES_V6), src=str(ASKER))
    frame = bytes(outer / IPv6(src=str(IP_ASKER), dst="ff02::1", hlim=255) / message)
    assert refused(frame) == reason


def test_a_frame_that_is_not_ipv6_is_not_answered() -> None:
    frame = solicitation()
    assert refused(frame[:12] + b"\x08\x00" + frame[14:]) == "ndp-ethertype"
    assert refused(frame[:14] + b"\x40" + frame[15:]) == "ipv6-version"


def test_a_solicitation_that_is_cut_off_is_not_answered() -> None:
    frame = solicitation()
    assert {refused(frame[:size]) for size in range(len(frame))} == {"truncated"}


@given(mangled(solicitation()) | mangled(solicitation(NOBODY, tag=Dot1Q(vlan=7))))
def test_any_bytes_are_a_solicitation_or_raise_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        proxy_ndp.reply(proxy_ndp.parse(data), HOLDER, router=False)


@given(src=st.ip_addresses(v=6), target=st.ip_addresses(v=6), dst=st.ip_addresses(v=6))
def test_what_is_taken_between_any_addresses_can_be_answered(
    src: IPv6Address, target: IPv6Address, dst: IPv6Address
) -> None:
    for to in (dst, solicited_node(target)):
        with contextlib.suppress(DecodeError):
            answered(solicitation(src, target, dst=to, destination=ALL_NODES_V6))


@pytest.mark.parametrize("vlan", [None, 7])
@pytest.mark.parametrize("destination", [None, ASKER])
def test_an_announcement_is_an_unsolicited_advertisement(
    vlan: int | None, destination: MacAddress | None
) -> None:
    frame = Ether(proxy_ndp.announcement(HOLDER, IP_HOLDER, vlan, destination))
    assert (frame.src, frame.dst) == (str(HOLDER), str(destination or ALL_NODES_V6))
    assert (frame.vlan if Dot1Q in frame else None) == vlan
    packet = frame[IPv6]
    assert (packet.src, packet.dst, packet.hlim) == (str(IP_HOLDER), "ff02::1", 255)
    assert is_sealed(packet)
    message = packet[ICMPv6ND_NA]
    assert (message.tgt, *flags_of(message)) == (str(IP_HOLDER), False, False, True)
    assert message[ICMPv6NDOptDstLLAddr].lladdr == str(HOLDER)
