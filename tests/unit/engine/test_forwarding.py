"""The way of a punted frame."""

from typing import Any

import pytest
from msgspec import structs

from support.script import HEADER, OVERLAY, UNLIMITED, Script, mac, packet, settings, target
from varpd.engine.commands import Install, InstallReplicas, Resend, StartLookups
from varpd.engine.events import (
    DEFERRED,
    DefaultTargetSet,
    EntrySet,
    FramesPunted,
    InstanceStopped,
    LocalAddressesChanged,
    LookupsAnswered,
    OverlayAdded,
    OverlayChanged,
    TargetSet,
)
from varpd.engine.settings import Limits, Mode, Rate
from varpd.net.addresses import BROADCAST, MacAddress, parse_ip
from varpd.provider.answers import DROP, Drop, Replicate
from varpd.provider.query import Query

A, B, GUEST = mac(1), mac(2), mac(9)
MULTICAST = MacAddress.parse("01:00:5e:01:02:03")


def punt(*packets: bytes) -> FramesPunted:
    return FramesPunted(OVERLAY, list(packets))


def only_query(script: Script) -> Query:
    (query,) = script.asked(StartLookups).queries
    assert isinstance(query, Query)
    return query


def test_a_frame_to_an_unknown_mac_is_asked_about_and_sent_when_the_answer_comes() -> None:
    first = packet(A, GUEST)
    script = Script().when(punt(first))
    query = only_query(script)
    assert (query.dst, query.frame) == (A, first[len(HEADER) :])
    script.when(
        LookupsAnswered(OVERLAY, [query], [target(2)]),
        then=[Install(OVERLAY, target(2), [A], [first])],
    )


def test_frames_wait_behind_one_lookup_and_go_out_in_their_order() -> None:
    first, second, third = (packet(A, GUEST, bytes([n])) for n in range(3))
    script = Script().when(punt(first, second))
    query = only_query(script)
    script.when(LookupsAnswered(OVERLAY, [query], [DEFERRED]), then=[])
    script.when(punt(third), then=[])
    script.when(
        LookupsAnswered(OVERLAY, [query], [target(2)]),
        then=[Install(OVERLAY, target(2), [A], [first, second, third])],
    )


def test_macs_found_at_one_target_in_one_turn_are_installed_together() -> None:
    to_a, to_b = packet(A, GUEST), packet(B, GUEST)
    script = Script().when(punt(to_a, to_b))
    queries = script.asked(StartLookups).queries
    script.when(
        LookupsAnswered(OVERLAY, queries, [target(2), target(2)]),
        then=[Install(OVERLAY, target(2), [A, B], [to_a, to_b])],
    )


def test_a_frame_punted_before_its_row_exists_is_forwarded_without_a_lookup() -> None:
    frame = packet(A, GUEST)
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    script.when(punt(frame), then=[Install(OVERLAY, target(2), [], [frame])], after=0.5)


def test_a_punt_long_after_the_row_was_asked_for_writes_it_again_once() -> None:
    frame = packet(A, GUEST)
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    script.when(punt(frame, frame), then=[Install(OVERLAY, target(2), [A], [frame] * 2)], after=2)
    script.when(punt(frame), then=[Install(OVERLAY, target(2), [], [frame])], after=0.5)
    assert script.count("rows-rewritten") == 1


def test_a_frame_to_a_local_target_is_dropped_since_the_bridge_has_offered_it() -> None:
    script = Script()
    script.when(LocalAddressesChanged(frozenset({parse_ip("192.0.2.1")})), then=[])
    script.when(TargetSet(OVERLAY, A, target(1)), then=[])
    script.when(punt(packet(A, GUEST)), then=[], after=100)
    assert script.count("dropped.local") == 1


def test_a_blocked_mac_gets_nothing() -> None:
    script = Script().when(EntrySet(OVERLAY, A, None))
    script.when(punt(packet(A, GUEST)), then=[])
    assert script.count("dropped.blocked") == 1


