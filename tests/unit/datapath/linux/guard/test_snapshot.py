"""Reading the tables; the rest is tested with `tables`."""

import errno

import pytest

from support.fake_nftables import FakeNftables
from varpd.datapath.linux.guard import shared, snapshot
from varpd.datapath.linux.guard.layout import INET, NETDEV
from varpd.datapath.linux.nft import expressions, objects
from varpd.datapath.linux.nft.content import EMPTY, Content, difference
from varpd.datapath.linux.nft.objects import Chain, Element, Rule


def test_each_part_is_told_by_whose_it_is() -> None:
    there = FakeNftables()
    session = there.session()
    blue = Content(
        (Chain("wrapped-blue"),),
        (),
        (Rule("wrapped-blue", (expressions.counter(),), "x"),),
        frozenset([Element("tunnels", bytes(8), comment="blue: vnetid 0")]),
    )
    session.change([objects.new_table(INET), objects.new_table(NETDEV)])
    session.change(difference(INET, EMPTY, shared.inet(0, []) | blue))

    found = snapshot.read(session)

    assert difference(INET, found["blue"][INET], blue) == []
    assert difference(INET, found[snapshot.SHARED][INET], shared.inet(0, [])) == []


def test_tables_of_others_are_none_of_ours() -> None:
    there = FakeNftables()
    session = there.session()
    other = objects.Table(INET.family, "other")
    session.change([objects.new_table(other), objects.new_chain(other, Chain("wrapped-blue"))])
    assert snapshot.read(session) == {}


def test_what_keeps_changing_cannot_be_read() -> None:
    there = FakeNftables()
    there.disturbed = snapshot.TRIES
    with pytest.raises(InterruptedError) as caught:
        snapshot.read(there.session())
    assert caught.value.errno == errno.EINTR
    assert snapshot.read(there.session()) == {}
