"""Neighbour solicitation and advertisement."""

import contextlib
import dataclasses
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    Raw,
)
from support.wire import ipv6_unicast_addresses, macs, padding
from varpd.net import ipv6, ndp
from varpd.net.addresses import ALL_NODES_ADDRESS, MacAddress, solicited_node
from varpd.net.checksum import internet_checksum, pseudo_header
from varpd.net.decode import DecodeError, Reason

MAC = MacAddress.parse("02:00:00:00:00:01")
SRC, TARGET = IPv6Address("fe80::1"), IPv6Address("fe80::2")
UNSPECIFIED = IPv6Address("::")
GROUP = solicited_node(TARGET)
SOLICITATION = ndp.Solicitation(TARGET, (ndp.SourceLinkLayerAddress(MAC),))
ADVERTISEMENT = ndp.Advertisement(
    TARGET, solicited=True, override=True, options=(ndp.TargetLinkLayerAddress(MAC),)
)
NONCE = ndp.RawOption(14, b"nonce!")

raw_options = st.builds(
    ndp.RawOption,
    st.integers(3, 255),
    st.integers(1, 3).flatmap(lambda n: st.binary(min_size=8 * n - 2, max_size=8 * n - 2)),
)
options = st.lists(
    st.one_of(
        macs.map(ndp.SourceLinkLayerAddress), macs.map(ndp.TargetLinkLayerAddress), raw_options
    ),
    max_size=4,
).map(tuple)
solicitations = st.builds(ndp.Solicitation, ipv6_unicast_addresses, options)
advertisements = st.builds(
    ndp.Advertisement,
    ipv6_unicast_addresses,
    router=st.booleans(),
    solicited=st.booleans(),
    override=st.booleans(),
    options=options,
)


def with_right_checksum(packet: ipv6.Packet) -> ipv6.Packet:
    blank = packet.payload[:2] + bytes(2) + packet.payload[4:]
    pseudo = pseudo_header(packet.src, packet.dst, ndp.PROTOCOL, len(blank))
    checksum = internet_checksum(pseudo + blank).to_bytes(2, "big")
    return dataclasses.replace(packet, payload=blank[:2] + checksum + blank[4:])


def overwritten(packet: ipv6.Packet, at: int, value: bytes) -> ipv6.Packet:
    payload = packet.payload[:at] + value + packet.payload[at + len(value) :]
    return with_right_checksum(dataclasses.replace(packet, payload=payload))


def with_options(packet: ipv6.Packet, data: bytes) -> ipv6.Packet:
    return with_right_checksum(dataclasses.replace(packet, payload=packet.payload[:24] + data))


NS = SOLICITATION.to_packet(SRC, GROUP)
NA = ADVERTISEMENT.to_packet(TARGET, SRC)
PROBE = ndp.Solicitation(TARGET).to_packet(UNSPECIFIED, GROUP)


def test_a_known_solicitation_is_written_as_it_should_be() -> None:
    assert NS.payload[:2] + NS.payload[4:] == (
        bytes((135, 0, 0, 0, 0, 0)) + TARGET.packed + bytes((1, 1)) + MAC
    )
    assert (NS.next_header, NS.hop_limit) == (58, 255)


def test_a_known_advertisement_is_written_as_it_should_be() -> None:
    assert NA.payload[:2] + NA.payload[4:] == (
        bytes((136, 0, 0x60, 0, 0, 0)) + TARGET.packed + bytes((2, 1)) + MAC
    )
    assert (NA.next_header, NA.hop_limit) == (58, 255)


@given(solicitations, ipv6_unicast_addresses, ipv6_unicast_addresses, padding)
def test_a_solicitation_is_read_back_through_a_padded_frame(
    message: ndp.Solicitation, src: IPv6Address, dst: IPv6Address, tail: bytes
) -> None:
    wire = message.to_packet(src, dst).serialize() + tail
    assert ndp.parse(ipv6.Packet.parse(wire)) == message


@given(advertisements, ipv6_unicast_addresses, ipv6_unicast_addresses, padding)
def test_an_advertisement_is_read_back_through_a_padded_frame(
    message: ndp.Advertisement, src: IPv6Address, dst: IPv6Address, tail: bytes
) -> None:
    wire = message.to_packet(src, dst).serialize() + tail
    assert ndp.parse(ipv6.Packet.parse(wire)) == message


