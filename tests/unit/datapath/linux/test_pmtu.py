"""Answers to packets that are too big, held against scapy."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
)

from support.scapy_oracle import IP, UDP, Dot1Q, Ether, IPv6, Raw
from support.wire import mangled
from varpd.datapath.linux import pmtu
from varpd.net import checksum

GUEST, REMOTE = "02:00:00:00:00:01", "02:00:00:00:00:02"
MTU = 1450
LIMIT = MTU + 14
"""The largest frame that fits: an underlay of 1500 less the headers of VXLAN over IPv4."""


def ethernet() -> Ether:
    return Ether(src=GUEST, dst=REMOTE)


def ping4(size: int = 1500, **fields: Any) -> IP:
    fields = {"flags": "DF", "src": "10.1.0.1", "dst": "10.1.0.2"} | fields
    return IP(**fields) / ICMP() / Raw(bytes(size - 28))


def ping6(size: int = 1500, **fields: Any) -> IPv6:
    fields = {"src": "fd00::1", "dst": "fd00::2"} | fields
    return IPv6(**fields) / ICMPv6EchoRequest(data=bytes(size - 48))


def answer(frame: Ether, limit: int = LIMIT) -> Ether | None:
    reply = pmtu.answer(bytes(frame), limit)
    return None if reply is None else Ether(reply)


def test_a_big_ipv4_packet_with_df_is_answered_with_fragmentation_needed() -> None:
    sent = ethernet() / ping4()
    reply = answer(sent)

    assert reply is not None
    assert (reply.src, reply.dst) == (REMOTE, GUEST)
    assert (reply[IP].src, reply[IP].dst) == ("10.1.0.2", "10.1.0.1")
    assert (reply[ICMP].type, reply[ICMP].code, reply[ICMP].nexthopmtu) == (3, 4, MTU)
    assert len(reply[IP]) == 576
    assert bytes(sent[IP]).startswith(bytes(reply[ICMP].payload)[:548])
    header = bytes(reply[IP])
    assert checksum.internet_checksum(header[:20]) == 0
    assert checksum.internet_checksum(header[20:]) == 0


def test_a_big_ipv6_packet_is_answered_with_packet_too_big() -> None:
    sent = ethernet() / ping6()
    reply = answer(sent)

    assert reply is not None
    assert (reply.src, reply.dst) == (REMOTE, GUEST)
    assert (reply[IPv6].src, reply[IPv6].dst) == ("fd00::2", "fd00::1")
    assert (reply[ICMPv6PacketTooBig].code, reply[ICMPv6PacketTooBig].mtu) == (0, MTU)
    assert len(reply[IPv6]) == 1280
    assert bytes(sent[IPv6]).startswith(bytes(reply)[14 + 40 + 8 :])
    message = bytes(reply)[14 + 40 :]
    summed = checksum.pseudo_header(
        IPv6Address("fd00::2"), IPv6Address("fd00::1"), 58, len(message)
    )
    assert checksum.internet_checksum(summed + message) == 0


@pytest.mark.parametrize("packet", [ping4(MTU), ping6(MTU)], ids=["ipv4", "ipv6"])
def test_a_packet_that_just_fits_is_not_answered(packet: IP | IPv6) -> None:
    assert answer(ethernet() / packet) is None


@pytest.mark.parametrize("packet", [ping4(MTU + 1), ping6(MTU + 1)], ids=["ipv4", "ipv6"])
def test_a_packet_one_byte_too_big_is_answered(packet: IP | IPv6) -> None:
    assert answer(ethernet() / packet) is not None


@pytest.mark.parametrize("packet", [ping4(), ping6()], ids=["ipv4", "ipv6"])
def test_a_tagged_packet_has_four_bytes_less_and_its_answer_the_same_tag(
    packet: IP | IPv6,
) -> None:
    reply = answer(ethernet() / Dot1Q(vlan=42, prio=3) / packet)

    assert reply is not None
    assert (reply[Dot1Q].vlan, reply[Dot1Q].prio) == (42, 3)
    told = reply[ICMP].nexthopmtu if IP in reply else reply[ICMPv6PacketTooBig].mtu
    assert told == MTU - 4


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(ping4(flags=""), id="may be fragmented"),
        pytest.param(ping4(flags="DF+MF"), id="first fragment"),
        pytest.param(ping4(frag=100), id="later fragment"),
        pytest.param(ping4(dst="224.1.2.3"), id="to a group"),
        pytest.param(ping4(dst="255.255.255.255"), id="to all"),
        pytest.param(ping4(src="0.0.0.0"), id="from nobody"),
        pytest.param(
            IP(flags="DF", src="10.1.0.1", dst="10.1.0.2") / ICMP(type=3, code=1) / bytes(1480),
            id="an ICMP error",
        ),
        pytest.param(ping6(dst="ff02::1"), id="to an IPv6 group"),
        pytest.param(ping6(src="::"), id="from no IPv6 address"),
        pytest.param(
            IPv6(src="fd00::1", dst="fd00::2") / ICMPv6DestUnreach() / Raw(bytes(1480)),
            id="an ICMPv6 error",
        ),
        pytest.param(Raw(bytes(1500)), id="no IP"),
    ],
)
def test_what_the_kernel_does_not_answer_is_not_answered(packet: IP | IPv6 | Raw) -> None:
    frame = ethernet() / packet
    if Raw in frame and IP not in frame and IPv6 not in frame:
        frame.type = 0x88B5
    assert answer(frame) is None


def test_a_frame_to_a_group_is_not_answered() -> None:
    assert answer(Ether(src=GUEST, dst="ff:ff:ff:ff:ff:ff") / ping4()) is None


def test_no_mtu_is_told_that_the_protocol_does_not_allow() -> None:
    assert answer(ethernet() / ping4(), 575 + 14) is None
    assert answer(ethernet() / ping4(), 576 + 14) is not None
    assert answer(ethernet() / ping6(), 1279 + 14) is None
    assert answer(ethernet() / ping6(), 1280 + 14) is not None


def test_padding_behind_a_packet_that_fits_needs_no_answer() -> None:
    assert pmtu.answer(bytes(ethernet() / ping4(MTU)) + bytes(20), LIMIT) is None


def test_the_answer_to_udp_holds_the_ports_that_it_is_about() -> None:
    packet = IP(flags="DF", src="10.1.0.1", dst="10.1.0.2") / UDP(sport=7, dport=9) / bytes(1480)
    reply = answer(ethernet() / packet)
    assert reply is not None
    assert (reply["UDP in ICMP"].sport, reply["UDP in ICMP"].dport) == (7, 9)
    assert IPv4Address(reply["IP in ICMP"].src) == IPv4Address("10.1.0.1")


@given(st.data())
def test_any_bytes_are_answered_or_not_but_raise_nothing(data: st.DataObject) -> None:
    wire = bytes(ethernet() / data.draw(st.sampled_from([ping4(), ping6()])))
    pmtu.answer(data.draw(mangled(wire)), data.draw(st.integers(0, 1500)))
