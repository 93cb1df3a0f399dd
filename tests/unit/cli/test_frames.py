"""A captured frame on one line."""

import re

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from varpd.cli.frames import describe
from varpd.net.pcapng import Packet

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"


def line(frame: bytes, comment: str = "", length: int | None = None) -> str:
    size = len(frame) if length is None else length
    return describe("punted", Packet(0, 1_700_000_000_123_456_789, frame, size, comment))


@pytest.mark.parametrize(
    ("frame", "content"),
    [
        (
            Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(),
            "IPv4 10.0.0.1 > 10.0.0.2 UDP",
        ),
        (
            Ether(src=A, dst=B) / IPv6(src="fd00::1", dst="fd00::2") / UDP(),
            "IPv6 fd00::1 > fd00::2 UDP",
        ),
        (
            Ether(src=A, dst=B) / ARP(op=1, hwsrc=A, psrc="10.0.0.1", pdst="10.0.0.2"),
            "ARP who has 10.0.0.2, tell 10.0.0.1",
        ),
        (
            Ether(src=A, dst=B) / ARP(op=2, hwsrc=A, psrc="10.0.0.1", pdst="10.0.0.2"),
            f"ARP 10.0.0.1 is at {A}",
        ),
        (Ether(src=A, dst=B, type=0x88B5) / bytes(46), "ethertype 0x88b5"),
    ],
    ids=["ipv4", "ipv6", "arp-request", "arp-reply", "experimental"],
)
def test_it_says_who_sends_what_to_whom(frame: Ether, content: str) -> None:
    data = bytes(frame)
    assert re.fullmatch(
        rf"\d\d:\d\d:\d\d\.123456 punted   {A} > {B} {re.escape(content)}, {len(data)} bytes",
        line(data),
    )


def test_it_says_which_vlan_and_what_the_daemon_said() -> None:
    text = line(bytes(Ether(src=A, dst=B) / Dot1Q(vlan=7) / IP() / UDP()), "to 192.0.2.1:4789")
    assert f"{B} vlan 7 IPv4" in text
    assert text.endswith("bytes to 192.0.2.1:4789")


@pytest.mark.parametrize("kept", [0, 6, 13, 14, 20, 30])
def test_a_frame_of_which_little_is_kept_is_described_as_far_as_that_goes(kept: int) -> None:
    data = bytes(Ether(src=A, dst=B) / IP() / UDP())[:kept]
    text = line(data, length=1500)
    assert text.endswith(", 1500 bytes")
    assert (A in text) is (kept >= 12)