@given(ipv6_unicast_addresses, ipv6_unicast_addresses, macs)
def test_scapy_and_we_agree_on_a_solicitation(
    src: IPv6Address, target: IPv6Address, mac: MacAddress
) -> None:
    dst = solicited_node(target)
    ours = ndp.Solicitation(target, (ndp.SourceLinkLayerAddress(mac),)).to_packet(src, dst)
    theirs = (
        IPv6(src=str(src), dst=str(dst), hlim=255)
        / ICMPv6ND_NS(tgt=str(target))
        / ICMPv6NDOptSrcLLAddr(lladdr=str(mac))
    )

    assert ours.serialize() == bytes(theirs)
    read = IPv6(ours.serialize())
    assert IPv6Address(read[ICMPv6ND_NS].tgt) == target
    assert read[ICMPv6NDOptSrcLLAddr].lladdr == str(mac)


@given(advertisements, ipv6_unicast_addresses, ipv6_unicast_addresses, macs)
def test_scapy_and_we_agree_on_an_advertisement(
    message: ndp.Advertisement, src: IPv6Address, dst: IPv6Address, mac: MacAddress
) -> None:
    message = dataclasses.replace(message, options=(ndp.TargetLinkLayerAddress(mac),))
    ours = message.to_packet(src, dst)
    theirs = (
        IPv6(src=str(src), dst=str(dst), hlim=255)
        / ICMPv6ND_NA(
            tgt=str(message.target),
            R=int(message.router),
            S=int(message.solicited),
            O=int(message.override),
        )
        / ICMPv6NDOptDstLLAddr(lladdr=str(mac))
    )

    assert ours.serialize() == bytes(theirs)
    read = IPv6(ours.serialize())[ICMPv6ND_NA]
    assert (message.router, message.solicited, message.override) == (read.R, read.S, read.O)
    assert IPv6Address(read.tgt) == message.target
    assert read[ICMPv6NDOptDstLLAddr].lladdr == str(mac)


