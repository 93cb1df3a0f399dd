"""What answers do to entries."""

from typing import Any

from msgspec import structs

from support.script import OVERLAY, UNLIMITED, Script, mac, packet, target
from varpd.engine.commands import (
    AskUsage,
    CancelQuestions,
    Install,
    RemoveRows,
    ReportFault,
    Resend,
    StartLookups,
)
from varpd.engine.events import (
    DEFERRED,
    DeadlinePassed,
    Failed,
    FramesPunted,
    InstanceStarted,
    InstanceStopped,
    Invalidated,
    LookupsAnswered,
    TargetSet,
    UsageReported,
)
from varpd.provider.answers import DROP, PROXY_ARP, Replicate
from varpd.provider.query import REFRESH, Query

A, B, GUEST = mac(1), mac(2), mac(9)


def asked(script: Script) -> Query:
    (query,) = script.asked(StartLookups).queries
    assert isinstance(query, Query)
    return query


def deferred(frame: bytes, **changes: Any) -> tuple[Script, Query]:
    """Return a story in which `frame` waits for a plugin that thinks."""
    script = Script(**changes).when(FramesPunted(OVERLAY, [frame]))
    query = asked(script)
    return script.when(LookupsAnswered(OVERLAY, [query], [DEFERRED]), then=[]), query


def refreshing(**changes: Any) -> tuple[Script, Query]:
    """Return a story in which the target of A is being asked for anew."""
    script = Script(ttl=60.0, **changes).when(TargetSet(OVERLAY, A, target(2)))
    script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=54.1)
    script.when(UsageReported(OVERLAY, [A], [0.5]))
    query = asked(script)
    assert (query.cause, query.frame, query.ethertype) == (REFRESH, None, 0x0800)
    return script.when(LookupsAnswered(OVERLAY, [query], [DEFERRED]), then=[]), query


def state(script: Script) -> str:
    (view,) = script.engine.entries(OVERLAY)
    return view.state


def test_an_answer_asked_for_before_an_invalidate_is_not_taken() -> None:
    frame = packet(A, GUEST)
    script, old = deferred(frame)
    script.when(Invalidated(OVERLAY, A))
    new = asked(script)
    script.when(LookupsAnswered(OVERLAY, [old], [target(2)]), then=[])
    script.when(
        LookupsAnswered(OVERLAY, [new], [target(3)]),
        then=[Install(OVERLAY, target(3), [A], [frame])],
    )
    assert script.count("ignored.late") == 1


def test_an_answer_asked_for_before_a_set_target_is_not_taken() -> None:
    frame = packet(A, GUEST)
    script, old = deferred(frame)
    script.when(TargetSet(OVERLAY, A, target(4)), then=[Install(OVERLAY, target(4), [A], [frame])])
    script.when(LookupsAnswered(OVERLAY, [old], [target(2)]), then=[])


def test_a_frame_waits_no_longer_than_the_time_out() -> None:
    script, _ = deferred(packet(A, GUEST))
    script.when(DeadlinePassed(), then=[], after=4.9)
    script.when(DeadlinePassed(), after=0.2)
    assert isinstance(script.said[0], ReportFault)
    assert str(A) in script.said[0].message
    assert script.count("dropped.timeout") == 1
    assert script.engine.waiting(OVERLAY) == 0


def test_an_overdue_lookup_stays_the_one_of_its_mac_and_a_late_answer_is_used() -> None:
    frame = packet(A, GUEST)
    script, query = deferred(frame)
    script.when(DeadlinePassed(), after=5.1)
    script.when(FramesPunted(OVERLAY, [frame]), then=[], after=2.0)
    script.when(
        LookupsAnswered(OVERLAY, [query], [target(2)]),
        then=[Install(OVERLAY, target(2), [A], [frame])],
    )


def test_a_late_answer_is_used_without_a_frame_that_waits() -> None:
    script, query = deferred(packet(A, GUEST))
    script.when(DeadlinePassed(), after=5.1)
    script.when(
        LookupsAnswered(OVERLAY, [query], [target(2)]),
        then=[Install(OVERLAY, target(2), [A], [])],
    )


def test_a_lookup_is_given_up_after_half_a_minute() -> None:
    script, query = deferred(packet(A, GUEST))
    script.when(DeadlinePassed(), after=5.1)
    script.when(DeadlinePassed(), then=[CancelQuestions(OVERLAY, [query])], after=25)
    script.when(LookupsAnswered(OVERLAY, [query], [Failed("cancelled")]), then=[])
    script.when(DeadlinePassed(), then=[], after=5)
    assert script.engine.entries(OVERLAY) == []
    assert script.engine.next_deadline() is None


