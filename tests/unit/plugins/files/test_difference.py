"""What another content says otherwise."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from varpd.plugins.files.content import SLICE, Content
from varpd.plugins.files.difference import Difference, difference
from varpd.provider import Target

A, B, C = (bytes([2, 0, 0, 0, 0, last]) for last in (1, 2, 3))
ONE = Target(ip=IPv4Address("192.0.2.1"), port=4789)
TWO = Target(ip=IPv4Address("192.0.2.2"), port=4789)


def no_pause() -> None:
    pass


def test_equal_contents_do_not_differ() -> None:
    def content() -> Content:
        target = Target(ip=IPv4Address("192.0.2.1"), port=4789)
        return Content(targets={A: target}, ipv4={1: A}, ipv6={2: A})

    assert difference(content(), content(), no_pause) == Difference([], [])


def test_a_mac_that_moved_went_or_came_has_changed() -> None:
    old = Content(targets={A: ONE, B: ONE})
    new = Content(targets={A: TWO, C: ONE})

    assert sorted(difference(old, new, no_pause).macs) == [A, B, C]


def test_a_mac_whose_target_can_no_longer_be_reached_has_changed() -> None:
    old = Content(targets={A: ONE})
    new = Content(other_family={A: Target(ip=IPv6Address("2001:db8::1"), port=4789)})

    assert difference(old, new, no_pause).macs == [A]


def test_an_address_has_moved_if_another_mac_has_it() -> None:
    old = Content(ipv4={1: A, 2: A, 3: A}, ipv6={1: A, 2: A})
    new = Content(ipv4={1: B, 2: A, 4: C}, ipv6={2: B, 3: C})

    assert difference(old, new, no_pause).moved == [
        (IPv4Address(1), B),
        (IPv6Address(2), B),
    ]


tables = st.dictionaries(
    st.integers(0, 20).map(lambda at: bytes([2, 0, 0, 0, 0, at])), st.integers(1, 3)
)


@given(tables, tables)
def test_a_mac_has_changed_exactly_if_it_is_answered_otherwise(
    old: dict[bytes, int], new: dict[bytes, int]
) -> None:
    def content(table: dict[bytes, int]) -> Content:
        return Content(targets={mac: Target(ip=IPv4Address(ip)) for mac, ip in table.items()})

    macs = difference(content(old), content(new), no_pause).macs

    assert len(macs) == len(set(macs))
    assert set(macs) == {mac for mac in old.keys() | new if old.get(mac) != new.get(mac)}


def test_a_long_comparison_pauses() -> None:
    content = Content(targets={at.to_bytes(6, "big"): ONE for at in range(3 * SLICE)})
    pauses: list[None] = []

    difference(content, content, lambda: pauses.append(None))

    assert len(pauses) == 6
