"""Which MACs are on guests' ports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.datapath.linux import learned
from varpd.datapath.linux.learned import LearnedMacs

A, B = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"


def test_what_is_new_and_what_is_gone_is_told_once() -> None:
    macs = LearnedMacs()
    macs.add(A, 0)
    assert macs.changes() == ([A], [])
    assert macs.changes() == ([], [])
    macs.remove(A, 0)
    assert macs.changes() == ([], [A])
    assert macs.changes() == ([], [])


def test_what_came_and_went_meanwhile_is_not_told() -> None:
    macs = LearnedMacs()
    macs.add(A, 0)
    macs.discard(A)
    assert macs.changes() == ([], [])


def test_a_mac_is_known_while_any_vlan_has_it() -> None:
    macs = LearnedMacs()
    macs.add(A, 1)
    macs.add(A, 2)
    macs.remove(A, 1)
    assert macs.changes() == ([A], [])
    macs.remove(A, 3)
    macs.remove(A, 2)
    assert macs.changes() == ([], [A])


def test_replacing_tells_the_difference() -> None:
    macs = LearnedMacs()
    macs.add(A, 0)
    macs.changes()
    macs.replace([(B, 0)])
    assert macs.changes() == ([B], [A])
    macs.replace([(B, 0)])
    assert macs.changes() == ([], [])


def test_there_is_a_bound_and_what_is_beyond_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "MACS_MAX", 1)
    macs = LearnedMacs()
    macs.add(A, 0)
    macs.add(B, 0)
    assert (len(macs), macs.passed_over) == (1, 1)
    macs.discard(A)
    macs.add(B, 0)
    assert macs.changes() == ([B], [])


@given(
    steps=st.lists(st.tuples(st.sampled_from("+-!?"), st.sampled_from([A, B]), st.integers(0, 2)))
)
def test_what_was_told_is_what_there_is(steps: list[tuple[str, bytes, int]]) -> None:
    macs, rows, told = LearnedMacs(), set[tuple[bytes, int]](), set[bytes]()
    for step, mac, vlan in [*steps, ("?", A, 0)]:
        if step == "+":
            macs.add(mac, vlan)
            rows.add((mac, vlan))
        elif step == "-":
            macs.remove(mac, vlan)
            rows.discard((mac, vlan))
        elif step == "!":
            macs.discard(mac)
            rows = {row for row in rows if row[0] != mac}
        else:
            new, gone = macs.changes()
            assert told.isdisjoint(new)
            assert told.issuperset(gone)
            told = (told | set(new)) - set(gone)
            assert told == {mac for mac, _ in rows}
