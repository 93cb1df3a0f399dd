"""ARP for IPv4 over Ethernet."""

import contextlib
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import ARP
from support.wire import ipv4_addresses, macs, mangled, padding, uint16
from varpd.net import arp
from varpd.net.addresses import ZERO, MacAddress
from varpd.net.decode import DecodeError, Reason

ASKER = MacAddress.parse("02:00:00:00:00:01")
ANY = IPv4Address("0.0.0.0")
ONE, TWO = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
REQUEST = arp.Packet(arp.Operation.REQUEST, ASKER, ONE, ZERO, TWO)
WIRE = bytes.fromhex("0001 0800 06 04 0001 020000000001 c0000201 000000000000 c0000202")

packets = st.builds(arp.Packet, uint16, macs, ipv4_addresses, macs, ipv4_addresses)


def test_a_known_packet_is_read_and_written() -> None:
    assert arp.Packet.parse(WIRE) == REQUEST
    assert REQUEST.serialize() == WIRE


def test_a_known_reply_is_read() -> None:
    wire = bytes.fromhex("0001 0800 06 04 0002 020000000001 c0000201 020000000002 c0000202")
    other = MacAddress.parse("02:00:00:00:00:02")
    assert arp.Packet.parse(wire) == arp.Packet(arp.Operation.REPLY, ASKER, ONE, other, TWO)


@given(packets, padding)
def test_what_is_written_is_read_back_whatever_pads_it(packet: arp.Packet, tail: bytes) -> None:
    assert arp.Packet.parse(packet.serialize() + tail) == packet


@given(packets)
def test_scapy_reads_what_we_write(packet: arp.Packet) -> None:
    read = ARP(packet.serialize())

    assert (read.hwtype, read.ptype, read.hwlen, read.plen) == (1, 0x0800, 6, 4)
    assert (read.op, read.hwsrc, read.psrc, read.hwdst, read.pdst) == (
        packet.operation,
        str(packet.sender_mac),
        str(packet.sender_ip),
        str(packet.target_mac),
        str(packet.target_ip),
    )


@given(packets)
def test_we_read_what_scapy_writes(packet: arp.Packet) -> None:
    wire = ARP(
        op=packet.operation,
        hwsrc=str(packet.sender_mac),
        psrc=str(packet.sender_ip),
        hwdst=str(packet.target_mac),
        pdst=str(packet.target_ip),
    )
    assert arp.Packet.parse(bytes(wire)) == packet


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (1, 6, Reason.ARP_HARDWARE_TYPE),
        (0, 1, Reason.ARP_HARDWARE_TYPE),
        (2, 0x86, Reason.ARP_PROTOCOL_TYPE),
        (4, 8, Reason.ARP_ADDRESS_LENGTH),
        (4, 0, Reason.ARP_ADDRESS_LENGTH),
        (5, 16, Reason.ARP_ADDRESS_LENGTH),
    ],
)
def test_a_packet_for_another_medium_says_so(at: int, value: int, reason: Reason) -> None:
    wire = bytearray(WIRE)
    wire[at] = value
    with pytest.raises(DecodeError) as caught:
        arp.Packet.parse(bytes(wire))
    assert caught.value.reason == reason


def test_a_short_packet_is_truncated() -> None:
    with pytest.raises(DecodeError, match="ARP packet needs 28 bytes, got 27") as caught:
        arp.Packet.parse(WIRE[:-1])
    assert caught.value.reason == Reason.TRUNCATED


@pytest.mark.parametrize("operation", [-1, 1 << 16])
def test_an_operation_that_does_not_fit_is_refused(operation: int) -> None:
    with pytest.raises(ValueError, match="ARP operation"):
        arp.Packet(operation, ASKER, ONE, ZERO, TWO)


@pytest.mark.parametrize(
    ("operation", "sender", "target", "request_", "gratuitous", "probe"),
    [
        (arp.Operation.REQUEST, ONE, TWO, True, False, False),
        (arp.Operation.REPLY, ONE, TWO, False, False, False),
        (arp.Operation.REQUEST, ONE, ONE, True, True, False),
        (arp.Operation.REPLY, ONE, ONE, False, True, False),
        (arp.Operation.REQUEST, ANY, TWO, True, False, True),
        (arp.Operation.REPLY, ANY, TWO, False, False, False),
        (3, ONE, TWO, False, False, False),
    ],
)
def test_what_a_packet_is_for(
    operation: int,
    sender: IPv4Address,
    target: IPv4Address,
    request_: bool,
    gratuitous: bool,
    probe: bool,
) -> None:
    packet = arp.Packet(operation, ASKER, sender, ZERO, target)

    assert packet.is_request is request_
    assert packet.is_gratuitous is gratuitous
    assert packet.is_probe is probe


@given(mangled(WIRE))
def test_any_bytes_parse_or_raise_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        arp.Packet.parse(data)
