"""How many entries have each target."""

from ipaddress import IPv4Address

import pytest

from varpd.provider.answers import Target
from varpd.targets.uses import TargetUses

A, B, C = (Target(IPv4Address(f"192.0.2.{number}"), 4789) for number in (1, 2, 3))


def test_a_target_is_there_while_an_entry_has_it() -> None:
    uses = TargetUses()
    uses.replace((), (A,))
    uses.replace((), (A, B))
    assert set(uses) == {A, B}
    uses.replace((A,), (C,))
    assert set(uses) == {A, B, C}
    uses.replace((A, B), ())
    assert set(uses) == {C}


def test_many_entries_with_one_target_are_added_at_once() -> None:
    uses = TargetUses()
    uses.add(A, 2)
    uses.add(A, 1)
    for _ in range(2):
        uses.replace((A,), ())
    assert set(uses) == {A}
    uses.replace((A,), ())
    assert set(uses) == set()


def test_an_entry_that_keeps_a_target_changes_nothing() -> None:
    uses = TargetUses()
    uses.add(A, 1)
    uses.replace((A,), (A,))
    assert set(uses) == {A}


def test_a_target_that_no_entry_has_cannot_be_taken_away() -> None:
    with pytest.raises(KeyError):
        TargetUses().replace((A,), ())
