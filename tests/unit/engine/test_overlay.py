"""What the engine keeps of one overlay."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from support.script import OVERLAY, mac, settings, target
from varpd import engine
from varpd.engine import agenda
from varpd.engine import overlay as overlays
from varpd.engine.agenda import CheckUse, EndHold
from varpd.engine.commands import Command, Install, RemoveRows
from varpd.engine.here import Locality
from varpd.engine.overlay import Overlay, Shares
from varpd.targets.budget import Budget
from varpd.targets.entries import Blocked, Entry, Negative, Pending, Refreshing, Valid, Waiting

A, B = bytes(mac(1)), bytes(mac(2))
GROUP = bytes.fromhex("01005e010203")


@pytest.fixture
def locality() -> Locality:
    return Locality()


@pytest.fixture
def overlay(locality: Locality) -> Overlay:
    shares = Shares(*(Budget(1000).open(100) for _ in range(3)))
    return Overlay(OVERLAY, settings(), shares, locality, b"")


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        (Valid((target(2), target(3), target(4)), 0.0, 0.0), 3),
        (Valid((), 0.0, 0.0), 1),
        (Blocked(0.0), 1),
        (Negative(()), 1),
    ],
)
def test_entries_are_counted_by_their_remotes(overlay: Overlay, entry: Entry, size: int) -> None:
    overlay.put(A, entry)
    assert overlay.shares.targets.used == size


def test_a_target_is_in_use_while_an_entry_has_it(overlay: Overlay) -> None:
    shared = overlay.valid((target(2),), 0.0)
    overlay.put(A, shared)
    overlay.put(B, shared)
    overlay.put(GROUP, overlay.valid((target(1), target(3)), 0.0))
    overlay.put(B, Refreshing(shared, overlay.query(B, b"")))
    overlay.forget(A)
    assert set(overlay.uses) == {target(1), target(2), target(3)}

    overlay.put(B, overlay.valid((target(4),), 0.0))
    overlay.forget(GROUP)
    assert set(overlay.uses) == {target(4)}


def test_putting_and_forgetting_keeps_the_share_right(overlay: Overlay) -> None:
    overlay.put(A, overlay.valid((target(2), target(3)), 0.0))
    assert overlay.shares.targets.used == 2
    overlay.put(A, Blocked(0.0))
    assert overlay.shares.targets.used == 1
    overlay.forget(A)
    overlay.forget(A)
    assert overlay.shares.targets.used == 0


def test_an_entry_that_no_longer_waits_has_no_time_out(overlay: Overlay) -> None:
    query = overlay.query(A, bytes(80))
    overlay.put(A, Pending(query, Waiting([], 0)))
    overlay.wait(A, 100.0)
    assert overlay.next_deadline() == 105.0
    overlay.put(A, Refreshing(overlay.valid((target(2),), 0.0), query))
    assert overlay.next_deadline() is None


def test_rows_of_unicast_macs_go_in_one_command(overlay: Overlay) -> None:
    out: list[Command] = []
    overlay.remove_rows([A, bytes(mac(2))], out)
    overlay.remove_rows([], out)
    assert out == [RemoveRows(OVERLAY, [A, bytes(mac(2))])]


def test_frames_sent_and_dropped_are_counted(overlay: Overlay) -> None:
    out: list[Command] = []
    overlay.install(overlay.valid((target(2),), 0.0), [A], [b"1", b"2"], out)
    overlay.drop("reason", 0)
    overlay.drop("reason", 3)
    assert out == [Install(OVERLAY, target(2), [A], [b"1", b"2"])]
    assert overlay.counters == {"resent": 2, "dropped.reason": 3}


def test_plans_that_find_nothing_to_do_are_cleared_out_in_the_end(overlay: Overlay) -> None:
    waiting = Negative(tuple(((0x800, vlan), 50.0 + vlan) for vlan in range(8)))
    overlay.put(A, waiting)
    kept = overlay.valid((target(2),), 1.0)
    overlay.put(B, kept)
    for number in range(5 * agenda.SMALL):
        overlay.agenda.plan(90.0, CheckUse(overlay.valid((target(3),), 2.0), (B,), final=False))
        overlay.agenda.plan(80.0, EndHold(A, 1000.0 + number))
        if number % 1000 == 0:
            overlay.agenda.plan(70.0, CheckUse(kept, (A, B), final=False))
    for vlan in range(8):
        overlay.agenda.plan(50.0 + vlan, EndHold(A, 50.0 + vlan))
    assert len(overlay.agenda) <= agenda.SMALL + 1
    found = []
    while (action := overlay.agenda.take(75.0)) is not None:
        found.append(action)
    assert found[:8] == [EndHold(A, 50.0 + vlan) for vlan in range(8)]
    assert found[8:] == [CheckUse(kept, (A, B), final=False)] * 6


def counted() -> set[str]:
    """Return the names that the engine counts by, as far as its source spells them."""
    names: set[str] = set()
    for path in Path(str(files(engine))).glob("*.py"):
        text = path.read_text(encoding="utf-8")
        names.update(re.findall(r'counters\["(?:[a-z]+\.)?([a-z-]+)"\]', text))
        for move in ("asked", "drop", "_empty", "_drop_waiting"):
            names.update(re.findall(move + r'\((?:[a-z]+, )?"([a-z-]+)"', text))
    return names


def test_every_name_that_is_counted_by_is_told_of() -> None:
    told = overlays.__doc__ or ""
    names = counted()
    assert {"punted", "lookup", "late", "timeout", "no-instance"} <= names
    assert [name for name in sorted(names) if not re.search(rf"[`.]{name}``", told)] == []
