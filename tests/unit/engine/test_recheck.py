"""The plugin is asked about adopted targets, in the background, while they are in force."""

import pytest
from msgspec import structs

from support.script import OVERLAY, UNLIMITED, Script, mac, packet, settings, target
from varpd.engine import recheck
from varpd.engine.commands import Install, InstallReplicas, Note, RemoveRows, StartLookups
from varpd.engine.engine import Engine
from varpd.engine.events import (
    DEFERRED,
    DeadlinePassed,
    Failed,
    FramesPunted,
    InstanceStarted,
    InstanceStopped,
    Invalidated,
    LookupsAnswered,
    OverlayAdded,
    RowsAdopted,
    TargetSet,
)
from varpd.provider.answers import DROP, Answer, Replicate
from varpd.provider.query import REFRESH, Query

ONE = bytes(mac(1))
GROUP = bytes.fromhex("01005e000005")


def adopt(script: Script, count: int = 1) -> Script:
    """Let as many MACs have rows that lead to host 2."""
    return script.when(rows(OVERLAY, count), then=[])


def rows(overlay: str, count: int) -> RowsAdopted:
    there = [bytes(mac(number)) for number in range(1, count + 1)]
    return RowsAdopted(overlay, [(one, (target(2),)) for one in there], [])


def asked(script: Script) -> list[Query]:
    """Return what was asked last."""
    return [query for c in script.said if isinstance(c, StartLookups) for query in c.queries]


def turn(script: Script) -> list[Query]:
    """Let the next deadline pass and return what is asked then."""
    due = script.engine.next_deadline()
    assert due is not None
    script.now = max(script.now, due)
    script.when(DeadlinePassed())
    return asked(script)


def answer(script: Script, queries: list[Query], said: Answer | Failed) -> Script:
    return script.when(LookupsAnswered(OVERLAY, queries, [said for _ in queries]))


def view(script: Script) -> tuple[str, str]:
    (found,) = script.engine.entries(OVERLAY)
    return found.state, found.origin


def test_an_adopted_target_is_asked_for_without_a_frame() -> None:
    script = adopt(Script())
    (query,) = turn(script)
    assert (query.key, query.cause, query.packet) == (ONE, REFRESH, None)
    assert view(script) == ("refreshing", "adopted")


def test_the_same_target_makes_it_the_plugins_and_writes_nothing() -> None:
    script = adopt(Script())
    script.when(LookupsAnswered(OVERLAY, turn(script), [target(2)]), then=[])
    assert view(script) == ("valid", "plugin")
    assert script.engine.next_deadline() is None


def test_another_target_is_installed() -> None:
    script = adopt(Script())
    script.when(
        LookupsAnswered(OVERLAY, turn(script), [target(3)]),
        then=[Install(OVERLAY, target(3), [ONE], [])],
    )
    assert view(script) == ("valid", "plugin")


def test_what_the_plugin_no_longer_knows_loses_its_rows() -> None:
    script = adopt(Script())
    script.when(LookupsAnswered(OVERLAY, turn(script), [DROP]), then=[RemoveRows(OVERLAY, [ONE])])
    assert script.engine.entries(OVERLAY) == []


def test_a_group_may_be_replicated_as_before_in_any_order() -> None:
    script = Script()
    script.when(RowsAdopted(OVERLAY, [(GROUP, (target(2), target(3)))], []))
    same = Replicate.to(target(3), target(2))
    script.when(LookupsAnswered(OVERLAY, turn(script), [same]), then=[])
    assert view(script) == ("valid", "plugin")


def test_a_group_that_is_replicated_otherwise_is_written() -> None:
    script = Script().when(RowsAdopted(OVERLAY, [(GROUP, (target(2), target(3)))], []))
    script.when(
        LookupsAnswered(OVERLAY, turn(script), [Replicate.to(target(4))]),
        then=[InstallReplicas(OVERLAY, GROUP, (target(4),))],
    )


def test_a_slow_answer_counts_and_frames_go_by_the_row_meanwhile() -> None:
    script = adopt(Script())
    queries = turn(script)
    script.when(LookupsAnswered(OVERLAY, queries, [DEFERRED]), then=[])
    frame = packet(ONE, mac(9))
    script.when(FramesPunted(OVERLAY, [frame]), then=[Install(OVERLAY, target(2), [], [frame])])
    answer(script, queries, target(2))
    assert view(script) == ("valid", "plugin")


def test_an_answer_after_something_newer_does_not_count() -> None:
    script = adopt(Script())
    queries = turn(script)
    script.when(TargetSet(OVERLAY, ONE, target(4)))
    script.when(LookupsAnswered(OVERLAY, queries, [target(3)]), then=[])
    assert script.engine.entries(OVERLAY)[0].targets == (target(4),)
    assert script.count("ignored.late") == 1


