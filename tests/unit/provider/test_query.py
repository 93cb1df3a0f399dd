"""Tests of queries, against scapy."""

from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import Dot1Q, Dot3, Ether, Raw
from support.wire import macs, payloads
from varpd.net.addresses import MacAddress
from varpd.provider.query import FRAME, REFRESH, Query

DST = MacAddress.parse("02:00:5e:00:53:01")
SRC = MacAddress.parse("02:00:5e:00:53:02")


def query_of(frame: bytes, headroom: bytes = b"") -> Query:
    return Query(frame[:6], 100, headroom + frame, len(headroom))


@given(
    dst=macs,
    src=macs,
    ethertype=st.integers(1536, 65535).filter(lambda kind: kind != 0x8100),
    vlan=st.none() | st.integers(1, 4094),
    payload=payloads,
    headroom=st.binary(max_size=16),
)
def test_it_reads_what_scapy_wrote(
    dst: MacAddress,
    src: MacAddress,
    ethertype: int,
    vlan: int | None,
    payload: bytes,
    headroom: bytes,
) -> None:
    if vlan is None:
        packet = Ether(dst=str(dst), src=str(src), type=ethertype) / Raw(payload)
    else:
        tag = Dot1Q(vlan=vlan, type=ethertype, prio=5)
        packet = Ether(dst=str(dst), src=str(src), type=0x8100) / tag / Raw(payload)
    frame = bytes(packet)
    query = query_of(frame, headroom)

    assert (query.dst, query.src) == (dst, src)
    assert (query.ethertype, query.vlan) == (ethertype, vlan)
    assert (query.frame, query.size) == (frame, len(frame))
    assert query.cause is FRAME


@given(payload=st.binary(max_size=64), vlan=st.none() | st.integers(1, 4094))
def test_a_frame_of_802_3_has_no_ethertype(payload: bytes, vlan: int | None) -> None:
    if vlan is None:
        frame = bytes(Dot3(dst=str(DST), src=str(SRC), len=len(payload)) / Raw(payload))
    else:
        tag = Dot1Q(vlan=vlan, type=len(payload))
        frame = bytes(Ether(dst=str(DST), src=str(SRC), type=0x8100) / tag / Raw(payload))
    query = query_of(frame)

    assert query.ethertype is None
    assert query.vlan == vlan


def test_only_one_tag_is_looked_behind() -> None:
    packet = Ether(dst=str(DST), src=str(SRC), type=0x8100) / Dot1Q(vlan=5, type=0x8100)
    query = query_of(bytes(packet / Dot1Q(vlan=6, type=0x0800)))

    assert (query.ethertype, query.vlan) == (0x8100, 5)


def test_a_priority_tag_is_no_vlan() -> None:
    packet = Ether(dst=str(DST), src=str(SRC), type=0x8100) / Dot1Q(vlan=0, prio=6, type=0x0806)
    query = query_of(bytes(packet))

    assert (query.ethertype, query.vlan) == (0x0806, None)


def test_varpds_own_question_has_no_frame() -> None:
    query = Query(bytes(DST), 100, None, 0, REFRESH)

    assert query.dst == DST
    assert (query.src, query.frame, query.size, query.vlan) == (None, None, 0, None)
    assert query.ethertype == 0x0800


def test_the_frame_is_the_plugins_to_keep() -> None:
    query = query_of(bytes(Ether(dst=str(DST), src=str(SRC))))

    assert type(query.frame) is bytes


def test_two_questions_are_never_the_same() -> None:
    one, two = query_of(bytes(14)), query_of(bytes(14))

    assert one != two
    assert len({one, two}) == 2


def test_the_key_and_the_mac_find_the_same_in_a_table() -> None:
    query = query_of(bytes(Ether(dst=str(DST), src=str(SRC))))
    table = {DST: "here"}

    assert table.get(MacAddress(query.key)) == table.get(query.dst) == "here"
    assert {bytes(DST): "here"}[query.dst] == "here"