def test_a_dropped_destination_is_asked_for_again_after_the_hold() -> None:
    frame = packet(A, GUEST)
    script = Script().when(punt(frame))
    script.when(LookupsAnswered(OVERLAY, [only_query(script)], [DROP]), then=[])
    script.when(punt(frame), then=[], after=0.9)
    script.when(punt(frame), after=0.2)
    assert only_query(script).dst == A
    assert script.count("dropped.plugin") == 1
    assert script.count("dropped.negative") == 1


def test_a_drop_without_a_hold_is_for_one_frame_alone() -> None:
    frame = packet(A, GUEST)
    script = Script().when(punt(frame))
    script.when(LookupsAnswered(OVERLAY, [only_query(script)], [Drop(hold=0)]), then=[])
    script.when(punt(frame))
    assert only_query(script).dst == A


def test_a_hold_is_for_frames_of_the_same_ethertype() -> None:
    script = Script().when(punt(packet(A, GUEST)))
    script.when(LookupsAnswered(OVERLAY, [only_query(script)], [DROP]), then=[])
    script.when(punt(packet(A, GUEST, ethertype=0x0800)))
    assert only_query(script).ethertype == 0x0800


def test_frames_of_another_ethertype_that_wait_behind_a_drop_are_asked_about() -> None:
    one, other = packet(A, GUEST), packet(A, GUEST, ethertype=0x0800)
    script = Script().when(punt(one, other))
    script.when(LookupsAnswered(OVERLAY, [only_query(script)], [DROP]))
    again = only_query(script)
    assert again.ethertype == 0x0800
    script.when(
        LookupsAnswered(OVERLAY, [again], [target(2)]),
        then=[Install(OVERLAY, target(2), [A], [other])],
    )


def test_frames_for_one_mac_wait_up_to_a_bound_and_the_newest_are_dropped() -> None:
    frame = packet(A, GUEST)
    limits = Script(limits=_limits(waiting_mac=3 * len(frame)))
    limits.when(punt(*[frame] * 5))
    assert limits.count("dropped.waiting-mac") == 2
    assert limits.engine.waiting(OVERLAY) == 3 * len(frame)


def test_frames_of_an_overlay_wait_up_to_a_bound() -> None:
    frames = [packet(mac(n), GUEST) for n in range(5)]
    script = Script(limits=_limits(waiting=3 * len(frames[0])))
    script.when(punt(*frames))
    assert len(script.asked(StartLookups).queries) == 3
    assert script.count("dropped.waiting-overlay") == 2


def test_a_table_has_a_bound() -> None:
    script = Script(limits=_limits(targets=2))
    script.when(punt(*(packet(mac(n), GUEST) for n in range(3))))
    assert script.count("dropped.table-full") == 1


def test_lookups_in_progress_have_a_bound() -> None:
    script = Script(limits=_limits(lookups=2))
    script.when(punt(*(packet(mac(n), GUEST) for n in range(3))))
    assert script.count("dropped.lookups") == 1


def test_punts_over_the_overlays_rate_are_dropped_newest_first() -> None:
    script = Script(limits=_limits(unicast=Rate(10, 2)))
    frames = [packet(mac(n), GUEST) for n in range(4)]
    script.when(punt(*frames))
    assert [query.dst for query in script.asked(StartLookups).queries] == [mac(0), mac(1)]
    assert script.count("dropped.limit-unicast") == 2
    script.when(punt(frames[3]), after=0.1)
    assert only_query(script).dst == mac(3)


def test_one_source_can_be_limited_without_harm_to_another() -> None:
    script = Script(limits=_limits(source_unicast=Rate(1, 1)))
    script.when(punt(packet(A, GUEST), packet(B, GUEST), packet(mac(3), mac(8))))
    assert {query.dst for query in script.asked(StartLookups).queries} == {A, mac(3)}
    assert script.count("dropped.limit-source-unicast") == 1


def test_a_frame_shorter_than_its_header_is_dropped() -> None:
    tagged = HEADER + A + GUEST + b"\x81\x00\x00"
    script = Script().when(punt(HEADER + A, tagged, HEADER + A + GUEST + b"\x88\xb5"))
    assert script.count("dropped.truncated") == 2
    assert only_query(script).dst == A