def test_a_failure_drops_what_waits_and_the_next_frame_asks_again() -> None:
    script, query = deferred(packet(A, GUEST))
    script.when(LookupsAnswered(OVERLAY, [query], [Failed("raised")]), then=[])
    assert script.count("dropped.failed") == 1
    script.when(FramesPunted(OVERLAY, [packet(A, GUEST)]))
    assert asked(script).dst == A


def test_a_proxy_answer_for_a_unicast_frame_is_for_that_frame_alone() -> None:
    first, second = packet(A, GUEST, ethertype=0x0806), packet(A, GUEST)
    script = Script().when(FramesPunted(OVERLAY, [first, second]))
    script.when(LookupsAnswered(OVERLAY, [asked(script)], [PROXY_ARP]))
    again = asked(script)
    assert again.ethertype == 0x88B5
    assert script.count("dropped.arp-unicast") == 1
    script.when(
        LookupsAnswered(OVERLAY, [again], [target(2)]),
        then=[Install(OVERLAY, target(2), [A], [second])],
    )


def test_a_unicast_frame_can_be_replicated_and_leaves_no_entry() -> None:
    frame = packet(A, GUEST)
    script = Script().when(FramesPunted(OVERLAY, [frame]))
    script.when(
        LookupsAnswered(OVERLAY, [asked(script)], [Replicate.to(target(2), target(3))]),
        then=[Resend(OVERLAY, target(2), [frame]), Resend(OVERLAY, target(3), [frame])],
    )
    assert script.engine.entries(OVERLAY) == []


def test_a_target_in_use_is_asked_for_anew_and_stays_in_force_meanwhile() -> None:
    script, query = refreshing()
    frame = packet(A, GUEST)
    assert state(script) == "refreshing"
    script.when(FramesPunted(OVERLAY, [frame]))
    assert script.asked(Install).target == target(2)
    script.when(
        LookupsAnswered(OVERLAY, [query], [target(3)]),
        then=[Install(OVERLAY, target(3), [A], [])],
    )
    assert state(script) == "valid"


def test_a_refresh_that_is_dropped_takes_the_target_away() -> None:
    script, query = refreshing()
    script.when(LookupsAnswered(OVERLAY, [query], [DROP]), then=[RemoveRows(OVERLAY, [A])])
    assert script.engine.entries(OVERLAY) == []


def test_a_refresh_that_fails_leaves_the_target_in_force_and_is_tried_again() -> None:
    script, query = refreshing()
    script.when(LookupsAnswered(OVERLAY, [query], [Failed("away")]))
    assert state(script) == "stale"
    script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=6.1)
    script.when(UsageReported(OVERLAY, [A], [0.1]))
    assert asked(script).cause is REFRESH


def test_the_answer_to_a_refresh_does_not_undo_what_was_said_since() -> None:
    script, query = refreshing()
    script.when(TargetSet(OVERLAY, A, target(4)))
    script.when(LookupsAnswered(OVERLAY, [query], [target(3)]), then=[])
    (view,) = script.engine.entries(OVERLAY)
    assert view.targets == (target(4),)


def test_a_stopped_instance_leaves_targets_in_force_and_drops_what_waits() -> None:
    script, query = deferred(packet(A, GUEST))
    script.when(TargetSet(OVERLAY, B, target(2)))
    script.when(InstanceStopped(OVERLAY), then=[])
    assert script.count("dropped.no-instance") == 1
    script.when(LookupsAnswered(OVERLAY, [query], [Failed("stopped")]), then=[])
    assert [view.mac for view in script.engine.entries(OVERLAY)] == [B]
    script.when(InstanceStarted(OVERLAY))
    script.when(FramesPunted(OVERLAY, [packet(A, GUEST)]))
    assert asked(script).dst == A


def test_a_target_that_was_being_refreshed_at_a_stop_still_ends_with_its_ttl() -> None:
    script, query = refreshing()
    script.when(InstanceStopped(OVERLAY), then=[])
    script.when(LookupsAnswered(OVERLAY, [query], [Failed("stopped")]), then=[])
    script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=54.1)


def test_asking_anew_without_room_for_a_question_drops_what_waits() -> None:
    script, _ = deferred(packet(A, GUEST), limits=structs.replace(UNLIMITED, lookups=1))
    script.when(Invalidated(OVERLAY, A), then=[])
    assert script.count("dropped.lookups") == 1
    assert script.engine.waiting(OVERLAY) == 0
