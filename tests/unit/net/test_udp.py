"""The UDP header."""

import contextlib
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import IP, UDP, IPv6, Raw
from support.wire import ipv4_addresses, ipv6_addresses, mangled, padding, payloads, uint16
from varpd.net import ipv4, ipv6, udp
from varpd.net.addresses import IpAddress
from varpd.net.decode import DecodeError, Reason

SRC_V4, DST_V4 = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
SRC_V6, DST_V6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")
DATAGRAM = udp.Datagram(68, 67, b"payload")
WIRE_V4 = DATAGRAM.serialize(SRC_V4, DST_V4)
WIRE_V6 = DATAGRAM.serialize(SRC_V6, DST_V6)

datagrams = st.builds(udp.Datagram, uint16, uint16, payloads)
address_pairs = st.one_of(
    st.tuples(ipv4_addresses, ipv4_addresses), st.tuples(ipv6_addresses, ipv6_addresses)
)


@given(datagrams, address_pairs, padding)
def test_what_is_written_is_read_back_whatever_is_behind_it(
    datagram: udp.Datagram, pair: tuple[IpAddress, IpAddress], tail: bytes
) -> None:
    assert udp.Datagram.parse(datagram.serialize(*pair) + tail, *pair) == datagram


@given(datagrams, ipv4_addresses, ipv4_addresses)
def test_scapy_writes_the_same_over_ipv4(
    datagram: udp.Datagram, src: IPv4Address, dst: IPv4Address
) -> None:
    theirs = (
        IP(src=str(src), dst=str(dst))
        / UDP(sport=datagram.src_port, dport=datagram.dst_port)
        / Raw(datagram.payload)
    )
    packet = ipv4.Packet.parse(bytes(theirs))

    assert packet.payload == datagram.serialize(src, dst)
    assert udp.Datagram.parse(packet.payload, packet.src, packet.dst) == datagram


@given(datagrams, ipv6_addresses, ipv6_addresses)
def test_scapy_writes_the_same_over_ipv6(
    datagram: udp.Datagram, src: IPv6Address, dst: IPv6Address
) -> None:
    theirs = (
        IPv6(src=str(src), dst=str(dst))
        / UDP(sport=datagram.src_port, dport=datagram.dst_port)
        / Raw(datagram.payload)
    )
    packet = ipv6.Packet.parse(bytes(theirs))

    assert packet.payload == datagram.serialize(src, dst)
    assert udp.Datagram.parse(packet.payload, packet.src, packet.dst) == datagram


def test_scapy_reads_what_we_write() -> None:
    read = UDP(WIRE_V4)
    assert (read.sport, read.dport, read.len, bytes(read.payload)) == (68, 67, 15, b"payload")


def without_checksum(wire: bytes) -> bytes:
    return wire[:6] + bytes(2) + wire[8:]


def test_a_checksum_may_be_missing_over_ipv4_only() -> None:
    assert udp.Datagram.parse(without_checksum(WIRE_V4), SRC_V4, DST_V4) == DATAGRAM
    with pytest.raises(DecodeError, match="without a checksum") as caught:
        udp.Datagram.parse(without_checksum(WIRE_V6), SRC_V6, DST_V6)
    assert caught.value.reason == Reason.UDP_CHECKSUM


@pytest.mark.parametrize(
    ("wire", "src", "dst"), [(WIRE_V4, SRC_V4, DST_V4), (WIRE_V6, SRC_V6, DST_V6)]
)
def test_a_changed_byte_or_address_is_noticed(wire: bytes, src: IpAddress, dst: IpAddress) -> None:
    changed = wire[:-1] + b"z"
    other = type(dst)(int(dst) + 1)
    for data, to in ((changed, dst), (wire, other)):
        with pytest.raises(DecodeError) as caught:
            udp.Datagram.parse(data, src, to)
        assert caught.value.reason == Reason.UDP_CHECKSUM


def test_a_sum_of_zero_is_sent_as_all_ones() -> None:
    # One word of payload, chosen so that everything sums to 0xffff.
    rest = udp.Datagram(0, 0, bytes(2)).serialize(SRC_V4, DST_V4)
    datagram = udp.Datagram(0, 0, rest[6:8])
    wire = datagram.serialize(SRC_V4, DST_V4)

    assert wire[6:8] == b"\xff\xff"
    assert udp.Datagram.parse(wire, SRC_V4, DST_V4) == datagram


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (WIRE_V4[:7], Reason.TRUNCATED),
        (WIRE_V4[:-1], Reason.TRUNCATED),
        (WIRE_V4[:4] + b"\x00\x07" + WIRE_V4[6:], Reason.UDP_LENGTH),
        (WIRE_V4[:4] + b"\x00\x00" + WIRE_V4[6:], Reason.UDP_LENGTH),
    ],
)
def test_a_bad_datagram_says_what_is_wrong(wire: bytes, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        udp.Datagram.parse(wire, SRC_V4, DST_V4)
    assert caught.value.reason == reason


def test_the_longest_datagram_fills_the_length_field() -> None:
    longest = udp.Datagram(1, 2, bytes(65527))
    wire = longest.serialize(SRC_V4, DST_V4)

    assert wire[4:6] == b"\xff\xff"
    assert udp.Datagram.parse(wire, SRC_V4, DST_V4) == longest
    with pytest.raises(ValueError, match="payload"):
        udp.Datagram(1, 2, bytes(65528))


def test_a_datagram_may_be_empty() -> None:
    empty = udp.Datagram(1, 2, b"")
    assert udp.Datagram.parse(empty.serialize(SRC_V4, DST_V4), SRC_V4, DST_V4) == empty


@pytest.mark.parametrize(
    ("src_port", "dst_port", "size"),
    [(-1, 0, 0), (1 << 16, 0, 0), (0, 1 << 16, 0), (0, 0, udp.PAYLOAD_MAX + 1)],
)
def test_what_does_not_fit_the_header_is_refused(src_port: int, dst_port: int, size: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        udp.Datagram(src_port, dst_port, bytes(size))


@given(mangled(WIRE_V4), mangled(WIRE_V6), st.booleans())
def test_any_bytes_parse_or_raise_decode_error(over_v4: bytes, over_v6: bytes, blank: bool) -> None:
    if blank:
        over_v4 = without_checksum(over_v4)
    with contextlib.suppress(DecodeError):
        udp.Datagram.parse(over_v4, SRC_V4, DST_V4)
    with contextlib.suppress(DecodeError):
        udp.Datagram.parse(over_v6, SRC_V6, DST_V6)
