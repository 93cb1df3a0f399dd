"""A rehearsal does what the engine would do, and leaves it alone."""

from ipaddress import IPv4Address
from typing import Any

import pytest
from msgspec import structs

from support.script import OVERLAY, UNLIMITED, Script, mac, packet, target
from varpd.engine.commands import Command, Inject, Install, StartLookups, StartNeighbours
from varpd.engine.events import (
    EntrySet,
    FramesPunted,
    InstanceStopped,
    LookupsAnswered,
    NeighboursAnswered,
    TargetSet,
)
from varpd.engine.rehearsal import Outcome, Rehearsal, Rehearsed
from varpd.engine.settings import Rate
from varpd.net import arp, ethernet
from varpd.net.addresses import BROADCAST, MacAddress
from varpd.provider.answers import DROP, PROXY_ARP
from varpd.targets.entries import Entry, Pending

A, B, GUEST = mac(1), mac(2), mac(9)


def rehearsal(script: Script) -> Rehearsal:
    overlay = script.engine.overlay(OVERLAY)
    assert overlay is not None
    return Rehearsal(overlay)


def picture(script: Script) -> Any:
    """Return all of an overlay that a rehearsal could disturb."""
    overlay = script.engine.overlay(OVERLAY)
    assert overlay is not None
    shares = overlay.shares
    return (
        dict(overlay.counters),
        {key: (entry, _waiting(entry)) for key, entry in overlay.entries.items()},
        [share.used for share in (shares.waiting, shares.targets, shares.lookups)],
        dict(overlay.waits),
        dict(overlay.deferred),
        [bucket._arrival for bucket in overlay.buckets],
        overlay.next_deadline(),
    )


def _waiting(entry: Entry) -> tuple[int, int]:
    if not isinstance(entry, Pending):
        return 0, 0
    return len(entry.waiting.packets), entry.waiting.size


def rehearsed(script: Script, *sent: bytes) -> Outcome:
    """Rehearse frames; the overlay must stay as it is."""
    before = picture(script)
    outcome = rehearsal(script).feed(FramesPunted(OVERLAY, list(sent)), script.now)
    assert picture(script) == before
    return outcome


def kinds(found: list[Command]) -> list[type]:
    return [type(item) for item in found]


def same(script: Script, *sent: bytes) -> None:
    """Rehearse frames, then let them happen; the same must follow."""
    before = dict(script.engine.counters(OVERLAY))
    outcome = rehearsed(script, *sent)
    script.when(FramesPunted(OVERLAY, list(sent)))
    after = script.engine.counters(OVERLAY)
    counted = {name: after[name] - before.get(name, 0) for name in after}
    assert outcome.counted == {name: count for name, count in counted.items() if count}
    assert kinds(outcome.commands) == kinds(script.said)


def test_a_frame_to_an_unknown_mac_would_be_asked_about() -> None:
    same(Script(), packet(A, GUEST))


def test_a_frame_to_a_known_mac_would_be_sent_on() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    assert rehearsed(script, packet(A, GUEST)).counted["resent"] == 1
    same(script, packet(A, GUEST))


def test_a_frame_would_wait_with_others_within_their_bounds() -> None:
    limits = structs.replace(UNLIMITED, waiting_mac=200)
    script = Script(limits=limits)
    for _ in range(4):
        same(script, packet(A, GUEST, bytes(60)))
    assert script.count("dropped.waiting-mac") == 2


def test_what_is_dropped_for_a_while_or_by_the_administrator_would_be_dropped() -> None:
    script = Script().when(FramesPunted(OVERLAY, [packet(A, GUEST)]))
    script.when(LookupsAnswered(OVERLAY, script.asked(StartLookups).queries, [DROP]))
    script.when(EntrySet(OVERLAY, B, None))
    same(script, packet(A, GUEST))
    same(script, packet(B, GUEST))
    assert (script.count("dropped.negative"), script.count("dropped.blocked")) == (1, 1)


def test_without_an_instance_it_would_be_dropped() -> None:
    same(Script().when(InstanceStopped(OVERLAY)), packet(A, GUEST))


@pytest.mark.parametrize("limit", ["unicast", "source_unicast"])
def test_limits_hold_as_they_do_at_that_moment(limit: str) -> None:
    script = Script(limits=structs.replace(UNLIMITED, **{limit: Rate(1, 2)}))
    for _ in range(4):
        same(script, packet(A, GUEST))


def test_a_full_table_and_too_many_questions_are_as_they_are() -> None:
    script = Script(limits=structs.replace(UNLIMITED, targets=1))
    same(script, packet(A, GUEST))
    same(script, packet(B, GUEST))
    script = Script(limits=structs.replace(UNLIMITED, lookups=1))
    same(script, packet(A, GUEST))
    same(script, packet(B, GUEST))


def test_answers_lead_on_to_rows_and_frames() -> None:
    script = Script()
    stage, before = rehearsal(script), picture(script)
    sent = packet(A, GUEST)
    first = stage.feed(FramesPunted(OVERLAY, [sent]), script.now)
    (asked,) = first.commands
    assert isinstance(asked, StartLookups)
    answered = LookupsAnswered(OVERLAY, asked.queries, [target(2)])
    assert stage.feed(answered, script.now).commands == [Install(OVERLAY, target(2), [A], [sent])]
    assert picture(script) == before


def test_an_arp_request_leads_on_to_a_reply_behind_the_rows() -> None:
    script = Script().when(TargetSet(OVERLAY, B, target(1)))
    stage, before = rehearsal(script), picture(script)
    question = arp.Packet(
        operation=arp.Operation.REQUEST,
        sender_mac=GUEST,
        sender_ip=IPv4Address("10.0.0.9"),
        target_mac=MacAddress(bytes(6)),
        target_ip=IPv4Address("10.0.0.1"),
    )
    sent = packet(BROADCAST, GUEST, question.serialize(), ethernet.EtherType.ARP)

    def next_of(event: Rehearsed) -> Any:
        (command,) = stage.feed(event, script.now).commands
        return command

    lookup = next_of(FramesPunted(OVERLAY, [sent]))
    who = next_of(LookupsAnswered(OVERLAY, lookup.queries, [PROXY_ARP]))
    assert isinstance(who, StartNeighbours)
    where = next_of(NeighboursAnswered(OVERLAY, who.questions, [A]))
    assert where.queries[0].dst == A
    answered = LookupsAnswered(OVERLAY, where.queries, [target(2)])
    said = stage.feed(answered, script.now).commands
    assert kinds(said) == [Install, Inject]
    assert picture(script) == before
