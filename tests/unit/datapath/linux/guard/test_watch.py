"""What notifications say of who changed what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.datapath.linux import netlink
from varpd.datapath.linux.guard import watch
from varpd.datapath.linux.guard.watch import Heard

OWN = 4711
OTHER = 4712
DELTABLE = 0x0A02
NEWGEN = 0x0A0F


def told(kind: int, port: int, family: int, attributes: bytes) -> bytes:
    body = bytes([family, 0, 0, 0]) + attributes
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 0, 0, port) + body


def generation(port: int, maker: str) -> bytes:
    return told(NEWGEN, port, 0, netlink.attribute(3, maker.encode() + b"\0"))


@pytest.mark.parametrize(
    ("family", "table", "ours"),
    [(1, "varpd", True), (5, "varpd", True), (2, "varpd", False), (1, "filter", False)],
)
def test_what_others_do_to_our_tables_is_told_apart(family: int, table: str, *, ours: bool) -> None:
    name = netlink.attribute(1, table.encode() + b"\0")
    data = told(DELTABLE, OTHER, family, name) + generation(OTHER, "nft")
    assert watch.parse(data, OWN) == Heard(True, ours, frozenset({"nft"}))


def test_what_varpd_itself_does_is_no_news() -> None:
    data = told(DELTABLE, OWN, 1, netlink.attribute(1, b"varpd\0")) + generation(OWN, "varpd")
    assert watch.parse(data, OWN) == Heard()


def test_other_subsystems_are_none_of_ours() -> None:
    assert watch.parse(told(0x0102, OTHER, 2, b""), OWN) == Heard()


def test_what_was_heard_is_put_together() -> None:
    one, two = Heard(True, False, frozenset({"a"})), Heard(True, True, frozenset({"b"}))
    assert one | two == Heard(True, True, frozenset({"a", "b"}))


@given(st.binary(max_size=200))
def test_anything_can_be_read(data: bytes) -> None:
    watch.parse(data, OWN)
