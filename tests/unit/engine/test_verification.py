"""MACs that guests here send from; what becomes of their rows is told in `test_statements`."""

from msgspec import structs

from support.script import HERE, OVERLAY, UNLIMITED, Script, mac, packet, target
from varpd.engine.commands import StartLookups
from varpd.engine.events import (
    DeadlinePassed,
    Failed,
    FramesPunted,
    Invalidated,
    LocalAddressesChanged,
    LookupsAnswered,
    MacsForgotten,
    MacsLearned,
)
from varpd.provider.answers import DROP
from varpd.provider.query import Query

GUEST = bytes(mac(7))


def learned(script: Script, *macs: bytes) -> list[Query]:
    """Let guests send from MACs; return what is asked."""
    script.when(MacsLearned(OVERLAY, list(macs)))
    return [query for c in script.said if isinstance(c, StartLookups) for query in c.queries]


def test_a_guest_that_sends_from_its_own_mac_is_no_late_answer() -> None:
    script = Script()
    queries = learned(script, GUEST)
    script.when(LookupsAnswered(OVERLAY, queries, [DROP]), then=[])
    assert script.count("ignored.late") == 0
    assert script.engine.entries(OVERLAY) == []


def test_a_target_that_is_this_host_leaves_the_mac_to_its_guest() -> None:
    script = Script().when(LocalAddressesChanged(frozenset({HERE})))
    queries = learned(script, GUEST)
    script.when(LookupsAnswered(OVERLAY, queries, [target(1)]), then=[])
    assert script.engine.entries(OVERLAY) == []


def test_an_answer_that_was_superseded_is_late() -> None:
    script = Script()
    old = learned(script, GUEST)
    script.when(Invalidated(OVERLAY, GUEST))
    script.when(LookupsAnswered(OVERLAY, old, [target(2)]), then=[])
    assert script.count("ignored.late") == 1


def test_frames_that_wait_have_the_answer_like_any_other() -> None:
    script = Script()
    queries = learned(script, GUEST)
    script.when(FramesPunted(OVERLAY, [packet(GUEST, mac(1), ethertype=0x0800)]), then=[])
    script.when(LookupsAnswered(OVERLAY, queries, [DROP]), then=[])
    assert script.count("dropped.plugin") == 1
    assert script.engine.entries(OVERLAY)[0].state == "negative"


def test_macs_for_which_there_is_no_room_are_tried_again_by_one_plan() -> None:
    script = Script(limits=structs.replace(UNLIMITED, lookups=2))
    queries = [query for number in range(1, 50) for query in learned(script, bytes(mac(number)))]
    assert len(queries) == 1
    script.when(LookupsAnswered(OVERLAY, queries, [DROP]))
    script.when(MacsForgotten(OVERLAY, [bytes(mac(number)) for number in range(2, 49)]))
    again = script.when(DeadlinePassed(), after=1.1).asked(StartLookups).queries
    assert [query.key for query in again] == [bytes(mac(49))]
    script.when(LookupsAnswered(OVERLAY, again, [DROP]), then=[])
    script.when(DeadlinePassed(), then=[], after=100.0)


def test_after_a_failure_a_mac_is_asked_about_again_once() -> None:
    script = Script()
    queries = learned(script, GUEST)
    script.when(LookupsAnswered(OVERLAY, queries, [Failed("raised")]), then=[])
    script.when(DeadlinePassed(), then=[], after=9.9)
    again = script.when(DeadlinePassed(), after=0.2).asked(StartLookups).queries
    script.when(LookupsAnswered(OVERLAY, again, [DROP]), then=[])
    script.when(DeadlinePassed(), then=[], after=100.0)
