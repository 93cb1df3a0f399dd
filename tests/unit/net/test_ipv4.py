"""The IPv4 header."""

import contextlib
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import IP, Raw
from support.wire import ipv4_addresses, mangled, padding, payloads, uint8, uint16
from varpd.net import ipv4
from varpd.net.checksum import internet_checksum
from varpd.net.decode import DecodeError, Reason

SRC, DST = IPv4Address("192.168.0.1"), IPv4Address("192.168.0.199")
# A header that is known to have the checksum 0xb861, with 95 bytes behind it.
WIRE = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7") + bytes(95)
NO_OPERATION = b"\x01\x01\x01\x00"
OPTIONS_WIRE = ipv4.Packet(SRC, DST, 17, b"payload", options=NO_OPERATION).serialize()

packets = st.builds(
    ipv4.Packet,
    ipv4_addresses,
    ipv4_addresses,
    uint8,
    payloads,
    ttl=uint8,
    tos=uint8,
    identification=uint16,
    dont_fragment=st.booleans(),
    more_fragments=st.booleans(),
    fragment_offset=st.integers(0, 8191),
)
with_options = st.builds(
    ipv4.Packet,
    ipv4_addresses,
    ipv4_addresses,
    uint8,
    payloads,
    options=st.integers(0, 10).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n)),
)


def test_a_known_packet_is_read_and_written() -> None:
    packet = ipv4.Packet(SRC, DST, 17, bytes(95), dont_fragment=True)

    assert ipv4.Packet.parse(WIRE) == packet
    assert packet.serialize() == WIRE


@given(st.one_of(packets, with_options), padding)
def test_what_is_written_is_read_back_whatever_pads_it(packet: ipv4.Packet, tail: bytes) -> None:
    assert ipv4.Packet.parse(packet.serialize() + tail) == packet


@given(packets)
def test_scapy_reads_what_we_write(packet: ipv4.Packet) -> None:
    wire = packet.serialize()
    read = IP(wire)

    assert (read.version, read.ihl, read.len, read.options) == (4, 5, len(wire), [])
    assert (read.src, read.dst, read.proto) == (str(packet.src), str(packet.dst), packet.protocol)
    assert (read.ttl, read.tos, read.id) == (packet.ttl, packet.tos, packet.identification)
    assert (packet.dont_fragment, packet.more_fragments) == (read.flags.DF, read.flags.MF)
    assert read.frag == packet.fragment_offset
    rebuilt = IP(wire)
    del rebuilt.chksum
    assert IP(bytes(rebuilt)).chksum == read.chksum


@given(packets)
def test_we_read_what_scapy_writes(packet: ipv4.Packet) -> None:
    flags = ["DF"] * packet.dont_fragment + ["MF"] * packet.more_fragments
    header = IP(
        src=str(packet.src),
        dst=str(packet.dst),
        proto=packet.protocol,
        ttl=packet.ttl,
        tos=packet.tos,
        id=packet.identification,
        flags="+".join(flags),
        frag=packet.fragment_offset,
    )
    assert ipv4.Packet.parse(bytes(header / Raw(packet.payload))) == packet


def test_options_are_kept() -> None:
    assert ipv4.Packet.parse(OPTIONS_WIRE).options == NO_OPERATION
    assert ipv4.Packet.parse(OPTIONS_WIRE).payload == b"payload"
    assert IP(OPTIONS_WIRE).ihl == 6


@pytest.mark.parametrize(
    ("more", "offset", "fragment"),
    [(False, 0, False), (True, 0, True), (False, 1, True), (True, 8191, True)],
)
def test_a_fragment_is_known(more: bool, offset: int, fragment: bool) -> None:
    packet = ipv4.Packet(SRC, DST, 17, b"", more_fragments=more, fragment_offset=offset)
    assert ipv4.Packet.parse(packet.serialize()).is_fragment is fragment


def with_right_checksum(wire: bytes, header: int = 20) -> bytes:
    blank = wire[:10] + bytes(2) + wire[12:]
    return blank[:10] + internet_checksum(blank[:header]).to_bytes(2, "big") + blank[12:]


def overwritten(at: int, value: bytes) -> bytes:
    return with_right_checksum(WIRE[:at] + value + WIRE[at + len(value) :])


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (WIRE[:19], Reason.TRUNCATED),
        (WIRE[:-1], Reason.TRUNCATED),
        (overwritten(0, b"\x65"), Reason.IPV4_VERSION),
        (overwritten(0, b"\x44"), Reason.IPV4_LENGTH),
        (overwritten(2, b"\x00\x13"), Reason.IPV4_LENGTH),
        (overwritten(2, b"\x00\x74"), Reason.TRUNCATED),
        (OPTIONS_WIRE[:2] + b"\x00\x17" + OPTIONS_WIRE[4:], Reason.IPV4_LENGTH),
        (WIRE[:8] + b"\x3f" + WIRE[9:], Reason.IPV4_CHECKSUM),
        (OPTIONS_WIRE[:20] + b"\x00" + OPTIONS_WIRE[21:], Reason.IPV4_CHECKSUM),
    ],
)
def test_a_bad_packet_says_what_is_wrong(wire: bytes, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        ipv4.Packet.parse(wire)
    assert caught.value.reason == reason


def test_a_wrong_version_is_named() -> None:
    with pytest.raises(DecodeError, match="IPv4 header of version 6"):
        ipv4.Packet.parse(overwritten(0, b"\x65"))


def test_a_packet_may_be_a_header_alone() -> None:
    assert ipv4.Packet.parse(overwritten(2, b"\x00\x14")).payload == b""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ttl", 256),
        ("ttl", -1),
        ("tos", 256),
        ("identification", 1 << 16),
        ("fragment_offset", 8192),
        ("options", bytes(41)),
        ("options", bytes(44)),
        ("options", bytes(3)),
    ],
)
def test_what_does_not_fit_the_header_is_refused(field: str, value: int | bytes) -> None:
    with pytest.raises(ValueError, match=r"out of range|words of 4"):
        ipv4.Packet(SRC, DST, 17, b"", **{field: value})  # type: ignore[arg-type]


def test_a_packet_is_at_most_65535_bytes() -> None:
    assert len(ipv4.Packet(SRC, DST, 17, bytes(65515)).serialize()) == 65535
    with pytest.raises(ValueError, match="total length"):
        ipv4.Packet(SRC, DST, 17, bytes(65516))
    with pytest.raises(ValueError, match="protocol"):
        ipv4.Packet(SRC, DST, 256, b"")


@given(st.sampled_from([WIRE, OPTIONS_WIRE]).flatmap(mangled), st.booleans())
def test_any_bytes_parse_or_raise_decode_error(data: bytes, mend: bool) -> None:
    if mend and len(data) >= 20:
        data = with_right_checksum(data, 4 * (data[0] & 0x0F))
    with contextlib.suppress(DecodeError):
        ipv4.Packet.parse(data)
