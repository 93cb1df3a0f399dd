"""Which kind a frame is of, with frames that scapy makes."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6MLReport2, ICMPv6ND_RA, ICMPv6ND_RS

from support.scapy_oracle import (
    ARP,
    BOOTP,
    DHCP,
    IP,
    UDP,
    Dot1Q,
    Ether,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    IPv6,
)
from support.wire import mangled
from varpd.engine import classify
from varpd.net import ethernet
from varpd.net.addresses import MacAddress
from varpd.net.decode import DecodeError

BROADCAST = Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:09")
GROUP = Ether(dst="33:33:ff:00:00:05", src="02:00:00:00:00:09")
ARP_REQUEST = ARP(psrc="10.0.0.9", pdst="10.0.0.1")
SOLICITATION = IPv6(src="fe80::9", dst="ff02::1:ff00:5") / ICMPv6ND_NS(tgt="2001:db8::5")
DISCOVER = (
    IP(src="0.0.0.0", dst="255.255.255.255")
    / UDP(sport=68, dport=67)
    / BOOTP(chaddr=bytes(6))
    / DHCP(options=[("message-type", "discover"), "end"])
)
MDNS = IP(dst="224.0.0.251") / UDP(sport=5353, dport=5353)

FRAMES = [
    (BROADCAST / ARP_REQUEST, classify.ARP),
    (BROADCAST / ARP(op=2), classify.ARP),
    (GROUP / SOLICITATION, classify.ND),
    (GROUP / IPv6() / ICMPv6ND_NA(), classify.ND),
    (GROUP / IPv6() / ICMPv6ND_RS(), classify.ND),
    (GROUP / IPv6() / ICMPv6ND_RA(), classify.ND),
    (GROUP / IPv6() / ICMPv6EchoRequest(), classify.MULTICAST),
    (GROUP / IPv6() / ICMPv6MLReport2(), classify.MULTICAST),
    (GROUP / IPv6() / UDP(sport=546, dport=547), classify.MULTICAST),
    (BROADCAST / DISCOVER, classify.DHCP),
    (BROADCAST / IP() / UDP(sport=67, dport=68), classify.DHCP),
    (BROADCAST / IP() / UDP(sport=67, dport=67), classify.DHCP),
    (BROADCAST / IP(options=b"\x01" * 4) / UDP(sport=68, dport=67), classify.DHCP),
    (BROADCAST / IP() / UDP(sport=68, dport=69), classify.MULTICAST),
    (BROADCAST / IP() / UDP(sport=1067, dport=67), classify.MULTICAST),
    (BROADCAST / IP(frag=1) / UDP(sport=68, dport=67), classify.MULTICAST),
    (BROADCAST / IP(flags="MF") / UDP(sport=68, dport=67), classify.DHCP),
    (BROADCAST / IP(proto=6) / UDP(sport=68, dport=67), classify.MULTICAST),
    (BROADCAST / IP() / ICMP(), classify.MULTICAST),
    (BROADCAST / MDNS, classify.MULTICAST),
    (BROADCAST / (b"\x88\xb5" + bytes(50)), classify.MULTICAST),
]


@pytest.mark.parametrize(
    ("frame", "kind"), FRAMES, ids=lambda item: getattr(item, "summary", str)()
)
def test_a_frame_to_a_group_is_of_the_kind_that_it_carries(frame: Ether, kind: int) -> None:
    assert classify.group_kind(bytes(frame)) == kind


@pytest.mark.parametrize(
    ("frame", "kind"), FRAMES, ids=lambda item: getattr(item, "summary", str)()
)
def test_a_vlan_tag_does_not_change_the_kind(frame: Ether, kind: int) -> None:
    tagged = Ether(dst=frame.dst, src=frame.src) / Dot1Q(vlan=7, type=frame.type) / frame.payload
    assert classify.group_kind(bytes(tagged)) == kind


@pytest.mark.parametrize(
    "whole", [BROADCAST / DISCOVER, GROUP / SOLICITATION], ids=["dhcp", "solicitation"]
)
def test_a_frame_cut_off_before_it_says_what_it_is_counts_as_multicast(whole: Ether) -> None:
    frame = bytes(whole)
    kinds = [classify.group_kind(frame[:size]) for size in range(14, len(frame) + 1)]
    assert kinds[0] == classify.MULTICAST
    assert kinds == sorted(kinds, reverse=True)


def test_frames_without_an_ethertype_count_as_multicast() -> None:
    spanning_tree = bytes.fromhex("0180c2000000 020000000009 0026 424203") + bytes(60)
    assert classify.group_kind(spanning_tree) == classify.MULTICAST


@given(st.sampled_from([bytes(BROADCAST / DISCOVER), bytes(GROUP / SOLICITATION)]).flatmap(mangled))
def test_any_frame_with_a_whole_header_is_of_some_kind(frame: bytes) -> None:
    try:
        ethernet.header_length(frame)
    except DecodeError:
        assume(False)
    assert 0 < classify.group_kind(frame) < len(classify.KINDS)


def test_the_kinds_are_named_in_the_order_of_their_numbers() -> None:
    names = ("UNICAST", "ARP", "ND", "DHCP", "MULTICAST")
    assert [getattr(classify, name) for name in names] == list(range(len(classify.KINDS)))
    assert tuple(name.lower() for name in names) == classify.KINDS


@pytest.mark.parametrize(
    ("mac", "expected"),
    [
        ("ff:ff:ff:ff:ff:ff", False),
        ("33:33:ff:12:34:56", False),
        ("33:33:00:00:00:01", False),
        ("33:33:00:00:00:02", False),
        ("33:33:00:00:00:16", False),
        ("33:33:00:01:00:02", False),
        ("33:33:00:00:00:fb", True),
        ("33:33:fe:12:34:56", True),
        ("01:00:5e:00:00:fb", True),
        ("01:00:5e:7f:ff:fa", True),
    ],
)
def test_rows_that_would_take_questions_past_varpd_are_never_written(
    mac: str, expected: bool
) -> None:
    address = MacAddress.parse(mac)
    assert classify.may_have_rows(address) is expected
    assert classify.may_have_rows(bytes(address)) is expected