def test_without_an_instance_frames_are_dropped() -> None:
    script = Script().when(InstanceStopped(OVERLAY))
    script.when(punt(packet(A, GUEST), packet(MULTICAST, GUEST)), then=[])
    assert script.count("dropped.no-instance") == 2


def test_a_point_overlay_sends_what_is_punted_to_its_target() -> None:
    script = Script()
    script.when(OverlayAdded("point", settings(mode=Mode.POINT)))
    script.when(DefaultTargetSet("point", target(3)))
    frame = packet(A, GUEST)
    script.when(FramesPunted("point", [frame]), then=[Install("point", target(3), [], [frame])])


def test_a_multicast_mac_gets_rows_and_its_waiting_frames_go_to_each_target() -> None:
    frame = packet(MULTICAST, GUEST)
    script = Script().when(punt(frame))
    script.when(
        LookupsAnswered(OVERLAY, [only_query(script)], [Replicate.to(target(2), target(3))]),
        then=[
            InstallReplicas(OVERLAY, MULTICAST, (target(2), target(3))),
            Resend(OVERLAY, target(2), [frame]),
            Resend(OVERLAY, target(3), [frame]),
        ],
    )
    script.when(
        punt(frame),
        then=[Resend(OVERLAY, target(2), [frame]), Resend(OVERLAY, target(3), [frame])],
    )


def test_a_replica_to_this_host_is_left_out() -> None:
    frame = packet(MULTICAST, GUEST)
    script = Script().when(LocalAddressesChanged(frozenset({parse_ip("192.0.2.1")})))
    script.when(punt(frame))
    script.when(
        LookupsAnswered(OVERLAY, [only_query(script)], [Replicate.to(target(1), target(3))]),
        then=[
            InstallReplicas(OVERLAY, MULTICAST, (target(3),)),
            Resend(OVERLAY, target(3), [frame]),
        ],
    )


@pytest.mark.parametrize("group", ["33:33:ff:00:00:01", "33:33:00:00:00:16", "ff:ff:ff:ff:ff:ff"])
def test_no_rows_are_ever_written_for_addresses_that_carry_arp_and_ndp(group: str) -> None:
    frame = packet(MacAddress.parse(group), GUEST)
    script = Script().when(punt(frame))
    script.when(
        LookupsAnswered(OVERLAY, [only_query(script)], [Replicate.to(target(2))]),
        then=[Resend(OVERLAY, target(2), [frame])],
    )
    assert script.engine.entries(OVERLAY) == []


def test_new_limits_hold_from_then_on() -> None:
    script = Script()
    script.when(OverlayChanged(OVERLAY, settings(limits=_limits(lookups=1))))
    script.when(punt(packet(A, GUEST), packet(B, GUEST)))
    assert script.count("dropped.lookups") == 1


def _limits(**changes: Any) -> Limits:
    return structs.replace(UNLIMITED, **changes)


def test_rows_are_written_with_the_time_at_which_their_first_frame_came() -> None:
    script = Script().when(FramesPunted(OVERLAY, [packet(A, B)], 7.5))
    query = only_query(script)
    script.when(FramesPunted(OVERLAY, [packet(A, B)], 9.5))
    script.when(LookupsAnswered(OVERLAY, [query], [target(2)]))
    assert script.asked(Install).since == 7.5


def test_rows_for_a_late_answer_have_the_time_of_their_frame_too() -> None:
    script = Script().when(FramesPunted(OVERLAY, [packet(A, B)], 7.5))
    query = only_query(script)
    script.when(LookupsAnswered(OVERLAY, [query], [DEFERRED]))
    script.when(LookupsAnswered(OVERLAY, [query], [target(2)]), after=1.0)
    assert script.asked(Install).since == 7.5


def test_rows_that_no_frame_asked_for_have_no_time() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    assert script.asked(Install).since == 0.0


def test_punted_frames_are_counted_by_their_kind() -> None:
    arp = packet(BROADCAST, B, ethertype=0x0806)
    script = Script().when(punt(packet(A, B), packet(B, A), arp))
    assert (script.count("punted"), script.count("punted.unicast")) == (3, 2)
    assert script.count("punted.arp") == 1
