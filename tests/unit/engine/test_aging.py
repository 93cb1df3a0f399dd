"""What time does to entries."""

from msgspec import structs

from support.script import OVERLAY, UNLIMITED, Script, mac, packet, settings, target
from varpd.engine.commands import AskUsage, RemoveRows, StartLookups
from varpd.engine.events import (
    DeadlinePassed,
    EntrySet,
    FramesPunted,
    LookupsAnswered,
    OverlayChanged,
    TargetsEnumerated,
    TargetSet,
    UsageReported,
)
from varpd.provider.answers import DROP

A, B, GUEST = mac(1), mac(2), mac(9)


def test_a_target_without_ttl_holds_until_somebody_says_otherwise() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    assert script.engine.next_deadline() is None


def test_an_unused_target_goes_at_the_end_of_its_ttl() -> None:
    script = Script(ttl=100.0).when(TargetSet(OVERLAY, A, target(2)))
    script.when(DeadlinePassed(), then=[], after=89)
    script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=1)
    script.when(UsageReported(OVERLAY, [A], [80.0]), then=[])
    script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=10)
    script.when(UsageReported(OVERLAY, [A], [90.0]), then=[RemoveRows(OVERLAY, [A], "expired")])
    assert script.count("expired") == 1


def test_a_target_used_in_the_last_tenth_of_its_ttl_is_asked_for_anew() -> None:
    script = Script(ttl=100.0).when(TargetSet(OVERLAY, A, target(2)))
    script.when(DeadlinePassed(), after=90)
    script.when(UsageReported(OVERLAY, [A], [80.0]))
    script.when(DeadlinePassed(), after=10)
    script.when(UsageReported(OVERLAY, [A], [3.0]))
    assert script.asked(StartLookups).queries[0].dst == A


def test_a_target_that_was_looked_up_ends_with_its_ttl_too() -> None:
    script = Script(ttl=100.0).when(FramesPunted(OVERLAY, [packet(A, GUEST)]))
    queries = script.asked(StartLookups).queries
    script.when(LookupsAnswered(OVERLAY, queries, [target(2)]))
    script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=90)


def test_a_target_said_again_lives_its_ttl_from_then() -> None:
    script = Script(ttl=100.0).when(TargetSet(OVERLAY, A, target(2)))
    script.when(TargetSet(OVERLAY, A, target(2)), after=50)
    script.when(DeadlinePassed(), then=[], after=40)
    script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=50)


def test_the_administrators_entries_do_not_age() -> None:
    script = Script(ttl=100.0).when(EntrySet(OVERLAY, A, target(2)))
    assert script.engine.next_deadline() is None


def test_a_ttl_that_is_set_later_holds_for_what_is_known() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    script.when(OverlayChanged(OVERLAY, settings(ttl=10.0)))
    script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=9)


def test_a_negative_entry_goes_when_its_hold_ends() -> None:
    script = Script().when(FramesPunted(OVERLAY, [packet(A, GUEST)]))
    script.when(LookupsAnswered(OVERLAY, script.asked(StartLookups).queries, [DROP]))
    assert [view.state for view in script.engine.entries(OVERLAY)] == ["negative"]
    script.when(DeadlinePassed(), then=[], after=1)
    assert script.engine.entries(OVERLAY) == []


def full() -> Script:
    """Return a story with a table of 4, full, of which the oldest are candidates."""
    script = Script(limits=structs.replace(UNLIMITED, targets=4))
    pairs = [(bytes(mac(n)), target(2)) for n in range(4)]
    script.when(TargetsEnumerated(OVERLAY, pairs))
    return script.when(FramesPunted(OVERLAY, [packet(mac(7), GUEST)]))


def test_a_full_table_asks_which_of_the_oldest_are_used_before_it_evicts() -> None:
    script = full()
    macs = [bytes(mac(n)) for n in range(4)]
    assert script.said == [AskUsage(OVERLAY, macs)]
    assert script.count("dropped.table-full") == 1
    script.when(
        UsageReported(OVERLAY, macs, [0.0, 100.0, 5.0, None]),
        then=[RemoveRows(OVERLAY, [mac(1), mac(3)], "evicted")],
    )
    script.when(FramesPunted(OVERLAY, [packet(mac(7), GUEST)]))
    assert script.asked(StartLookups).queries[0].dst == mac(7)


def test_a_full_table_in_which_all_is_used_gives_up_the_least_used_half() -> None:
    script = full()
    macs = [bytes(mac(n)) for n in range(4)]
    script.when(
        UsageReported(OVERLAY, macs, [0.0, 3.0, 1.0, 2.0]),
        then=[RemoveRows(OVERLAY, [mac(1), mac(3)], "evicted")],
    )
    assert script.count("evicted") == 2


def test_the_administrators_entries_are_not_evicted() -> None:
    script = Script(limits=structs.replace(UNLIMITED, targets=2))
    script.when(EntrySet(OVERLAY, A, target(2))).when(EntrySet(OVERLAY, B, None))
    script.when(FramesPunted(OVERLAY, [packet(mac(7), GUEST)]), then=[])
    assert script.count("dropped.table-full") == 1
