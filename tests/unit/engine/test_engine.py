"""The engine as a whole: overlays apart from each other, deadlines, views."""

from collections import Counter

import pytest
from msgspec import structs

from support.script import HERE, OVERLAY, UNLIMITED, Script, mac, packet, settings, target
from varpd.engine import engine
from varpd.engine.commands import ReportPorts, StartLookups
from varpd.engine.engine import Engine, EntryView
from varpd.engine.events import (
    DEFERRED,
    DeadlinePassed,
    DefaultTargetSet,
    EntrySet,
    FramesPunted,
    InstanceStarted,
    LocalAddressesChanged,
    LookupsAnswered,
    OverlayAdded,
    OverlayRemoved,
    PortsSeen,
    TableFlushed,
    TargetSet,
)
from varpd.engine.settings import Totals
from varpd.targets.census import ROWS

A, GUEST = mac(1), mac(9)


def test_events_for_an_overlay_that_is_not_there_are_ignored() -> None:
    assert Engine().handle(FramesPunted("nowhere", [packet(A, GUEST)]), 0.0) == []


def test_an_overlay_cannot_be_added_twice() -> None:
    with pytest.raises(ValueError, match="blue"):
        Script().when(OverlayAdded(OVERLAY, settings()))


def test_a_removed_overlay_is_forgotten_with_all_that_it_used() -> None:
    script = Script().when(FramesPunted(OVERLAY, [packet(A, GUEST)]))
    queries = script.asked(StartLookups).queries
    script.when(LookupsAnswered(OVERLAY, queries, [DEFERRED]))
    script.when(OverlayRemoved(OVERLAY), then=[])
    script.when(LookupsAnswered(OVERLAY, queries, [target(2)]), then=[])
    script.when(DeadlinePassed(), then=[], after=100)
    assert script.engine.next_deadline() is None
    script.when(OverlayAdded(OVERLAY, settings()), then=[])
    assert script.engine.entries(OVERLAY) == []


def test_overlays_know_nothing_of_each_other() -> None:
    script = Script().when(OverlayAdded("red", settings())).when(InstanceStarted("red"))
    script.when(TargetSet("red", A, target(2)))
    assert script.engine.entries(OVERLAY) == []
    script.when(FramesPunted(OVERLAY, [packet(A, GUEST)]))
    assert script.asked(StartLookups).overlay == OVERLAY


def test_a_flooded_overlay_leaves_the_others_their_reserved_share() -> None:
    frame = packet(A, GUEST)
    engine = Engine(Totals(waiting=40 * len(frame)))
    script = Script(engine, limits=UNLIMITED)
    script.when(OverlayAdded("red", settings())).when(InstanceStarted("red"))
    script.when(FramesPunted(OVERLAY, [packet(mac(n), GUEST) for n in range(100)]))
    assert script.count("dropped.waiting-overlay") == 70
    script.when(FramesPunted("red", [packet(mac(n), GUEST) for n in range(20)]))
    assert len(script.asked(StartLookups).queries) == 10


def test_the_next_deadline_is_the_earliest_of_all_overlays() -> None:
    script = Script(lookup_timeout=5.0)
    script.when(OverlayAdded("red", settings(lookup_timeout=2.0))).when(InstanceStarted("red"))
    for name in (OVERLAY, "red"):
        script.when(FramesPunted(name, [packet(A, GUEST)]))
        queries = script.asked(StartLookups).queries
        script.when(LookupsAnswered(name, queries, [DEFERRED]))
    assert script.engine.next_deadline() == script.now + 2.0
    script.when(DeadlinePassed(), after=2.0)
    assert script.engine.counters("red")["dropped.timeout"] == 1
    assert "dropped.timeout" not in script.engine.counters(OVERLAY)


def test_the_views_say_what_is_known_and_by_whom() -> None:
    script = Script()
    now = script.now
    script.when(TargetSet(OVERLAY, A, target(2)))
    script.when(EntrySet(OVERLAY, mac(2), None))
    script.when(FramesPunted(OVERLAY, [packet(mac(3), GUEST)]))
    assert script.engine.entries(OVERLAY) == [
        EntryView(A, (target(2),), "valid", "plugin", now),
        EntryView(mac(2), (), "blocked", "administrator", None),
        EntryView(mac(3), (), "pending", "plugin", None),
    ]
    assert script.engine.knows(OVERLAY, A)
    assert not script.engine.knows(OVERLAY, mac(5))
    assert not script.engine.knows("nowhere", A)
    assert script.engine.counters("nowhere") == {}
    assert script.engine.default_target("nowhere") is None
    assert list(script.engine.each_entry("nowhere")) == []
    assert script.engine.remotes(OVERLAY) == {target(2)}
    assert script.engine.remotes("nowhere") == set()
    assert not script.engine.is_here("nowhere", target(2))


def test_this_host_is_no_remote_and_the_target_of_a_point_overlay_is_one() -> None:
    script = Script()
    script.when(LocalAddressesChanged(frozenset({HERE})))
    script.when(TargetSet(OVERLAY, A, target(1)))
    assert script.engine.is_here(OVERLAY, target(1))
    assert not script.engine.is_here(OVERLAY, target(2))
    assert script.engine.remotes(OVERLAY) == set()
    script.when(DefaultTargetSet(OVERLAY, target(1)))
    assert script.engine.remotes(OVERLAY) == set()
    script.when(DefaultTargetSet(OVERLAY, target(2)))
    assert script.engine.remotes(OVERLAY) == {target(2)}


def test_whoever_looks_at_entries_one_by_one_sees_the_table_as_it_was() -> None:
    script = Script()
    for number in (2, 3):
        script.when(TargetSet(OVERLAY, mac(number), target(2)))
    entries = script.engine.each_entry(OVERLAY)
    assert next(entries).mac == mac(2)
    script.when(TableFlushed(OVERLAY))
    assert next(entries).mac == mac(3)
    assert script.engine.entries(OVERLAY) == []


def test_what_a_turn_takes_of_a_share_it_gives_back() -> None:
    limits = structs.replace(UNLIMITED, lookups=64)
    script = Script(limits=limits)
    for round_ in range(10):
        macs = [mac(100 * round_ + n) for n in range(64)]
        script.when(FramesPunted(OVERLAY, [packet(dst, GUEST) for dst in macs]))
        queries = script.asked(StartLookups).queries
        assert len(queries) == 64
        script.when(LookupsAnswered(OVERLAY, queries, [target(2)] * 64))
    assert script.engine.waiting(OVERLAY) == 0


def test_entries_are_counted_by_their_state() -> None:
    script = Script()
    for number in range(2, 5):
        script.when(TargetSet(OVERLAY, mac(number), target(2)))
    script.when(EntrySet(OVERLAY, A, None))
    found = sum(script.engine.census(OVERLAY), Counter[str]())
    assert found == {"valid": 3, "blocked": 1, ROWS: 3}
    assert list(script.engine.census("nowhere")) == []


def test_a_large_table_is_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CENSUS_SLICE", 2)
    script = Script()
    for number in range(2, 7):
        script.when(TargetSet(OVERLAY, mac(number), target(2)))
    assert [part["valid"] for part in script.engine.census(OVERLAY)] == [2, 2, 1]


def test_the_ports_of_guests_are_told_to_the_instance() -> None:
    script = Script().when(PortsSeen(OVERLAY, ("tap0",)), then=[ReportPorts(OVERLAY, ("tap0",))])
    script.when(PortsSeen("nowhere", ("tap0",)), then=[])