def test_what_was_said_meanwhile_is_not_asked_about() -> None:
    script = adopt(Script(), 2)
    script.when(Invalidated(OVERLAY, ONE)).when(TargetSet(OVERLAY, bytes(mac(2)), target(2)))
    assert turn(script) == []
    assert script.engine.next_deadline() is None


# -- pace


def test_a_slice_is_asked_about_at_a_time() -> None:
    script = adopt(Script(), 3 * recheck.SLICE)
    began = script.now
    for number in range(3):
        queries = turn(script)
        assert len(queries) == recheck.SLICE
        assert script.now == pytest.approx(began + number * recheck.INTERVAL)
        answer(script, queries, target(2))
    assert script.engine.next_deadline() is None
    assert script.count("confirmed") == 3 * recheck.SLICE


def test_a_part_of_the_questions_is_left_to_frames() -> None:
    script = adopt(Script(limits=structs.replace(UNLIMITED, lookups=40)), 100)
    queries = turn(script)
    assert len(queries) == 10
    assert script.engine.next_deadline() is None
    answer(script, queries[:3], target(2))
    assert len(turn(script)) == 3


def test_where_frames_take_all_questions_it_is_tried_later() -> None:
    script = Script(limits=structs.replace(UNLIMITED, lookups=1))
    script.when(FramesPunted(OVERLAY, [packet(mac(7), mac(9))]))
    waiting = asked(script)
    adopt(script)
    assert turn(script) == []
    answer(script, waiting, DROP)
    script.when(DeadlinePassed(), after=recheck.NO_ROOM_RETRY - 0.1)
    assert asked(script) == []


def test_overlays_take_turns() -> None:
    engine = Engine()
    names = ["blue", "red", "green"]
    for name in names:
        engine.handle(OverlayAdded(name, settings()), 0.0)
        engine.handle(InstanceStarted(name), 0.0)
        engine.handle(rows(name, 200), 0.0)
    turns: list[str] = []
    while len(turns) < 6:
        due = engine.next_deadline()
        assert due is not None
        said = [c for c in engine.handle(DeadlinePassed(), due) if isinstance(c, StartLookups)]
        assert len(said) <= 1
        turns += [command.overlay for command in said]
    assert sorted(turns[:3]) == sorted(turns[3:]) == sorted(names)


# -- a plugin that fails


def test_a_target_without_an_answer_stays_and_is_asked_about_later_and_later() -> None:
    script = adopt(Script())
    queries = turn(script)
    for delay in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0):
        answer(script, queries, Failed("dead"))
        assert len([c for c in script.said if isinstance(c, Note)]) == 1
        assert not [c for c in script.said if isinstance(c, RemoveRows)]
        assert view(script) == ("stale", "adopted")
        began = script.now
        queries = turn(script)
        assert script.now - began == pytest.approx(delay)
        assert len(queries) == 1
    answer(script, queries, target(2))
    assert view(script) == ("valid", "plugin")


def test_a_dead_plugin_is_left_alone() -> None:
    script = adopt(Script(), 1000)
    answer(script, turn(script), Failed("dead"))
    began = script.now
    while not (queries := turn(script)):
        assert script.now - began < recheck.DELAY_MIN
    assert len(queries) == recheck.SLICE
    assert script.now - began == pytest.approx(recheck.DELAY_MIN)


def test_a_mac_that_fails_does_not_hold_up_the_others() -> None:
    script = adopt(Script(), 2 * recheck.SLICE)
    first, *others = turn(script)
    answer(script, [first], Failed("no"))
    answer(script, others, target(2))
    assert len(turn(script)) == recheck.SLICE
    assert script.now < 1000.1


def test_a_ttl_does_not_end_a_target_sooner_because_the_plugin_failed() -> None:
    script = adopt(Script(ttl=60.0))
    answer(script, turn(script), Failed("dead"))
    turn(script)
    assert view(script)[1] == "adopted"


# -- an instance that stops and starts


def test_what_a_stopped_instance_has_not_answered_is_asked_again() -> None:
    script = adopt(Script(), 2)
    queries = turn(script)
    script.when(InstanceStopped(OVERLAY))
    answer(script, queries, Failed("stopped"))
    assert {found.state for found in script.engine.entries(OVERLAY)} == {"valid"}
    script.when(InstanceStarted(OVERLAY))
    assert {query.key for query in turn(script)} == {query.key for query in queries}


def test_rows_wait_for_an_instance_that_is_not_there_yet() -> None:
    script = Script().when(InstanceStopped(OVERLAY))
    adopt(script)
    assert script.engine.next_deadline() is None
    script.when(InstanceStarted(OVERLAY))
    assert len(turn(script)) == 1
