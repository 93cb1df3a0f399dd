"""Batches and messages of nfnetlink."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft import wire
from varpd.datapath.linux.nft.wire import Family, Kind, Message


def test_a_batch_is_framed_and_numbered_and_the_last_message_asks_for_an_answer() -> None:
    data = wire.batch(
        [
            Message(Kind.NEWTABLE, Family.INET, b"", wire.NLM_F_CREATE),
            Message(Kind.DELTABLE, Family.NETDEV, b""),
        ],
        5,
    )
    found = list(netlink.messages(data))
    assert [message.kind for message in found] == [0x10, 0x0A00, 0x0A02, 0x11]
    assert [message.sequence for message in found] == [0, 5, 6, 0]
    assert [message.flags for message in found] == [1, 0x401, 5, 1]
    assert [wire.family_of(data, message) for message in found] == [0, 1, 5, 0]
    # Both edges name the subsystem, big-endian.
    assert data[16:20] == b"\x00\x00\x00\x0a"


def test_a_dump_is_asked_for_with_a_family_and_a_filter() -> None:
    data = wire.request(Kind.GETRULE, Family.INET, netlink.attribute(1, b"varpd\0"), 9)
    (message,) = netlink.messages(data)
    assert (message.kind, message.flags, message.sequence) == (0x0A07, 0x301, 9)
    assert wire.attributes_of(data, message) == {1: b"varpd\0"}
    assert wire.kind_of(message) is Kind.GETRULE


def test_one_object_is_asked_for_without_a_dump() -> None:
    (message,) = netlink.messages(wire.request(Kind.GETTABLE, Family.INET, b"", 1, dump=False))
    assert message.flags == 5


@pytest.mark.parametrize("kind", [0x0203, 0x0A00 | 200, netlink.NLMSG_DONE])
def test_what_is_not_about_nftables_has_no_kind(kind: int) -> None:
    assert wire.kind_of(netlink.Message(kind, 0, 0, 16, 20)) is None


@given(st.integers(-(2**31), 2**32 - 1))
def test_numbers_are_big_endian(value: int) -> None:
    assert wire.u32(value) == struct.pack("!I", value % 2**32)
    assert wire.number(wire.u32(value)) == value % 2**32


def test_strings_end_with_a_zero() -> None:
    assert wire.text("varpd") == b"varpd\0"
    assert wire.parse_text(b"varpd\0\0\0") == "varpd"
    assert wire.parse_text(b"\xff") == "\N{REPLACEMENT CHARACTER}"


def test_a_message_tells_who_asked_for_it() -> None:
    data = netlink.HEADER.pack(20, 0x0A00, 0, 3, 4711) + bytes(4)
    (message,) = netlink.messages(data)
    assert wire.port_of(data, message) == 4711


@given(st.binary(max_size=200))
def test_anything_can_be_read(data: bytes) -> None:
    for message in netlink.messages(data):
        wire.kind_of(message)
        wire.attributes_of(data, message)
