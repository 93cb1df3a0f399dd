"""Ethernet frames with at most one tag."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import Dot1Q, Dot3, Ether, Raw
from support.wire import macs, mangled, payloads
from varpd.net import ethernet
from varpd.net.addresses import MacAddress
from varpd.net.decode import DecodeError, Reason
from varpd.net.ethernet import EtherType, Frame, Tag

DST = MacAddress.parse("02:00:00:00:00:01")
SRC = MacAddress.parse("02:00:00:00:00:02")
UNTAGGED = DST + SRC + b"\x08\x06payload"
TAGGED = DST + SRC + b"\x81\x00\x70\x05\x08\x06payload"  # PCP 3, DEI, VID 5
LENGTH = DST + SRC + b"\x00\x07payload"

tags = st.builds(Tag, st.integers(0, 4095), st.integers(0, 7), st.booleans())
ethertypes = st.integers(ethernet.ETHERTYPE_MIN, 0xFFFF).filter(lambda n: n != EtherType.VLAN)
frames = st.builds(Frame, macs, macs, st.none() | ethertypes, payloads, tag=st.none() | tags)


@pytest.mark.parametrize(
    ("wire", "frame"),
    [
        (UNTAGGED, Frame(DST, SRC, EtherType.ARP, b"payload")),
        (TAGGED, Frame(DST, SRC, EtherType.ARP, b"payload", Tag(5, 3, dei=True))),
        (LENGTH, Frame(DST, SRC, None, b"payload")),
    ],
)
def test_a_known_frame_is_read_and_written(wire: bytes, frame: Frame) -> None:
    assert Frame.parse(wire) == frame
    assert frame.serialize() == wire


@pytest.mark.parametrize(
    ("ethertype", "number"),
    [("IPV4", 0x0800), ("ARP", 0x0806), ("VLAN", 0x8100), ("IPV6", 0x86DD)],
)
def test_the_known_ethertypes(ethertype: str, number: int) -> None:
    assert EtherType[ethertype] == number


def test_a_tag_has_no_priority_of_itself() -> None:
    assert Tag(5).tci == 5


@given(frames)
def test_what_is_written_is_read_back(frame: Frame) -> None:
    assert Frame.parse(frame.serialize()) == frame


@given(macs, macs, ethertypes, payloads, tags)
def test_scapy_reads_what_we_write(
    dst: MacAddress, src: MacAddress, ethertype: int, payload: bytes, tag: Tag
) -> None:
    plain = Ether(Frame(dst, src, ethertype, payload).serialize())
    assert (plain.dst, plain.src, plain.type) == (str(dst), str(src), ethertype)

    tagged = Ether(Frame(dst, src, ethertype, payload, tag).serialize())
    assert (tagged.dst, tagged.src, tagged.type) == (str(dst), str(src), EtherType.VLAN)
    assert (tagged[Dot1Q].vlan, tagged[Dot1Q].prio, tagged[Dot1Q].dei, tagged[Dot1Q].type) == (
        tag.vid,
        tag.pcp,
        tag.dei,
        ethertype,
    )


@given(macs, macs, ethertypes, payloads, tags)
def test_we_read_what_scapy_writes(
    dst: MacAddress, src: MacAddress, ethertype: int, payload: bytes, tag: Tag
) -> None:
    ether = Ether(dst=str(dst), src=str(src), type=ethertype) / Raw(payload)
    assert Frame.parse(bytes(ether)) == Frame(dst, src, ethertype, payload)

    dot1q = Dot1Q(vlan=tag.vid, prio=tag.pcp, dei=int(tag.dei), type=ethertype)
    tagged = Ether(dst=str(dst), src=str(src)) / dot1q / Raw(payload)
    assert Frame.parse(bytes(tagged)) == Frame(dst, src, ethertype, payload, tag)

    dot3 = Dot3(dst=str(dst), src=str(src)) / Raw(payload)
    assert Frame.parse(bytes(dot3)) == Frame(dst, src, None, payload)


@given(frames)
def test_the_hot_path_functions_agree_with_the_message(frame: Frame) -> None:
    wire = frame.serialize()

    assert ethernet.ethertype_of(wire) == frame.ethertype
    assert ethernet.header_length(wire) == len(wire) - len(frame.payload)
    vid = frame.tag.vid if frame.tag else 0
    assert ethernet.vlan_of(wire) == (vid if vid in range(1, 4095) else None)


@given(frames, macs)
def test_a_replaced_destination_leaves_the_rest_alone(frame: Frame, mac: MacAddress) -> None:
    wire = ethernet.replace_destination(frame.serialize(), mac)

    assert wire == Frame(mac, frame.src, frame.ethertype, frame.payload, frame.tag).serialize()
    assert type(wire) is bytes


def test_a_destination_is_six_bytes() -> None:
    with pytest.raises(ValueError, match="6 bytes, got 5"):
        ethernet.replace_destination(UNTAGGED, b"12345")


@pytest.mark.parametrize(("vid", "vlan"), [(0, None), (1, 1), (4094, 4094), (4095, None)])
def test_a_priority_tag_and_the_reserved_vid_are_no_vlan(vid: int, vlan: int | None) -> None:
    wire = Frame(DST, SRC, EtherType.IPV4, b"", Tag(vid, pcp=7, dei=True)).serialize()
    assert ethernet.vlan_of(wire) == vlan


def test_only_the_first_tag_is_looked_behind() -> None:
    inner = b"\x00\x09\x08\x00"
    frame = Frame(DST, SRC, EtherType.VLAN, inner, Tag(5))

    assert Frame.parse(frame.serialize()) == frame
    assert ethernet.ethertype_of(frame.serialize()) == EtherType.VLAN
    assert ethernet.vlan_of(frame.serialize()) == 5


def test_padding_is_left_out_of_a_frame_that_knows_its_length() -> None:
    assert Frame.parse(LENGTH + bytes(39)).payload == b"payload"
    assert Frame.parse(UNTAGGED + bytes(39)).payload == b"payload" + bytes(39)


def frame_of_type(value: int) -> bytes:
    return DST + SRC + value.to_bytes(2, "big") + bytes(1500)


@pytest.mark.parametrize(
    ("value", "ethertype"), [(1536, 1536), (1535, None), (1501, None), (1500, None), (0, None)]
)
def test_a_value_below_1536_is_no_ethertype(value: int, ethertype: int | None) -> None:
    assert ethernet.ethertype_of(frame_of_type(value)) == ethertype


@pytest.mark.parametrize("value", [1501, 1535])
def test_a_value_between_length_and_type_is_an_error(value: int) -> None:
    with pytest.raises(DecodeError) as caught:
        Frame.parse(frame_of_type(value))
    assert caught.value.reason == Reason.ETHERNET_LENGTH


@pytest.mark.parametrize("value", [0, 1500, 1536])
def test_a_value_at_the_edge_of_length_and_type_is_read(value: int) -> None:
    frame = Frame.parse(frame_of_type(value))
    assert (frame.ethertype or len(frame.payload)) == value


@pytest.mark.parametrize("wire", [b"", UNTAGGED[:13], TAGGED[:17], TAGGED[:14]])
def test_a_frame_shorter_than_its_header_is_truncated(wire: bytes) -> None:
    for read in (
        Frame.parse,
        ethernet.ethertype_of,
        ethernet.vlan_of,
        ethernet.header_length,
        lambda frame: ethernet.replace_destination(frame, DST),
    ):
        with pytest.raises(DecodeError) as caught:
            read(wire)
        assert caught.value.reason == Reason.TRUNCATED


def test_a_frame_shorter_than_its_length_field_is_truncated() -> None:
    with pytest.raises(DecodeError) as caught:
        Frame.parse(LENGTH[:-1])
    assert caught.value.reason == Reason.TRUNCATED


@pytest.mark.parametrize("wire", [UNTAGGED[:14], TAGGED[:18]])
def test_a_frame_that_is_only_a_header_is_a_frame(wire: bytes) -> None:
    assert Frame.parse(wire).payload == b""
    assert ethernet.ethertype_of(wire) == EtherType.ARP


@pytest.mark.parametrize("ethertype", [-1, 0, 1500, 1535, 0x10000, EtherType.VLAN])
def test_a_frame_with_what_is_no_ethertype_is_refused(ethertype: int) -> None:
    with pytest.raises(ValueError, match=r"EtherType"):
        Frame(DST, SRC, ethertype, b"")


def test_a_frame_with_a_length_has_at_most_1500_bytes() -> None:
    assert len(Frame(DST, SRC, None, bytes(1500)).serialize()) == 1514
    with pytest.raises(ValueError, match="1501"):
        Frame(DST, SRC, None, bytes(1501))


@pytest.mark.parametrize(("vid", "pcp"), [(4096, 0), (-1, 0), (0, 8), (0, -1)])
def test_a_tag_that_does_not_fit_is_refused(vid: int, pcp: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Tag(vid, pcp)


@given(st.sampled_from([UNTAGGED, TAGGED, LENGTH]).flatmap(mangled))
def test_any_bytes_parse_or_raise_decode_error(data: bytes) -> None:
    for read in (Frame.parse, ethernet.ethertype_of, ethernet.vlan_of):
        with contextlib.suppress(DecodeError):
            read(data)
