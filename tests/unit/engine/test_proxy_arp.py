"""The ARP proxy, with scapy as a second opinion."""

import contextlib
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from support.scapy_oracle import ARP, Dot1Q, Ether
from support.wire import ipv4_addresses, macs, mangled, padding
from varpd.engine import proxy_arp
from varpd.net.addresses import BROADCAST, ZERO, MacAddress
from varpd.net.decode import DecodeError

ASKER = MacAddress.parse("02:00:00:00:00:09")
HOLDER = MacAddress.parse("02:00:00:00:00:05")
IP_ASKER, IP_HOLDER = IPv4Address("10.0.0.9"), IPv4Address("10.0.0.5")
tags = st.none() | st.builds(
    Dot1Q, vlan=st.integers(0, 4095), prio=st.integers(0, 7), dei=st.integers(0, 1)
)


def request(
    tag: Dot1Q | None = None, dst: MacAddress = BROADCAST, src: MacAddress = ASKER, **fields: Any
) -> bytes:
    """Return a request as scapy writes it; `fields` are those of its ARP packet."""
    given: dict[str, Any] = {
        "hwsrc": str(ASKER),
        "psrc": str(IP_ASKER),
        "pdst": str(IP_HOLDER),
        **fields,
    }
    outer = Ether(dst=str(dst), src=str(src))
    return bytes((outer if tag is None else outer / tag) / ARP(**given))


def refused(frame: bytes) -> str:
    """Return the reason for which a frame is not answered."""
    with pytest.raises(DecodeError) as caught:
        proxy_arp.parse(frame)
    return caught.value.reason


def tag_of(frame: Ether) -> tuple[int, int, int] | None:
    return (frame.vlan, frame.prio, frame.dei) if Dot1Q in frame else None


@given(
    asker=macs.filter(lambda mac: not mac.is_group),
    hwsrc=macs,
    psrc=ipv4_addresses,
    pdst=ipv4_addresses,
    holder=macs,
    tag=tags,
    tail=padding,
)
def test_a_request_is_answered_in_the_name_of_who_has_the_address(
    asker: MacAddress,
    hwsrc: MacAddress,
    psrc: IPv4Address,
    pdst: IPv4Address,
    holder: MacAddress,
    tag: Dot1Q | None,
    tail: bytes,
) -> None:
    assume(psrc != pdst)
    wire = request(tag, src=asker, hwsrc=str(hwsrc), psrc=str(psrc), pdst=str(pdst)) + tail
    asked = proxy_arp.parse(wire)
    assert asked.address == pdst
    assert asked.is_probe is psrc.is_unspecified

    reply = Ether(proxy_arp.reply(asked, holder))
    assert (reply.src, reply.dst) == (str(holder), str(asker))
    assert tag_of(reply) == tag_of(Ether(wire))
    packet = reply[ARP]
    assert (packet.op, packet.hwtype, packet.ptype, packet.hwlen, packet.plen) == (
        2,
        1,
        0x800,
        6,
        4,
    )
    assert (packet.hwsrc, packet.psrc) == (str(holder), str(pdst))
    assert (packet.hwdst, packet.pdst) == (str(hwsrc), str(psrc))


def test_a_request_to_any_group_is_answered() -> None:
    group = MacAddress.parse("01:00:5e:00:00:01")
    assert proxy_arp.parse(request(dst=group)).address == IP_HOLDER


def test_a_gratuitous_request_is_never_answered() -> None:
    assert refused(request(psrc=str(IP_HOLDER))) == "arp-gratuitous"


def test_a_unicast_request_is_left_to_whom_it_is_sent_to() -> None:
    assert refused(request(dst=HOLDER)) == "arp-unicast"


@pytest.mark.parametrize("operation", [0, 2, 3, 8])
def test_only_a_request_is_answered(operation: int) -> None:
    assert refused(request(op=operation)) == "arp-operation"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"hwtype": 6}, "arp-hardware-type"),
        ({"ptype": 0x86DD}, "arp-protocol-type"),
        ({"hwlen": 8}, "arp-address-length"),
        ({"plen": 16}, "arp-address-length"),
    ],
)
def test_only_ipv4_over_ethernet_is_answered(fields: dict[str, int], reason: str) -> None:
    frame = bytearray(request())
    at = {"hwtype": (14, 2), "ptype": (16, 2), "hwlen": (18, 1), "plen": (19, 1)}
    for name, value in fields.items():
        start, size = at[name]
        frame[start : start + size] = value.to_bytes(size, "big")
    assert refused(bytes(frame)) == reason


def test_a_frame_that_is_not_arp_is_not_answered() -> None:
    frame = request()
    assert refused(frame[:12] + b"\x08\x00" + frame[14:]) == "arp-ethertype"


def test_a_second_tag_hides_what_is_in_the_frame() -> None:
    assert refused(request(Dot1Q(vlan=1) / Dot1Q(vlan=2))) == "arp-ethertype"


def test_a_request_that_is_cut_off_is_not_answered() -> None:
    frame = request()
    assert {refused(frame[:size]) for size in range(len(frame))} == {"truncated"}


@given(mangled(request()) | mangled(request(Dot1Q(vlan=7))))
def test_any_bytes_are_a_request_or_raise_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        proxy_arp.reply(proxy_arp.parse(data), HOLDER)


@pytest.mark.parametrize("vlan", [None, 7])
@pytest.mark.parametrize("destination", [None, ASKER])
def test_an_announcement_is_a_gratuitous_request(
    vlan: int | None, destination: MacAddress | None
) -> None:
    frame = Ether(proxy_arp.announcement(HOLDER, IP_HOLDER, vlan, destination))
    assert (frame.src, frame.dst) == (str(HOLDER), str(destination or BROADCAST))
    assert (frame.vlan if Dot1Q in frame else None) == vlan
    packet = frame[ARP]
    assert (packet.op, packet.hwsrc) == (1, str(HOLDER))
    assert packet.psrc == packet.pdst == str(IP_HOLDER)


def test_an_announcement_is_no_question_to_another_proxy() -> None:
    assert refused(proxy_arp.announcement(HOLDER, IP_HOLDER, None, None)) == "arp-gratuitous"


def test_a_probe_asks_without_an_address_of_its_own() -> None:
    asked = proxy_arp.parse(request(psrc="0.0.0.0", hwdst=str(ZERO)))
    assert asked.is_probe
    assert not proxy_arp.parse(request()).is_probe
