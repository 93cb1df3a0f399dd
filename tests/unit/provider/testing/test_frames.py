"""Tests of questions made from a few words."""

import pytest

from support.scapy_oracle import Dot1Q, Dot3, Ether
from varpd.net.addresses import BROADCAST, MacAddress
from varpd.provider import FRAME, REFRESH
from varpd.provider.testing.frames import (
    SOURCE,
    as_query,
    frame_query,
    mac_of,
    refresh_query,
    refreshed,
)

MAC = "02:00:5e:00:53:11"


def test_a_frame_is_what_scapy_reads_out_of_it() -> None:
    query = frame_query(MAC, src="02:00:5e:00:53:22", ethertype=0x86DD, vlan=7, payload=b"abc")
    frame = Ether(query.frame or b"")

    assert (frame.dst, frame.src) == (MAC, "02:00:5e:00:53:22")
    assert (frame[Dot1Q].vlan, frame[Dot1Q].type) == (7, 0x86DD)
    assert query.cause is FRAME


def test_a_frame_without_ethertype_is_of_802_3() -> None:
    query = frame_query(MAC, ethertype=None, payload=b"abcd")

    assert Dot3(query.frame or b"").len == 4
    assert query.ethertype is None


def test_a_refresh_has_no_frame() -> None:
    query = refresh_query(MAC, vnetid=9)

    assert (query.cause, query.frame, query.vnetid) == (REFRESH, None, 9)
    assert query.dst == MacAddress.parse(MAC)


def test_a_mac_alone_is_a_question() -> None:
    query = as_query(MAC)

    assert (query.dst, query.src) == (MacAddress.parse(MAC), SOURCE)
    assert as_query(query) is query


def test_varpd_asks_once_about_each_unicast_mac() -> None:
    queries = [as_query(MAC), frame_query(MAC, vlan=3), as_query(BROADCAST)]

    assert [query.dst for query in refreshed(queries)] == [MacAddress.parse(MAC)]


def test_what_is_no_mac_is_refused() -> None:
    with pytest.raises(ValueError, match="MAC"):
        mac_of("02:00")
