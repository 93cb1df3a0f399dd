"""The IPv6 header."""

import contextlib
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import IPv6, Raw
from support.wire import ipv6_addresses, mangled, padding, payloads, uint8
from varpd.net import ipv6
from varpd.net.decode import DecodeError, Reason

SRC, DST = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")
PACKET = ipv6.Packet(SRC, DST, 17, b"payload", 7, traffic_class=0x12, flow_label=0x34567)
WIRE = bytes.fromhex("61234567 0007 11 07") + SRC.packed + DST.packed + b"payload"

packets = st.builds(
    ipv6.Packet,
    ipv6_addresses,
    ipv6_addresses,
    uint8,
    payloads,
    hop_limit=uint8,
    traffic_class=uint8,
    flow_label=st.integers(0, (1 << 20) - 1),
)


def test_a_known_packet_is_read_and_written() -> None:
    assert ipv6.Packet.parse(WIRE) == PACKET
    assert PACKET.serialize() == WIRE


@given(packets, padding)
def test_what_is_written_is_read_back_whatever_pads_it(packet: ipv6.Packet, tail: bytes) -> None:
    assert ipv6.Packet.parse(packet.serialize() + tail) == packet


@given(packets)
def test_scapy_reads_what_we_write(packet: ipv6.Packet) -> None:
    read = IPv6(packet.serialize())

    assert (read.version, read.plen) == (6, len(packet.payload))
    assert (IPv6Address(read.src), IPv6Address(read.dst)) == (packet.src, packet.dst)
    assert (read.nh, read.hlim) == (packet.next_header, packet.hop_limit)
    assert (read.tc, read.fl) == (packet.traffic_class, packet.flow_label)


@given(packets)
def test_we_read_what_scapy_writes(packet: ipv6.Packet) -> None:
    header = IPv6(
        src=str(packet.src),
        dst=str(packet.dst),
        nh=packet.next_header,
        hlim=packet.hop_limit,
        tc=packet.traffic_class,
        fl=packet.flow_label,
    )
    assert ipv6.Packet.parse(bytes(header / Raw(packet.payload))) == packet


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (WIRE[:39], Reason.TRUNCATED),
        (WIRE[:-1], Reason.TRUNCATED),
        (b"\x45" + WIRE[1:], Reason.IPV6_VERSION),
    ],
)
def test_a_bad_packet_says_what_is_wrong(wire: bytes, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        ipv6.Packet.parse(wire)
    assert caught.value.reason == reason


def test_a_wrong_version_is_named() -> None:
    with pytest.raises(DecodeError, match="IPv6 header of version 4"):
        ipv6.Packet.parse(b"\x45" + WIRE[1:])


def test_a_packet_of_ones_own_is_plain() -> None:
    assert ipv6.Packet(SRC, DST, 59, b"").serialize()[:8] == bytes.fromhex("60000000 0000 3b 40")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("next_header", 256),
        ("hop_limit", 256),
        ("hop_limit", -1),
        ("traffic_class", 256),
        ("flow_label", 1 << 20),
        ("payload", bytes(65536)),
    ],
)
def test_what_does_not_fit_the_header_is_refused(field: str, value: int | bytes) -> None:
    fields = {"next_header": 17, "payload": b"", field: value}
    with pytest.raises(ValueError, match="out of range"):
        ipv6.Packet(SRC, DST, **fields)  # type: ignore[arg-type]


@given(mangled(WIRE))
def test_any_bytes_parse_or_raise_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        ipv6.Packet.parse(data)