@given(raw_options)
def test_we_read_an_unknown_option_of_scapy(option: ndp.RawOption) -> None:
    wire = bytes((option.kind, (len(option.data) + 2) // 8)) + option.data
    theirs = IPv6(src=str(SRC), dst=str(GROUP), hlim=255) / ICMPv6ND_NS(tgt=str(TARGET))
    message = ndp.parse(ipv6.Packet.parse(bytes(theirs / Raw(wire))))
    assert message == ndp.Solicitation(TARGET, (option,))


def test_the_first_link_layer_address_of_its_kind_counts() -> None:
    other = MacAddress.parse("02:00:00:00:00:02")
    source = tuple(map(ndp.SourceLinkLayerAddress, (MAC, other)))
    target = tuple(map(ndp.TargetLinkLayerAddress, (other, MAC)))

    assert ndp.Solicitation(TARGET, (NONCE, *target, *source)).source_mac == MAC
    assert ndp.Advertisement(TARGET, options=(NONCE, *source, *target)).target_mac == other
    assert ndp.Solicitation(TARGET, (NONCE, *target)).source_mac is None
    assert ndp.Advertisement(TARGET, options=source).target_mac is None


def test_duplicate_address_detection_is_read() -> None:
    assert ndp.parse(PROBE) == ndp.Solicitation(TARGET)
    nonce = ndp.Solicitation(TARGET, (NONCE,))
    assert ndp.parse(nonce.to_packet(UNSPECIFIED, GROUP)) == nonce


def test_an_unsolicited_advertisement_goes_to_all_nodes() -> None:
    message = ndp.Advertisement(TARGET, override=True, options=(ndp.TargetLinkLayerAddress(MAC),))
    assert ndp.parse(message.to_packet(TARGET, ALL_NODES_ADDRESS)) == message


def test_reserved_bits_are_not_looked_at() -> None:
    assert ndp.parse(overwritten(NS, 4, b"\xff\xff\xff\xff")) == SOLICITATION
    assert ndp.parse(overwritten(NA, 4, b"\x7f\xff\xff\xff")) == ADVERTISEMENT


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (dataclasses.replace(NS, next_header=0), Reason.NDP_NEXT_HEADER),
        (dataclasses.replace(NS, payload=b""), Reason.TRUNCATED),
        (dataclasses.replace(NS, payload=NS.payload[:23]), Reason.TRUNCATED),
        (overwritten(NS, 0, b"\x85"), Reason.NDP_TYPE),
        (overwritten(NS, 0, b"\x89"), Reason.NDP_TYPE),
        (overwritten(NS, 1, b"\x01"), Reason.NDP_CODE),
        (overwritten(NA, 1, b"\x01"), Reason.NDP_CODE),
        (dataclasses.replace(NS, hop_limit=254), Reason.NDP_HOP_LIMIT),
        (dataclasses.replace(NA, hop_limit=64), Reason.NDP_HOP_LIMIT),
        (dataclasses.replace(NS, src=IPv6Address("fe80::3")), Reason.NDP_CHECKSUM),
        (dataclasses.replace(NS, payload=NS.payload[:-1] + b"\x09"), Reason.NDP_CHECKSUM),
        (overwritten(NS, 8, b"\xff"), Reason.NDP_TARGET),
        (overwritten(NA, 8, b"\xff"), Reason.NDP_TARGET),
        (with_options(NS, bytes(8)), Reason.NDP_OPTION),
        (with_options(NS, b"\x01\x00" + MAC), Reason.NDP_OPTION),
        (with_options(NS, b"\x01\x02" + MAC + bytes(8)), Reason.NDP_OPTION),
        (with_options(NA, b"\x02\x02" + MAC + bytes(8)), Reason.NDP_OPTION),
        (with_options(NS, b"\x01\x01" + MAC + b"\x0e"), Reason.TRUNCATED),
        (with_options(NS, b"\x0e\x02" + MAC), Reason.TRUNCATED),
        (with_options(NS, b"\x01\x01" + MAC[:5]), Reason.TRUNCATED),
        (with_options(PROBE, b"\x01\x01" + MAC), Reason.NDP_UNSPECIFIED_SOURCE),
        (
            with_right_checksum(dataclasses.replace(PROBE, dst=TARGET)),
            Reason.NDP_UNSPECIFIED_SOURCE,
        ),
        (
            with_right_checksum(dataclasses.replace(PROBE, dst=ALL_NODES_ADDRESS)),
            Reason.NDP_UNSPECIFIED_SOURCE,
        ),
        (
            with_right_checksum(dataclasses.replace(NA, dst=ALL_NODES_ADDRESS)),
            Reason.NDP_SOLICITED_FLAG,
        ),
    ],
)
def test_a_bad_message_says_what_is_wrong(packet: ipv6.Packet, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        ndp.parse(packet)
    assert caught.value.reason == reason


def test_what_would_not_be_read_is_not_written() -> None:
    with pytest.raises(ValueError, match="no solicited-node address"):
        ndp.Solicitation(TARGET).serialize(UNSPECIFIED, ALL_NODES_ADDRESS)
    with pytest.raises(ValueError, match="with a source link-layer address"):
        SOLICITATION.serialize(UNSPECIFIED, GROUP)
    with pytest.raises(ValueError, match="solicited advertisement to multicast"):
        ADVERTISEMENT.serialize(TARGET, ALL_NODES_ADDRESS)


@pytest.mark.parametrize("make", [ndp.Solicitation, ndp.Advertisement])
def test_a_multicast_address_is_nobodys(make: type[ndp.Message]) -> None:
    with pytest.raises(ValueError, match="target is multicast: ff02::1"):
        make(ALL_NODES_ADDRESS)


@pytest.mark.parametrize(
    ("kind", "size", "complaint"),
    [
        (1, 6, "class of its own"),
        (2, 6, "class of its own"),
        (14, 0, "units of 8"),
        (14, 8, "units of 8"),
        (-1, 6, "option type"),
        (256, 6, "option type"),
        (14, 2046, "size of option data"),
    ],
)
def test_an_option_that_cannot_be_written_is_refused(kind: int, size: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ndp.RawOption(kind, bytes(size))


def test_the_longest_option_is_written_and_read() -> None:
    message = ndp.Solicitation(TARGET, (ndp.RawOption(255, bytes(2038)),))
    assert ndp.parse(message.to_packet(SRC, GROUP)) == message


@given(
    st.sampled_from([NS, NA, PROBE]),
    st.integers(0, 32),
    st.binary(max_size=40),
    st.booleans(),
    st.sampled_from([UNSPECIFIED, SRC, GROUP]),
)
def test_any_bytes_parse_or_raise_decode_error(
    packet: ipv6.Packet, cut: int, tail: bytes, mend: bool, dst: IPv6Address
) -> None:
    packet = dataclasses.replace(packet, payload=packet.payload[:cut] + tail, dst=dst)
    if mend and len(packet.payload) >= 4:
        packet = with_right_checksum(packet)
    with contextlib.suppress(DecodeError):
        ndp.parse(packet)


@given(st.sampled_from([NS, NA]), st.binary(max_size=64))
def test_any_options_parse_or_raise_decode_error(packet: ipv6.Packet, data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        message = ndp.parse(with_options(packet, data))
        assert message.to_packet(packet.src, packet.dst).payload[24:] == data
