"""Packets of our own that go over bridges."""

from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from varpd.datapath.linux.guard import bridged


@pytest.mark.parametrize("family", [4, 6])
def test_they_are_whole_packets_by_which_the_rule_knows_them(family: int) -> None:
    frame = bridged.frame(family)
    packet = Ether(frame)
    inner = packet[IP if family == 4 else IPv6]
    assert ip_address(inner.src).version == family
    assert inner.src != inner.dst
    assert packet.src != packet.dst
    assert bytes(packet[UDP].payload) == bridged.MARK
    # An oracle's own checksums are the same.
    packet[UDP].chksum = None
    if family == 4:
        packet[IP].chksum = None
    assert bytes(packet) == frame
