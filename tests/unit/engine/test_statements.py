"""What is said unasked."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from msgspec import structs
from scapy.layers.inet6 import ICMPv6ND_NA
from scapy.layers.l2 import ARP, Dot1Q, Ether

from support.script import EXPERIMENTAL, HERE, OVERLAY, UNLIMITED, Script, mac, packet, target
from varpd.engine.commands import (
    AskUsage,
    Inject,
    Install,
    InstallReplicas,
    Note,
    RemoveRows,
    ReportDatapath,
    Resend,
    SetDefaultTarget,
    StartLookups,
)
from varpd.engine.events import (
    DEFERRED,
    Announced,
    DeadlinePassed,
    DefaultTargetSet,
    EntryDeleted,
    EntrySet,
    Failed,
    FramesPunted,
    InstanceStarted,
    InstanceStopped,
    Invalidated,
    LocalAddressesChanged,
    LookupsAnswered,
    MacsForgotten,
    MacsLearned,
    RowsRefused,
    TableFlushed,
    TargetsEnumerated,
    TargetSet,
    UsageReported,
)
from varpd.net.addresses import IpAddress, MacAddress
from varpd.provider.answers import DROP, Answer, Replicate
from varpd.provider.query import REFRESH, Query

A, B, C, GUEST = mac(1), mac(2), mac(3), mac(9)
GROUP = MacAddress.parse("01:00:5e:00:00:05")


def known(script: Script) -> dict[bytes, tuple[str, str]]:
    return {view.mac: (view.state, view.origin) for view in script.engine.entries(OVERLAY)}


def test_a_target_said_unasked_is_installed() -> None:
    Script().when(TargetSet(OVERLAY, A, target(2)), then=[Install(OVERLAY, target(2), [A], [])])


def test_an_invalidated_mac_loses_its_rows() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    script.when(Invalidated(OVERLAY, A), then=[RemoveRows(OVERLAY, [A])])
    script.when(Invalidated(OVERLAY, A), then=[])


def test_the_administrators_word_is_above_the_plugins() -> None:
    script = Script().when(EntrySet(OVERLAY, A, target(3)))
    script.when(TargetSet(OVERLAY, A, target(2)), then=[])
    script.when(Invalidated(OVERLAY, A), then=[])
    script.when(TableFlushed(OVERLAY), then=[])
    assert known(script) == {A: ("valid", "administrator")}
    script.when(EntryDeleted(OVERLAY, A), then=[RemoveRows(OVERLAY, [A])])
    assert known(script) == {}


def test_an_entry_set_to_drop_takes_the_rows_away_and_what_waits() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    script.when(EntrySet(OVERLAY, A, None), then=[RemoveRows(OVERLAY, [A])])
    script.when(FramesPunted(OVERLAY, [packet(B, GUEST)]))
    script.when(EntrySet(OVERLAY, B, None), then=[])
    assert script.count("dropped.blocked") == 1
    assert script.engine.waiting(OVERLAY) == 0


def test_an_entry_that_the_administrator_sets_again_takes_the_place_of_drop() -> None:
    script = Script().when(EntrySet(OVERLAY, A, None))
    script.when(EntrySet(OVERLAY, A, target(2)), then=[Install(OVERLAY, target(2), [A], [])])


def test_a_flush_removes_rows_at_once_and_asks_anew_for_what_frames_wait_for() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2))).when(TargetSet(OVERLAY, B, target(3)))
    frame = packet(C, GUEST)
    script.when(FramesPunted(OVERLAY, [frame]))
    old = script.asked(StartLookups).queries
    script.when(TableFlushed(OVERLAY))
    assert script.asked(RemoveRows).macs == [A, B]
    new = script.asked(StartLookups).queries
    script.when(LookupsAnswered(OVERLAY, old, [target(2)]), then=[])
    script.when(
        LookupsAnswered(OVERLAY, new, [target(4)]),
        then=[Install(OVERLAY, target(4), [C], [frame])],
    )


def test_a_flush_removes_the_rows_of_group_macs() -> None:
    script = Script().when(FramesPunted(OVERLAY, [packet(GROUP, GUEST)]))
    queries = script.asked(StartLookups).queries
    script.when(LookupsAnswered(OVERLAY, queries, [Replicate.to(target(2))]))
    script.when(TableFlushed(OVERLAY), then=[InstallReplicas(OVERLAY, GROUP, ())])


def test_what_the_plugin_enumerates_is_installed_by_target() -> None:
    script = Script().when(EntrySet(OVERLAY, B, None))
    pairs = [(bytes(A), target(2)), (bytes(B), target(2)), (bytes(C), target(3))]
    script.when(
        TargetsEnumerated(OVERLAY, pairs),
        then=[Install(OVERLAY, target(2), [A], []), Install(OVERLAY, target(3), [C], [])],
    )


def test_a_mac_that_becomes_local_loses_its_rows_and_gets_them_back_when_it_is_not() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    both = frozenset({HERE, IPv4Address("192.0.2.2")})
    script.when(LocalAddressesChanged(both), then=[RemoveRows(OVERLAY, [A])])
    script.when(
        LocalAddressesChanged(frozenset({HERE})), then=[Install(OVERLAY, target(2), [A], [])]
    )


def test_a_refresh_in_progress_counts_unless_its_mac_becomes_local() -> None:
    here, elsewhere = frozenset({HERE}), frozenset[IpAddress]()
    for before, after, counts in ((here, elsewhere, True), (elsewhere, here, False)):
        script = Script(ttl=60.0)
        script.when(LocalAddressesChanged(before))
        script.when(TargetSet(OVERLAY, A, target(1)))
        script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=54.1)
        script.when(UsageReported(OVERLAY, [A], [0.5]))
        queries = script.asked(StartLookups).queries
        script.when(LookupsAnswered(OVERLAY, queries, [DEFERRED]))
        script.when(LocalAddressesChanged(after))
        script.when(LookupsAnswered(OVERLAY, queries, [target(3)]))
        (view,) = script.engine.entries(OVERLAY)
        assert view.targets == ((target(3),) if counts else (target(1),))
        script.when(DeadlinePassed(), then=[AskUsage(OVERLAY, [A])], after=54.1)


def test_a_group_mac_leaves_out_a_target_that_becomes_local() -> None:
    script = Script().when(FramesPunted(OVERLAY, [packet(GROUP, GUEST)]))
    queries = script.asked(StartLookups).queries
    script.when(LookupsAnswered(OVERLAY, queries, [Replicate.to(target(2), target(3))]))
    script.when(
        LocalAddressesChanged(frozenset({IPv4Address("192.0.2.2")})),
        then=[InstallReplicas(OVERLAY, GROUP, (target(3),))],
    )


def test_a_mac_that_a_guest_sends_from_but_the_plugin_has_elsewhere_is_noted() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    script.when(MacsLearned(OVERLAY, [bytes(A)]))
    assert script.asked(Note).mac == A
    assert script.asked(Install) == Install(OVERLAY, target(2), [A], [])
    assert script.count("claimed-elsewhere") == 1
    script.when(MacsForgotten(OVERLAY, [bytes(A)]), then=[])
    script.when(TargetSet(OVERLAY, A, target(3)), then=[Install(OVERLAY, target(3), [A], [])])


def learned(script: Script) -> list[Query]:
    script.when(MacsLearned(OVERLAY, [bytes(A)]))
    queries = script.asked(StartLookups).queries
    assert [(query.dst, query.cause) for query in queries] == [(A, REFRESH)]
    return list(queries)


def test_a_mac_nobody_asked_about_that_a_guest_sends_from_is_taken_back_if_it_is_elsewhere() -> (
    None
):
    script = Script()
    script.when(LookupsAnswered(OVERLAY, learned(script), [target(2)]))
    assert script.asked(Install) == Install(OVERLAY, target(2), [A], [])
    assert script.asked(Note).mac == A


@pytest.mark.parametrize("answer", [DROP, target(1), Failed("raised")])
def test_a_mac_that_a_guest_may_well_send_from_leaves_no_entry(answer: Answer | Failed) -> None:
    script = Script().when(LocalAddressesChanged(frozenset({HERE})))
    script.when(LookupsAnswered(OVERLAY, learned(script), [answer]), then=[])
    assert known(script) == {}


def test_a_mac_that_could_not_be_verified_is_asked_about_again() -> None:
    script = Script()
    script.when(LookupsAnswered(OVERLAY, learned(script), [Failed("away")]))
    script.when(DeadlinePassed(), after=10)
    assert script.asked(StartLookups).queries[0].dst == A


def test_an_instance_that_starts_is_asked_about_what_guests_send_from() -> None:
    script = Script().when(InstanceStopped(OVERLAY))
    script.when(MacsLearned(OVERLAY, [bytes(A)]), then=[])
    script.when(InstanceStarted(OVERLAY))
    assert script.asked(StartLookups).queries[0].dst == A


def test_a_guests_mac_that_is_invalidated_is_verified_anew() -> None:
    script = Script()
    script.when(LookupsAnswered(OVERLAY, learned(script), [DROP]), then=[])
    script.when(Invalidated(OVERLAY, A))
    assert script.asked(StartLookups).queries[0].dst == A


def test_verifying_leaves_room_for_frames_that_wait() -> None:
    script = Script(limits=structs.replace(UNLIMITED, lookups=8))
    script.when(MacsLearned(OVERLAY, [bytes(mac(n)) for n in range(20)]))
    assert len(script.asked(StartLookups).queries) == 4
    queries = script.asked(StartLookups).queries
    script.when(LookupsAnswered(OVERLAY, queries, [DROP] * 4), then=[])
    script.when(DeadlinePassed(), after=1)
    assert len(script.asked(StartLookups).queries) == 4


def test_a_frame_that_waits_for_a_mac_being_verified_is_not_lost() -> None:
    script = Script()
    queries = learned(script)
    script.when(LookupsAnswered(OVERLAY, queries, [DEFERRED]))
    script.when(FramesPunted(OVERLAY, [packet(A, GUEST)]), then=[])
    # The plugin dropped another kind of frame than the one that waits.
    script.when(LookupsAnswered(OVERLAY, queries, [DROP]))
    assert script.asked(StartLookups).queries[0].ethertype == EXPERIMENTAL


def test_refused_rows_degrade_the_overlay_and_are_tried_again_later() -> None:
    script = Script().when(TargetSet(OVERLAY, A, target(2)))
    script.when(RowsRefused(OVERLAY, [bytes(A)], "no space"))
    assert "no space" in str(script.asked(ReportDatapath).message)
    frame = packet(A, GUEST)
    again = FramesPunted(OVERLAY, [frame])
    script.when(again, then=[Install(OVERLAY, target(2), [], [frame])], after=9)
    script.when(again, then=[Install(OVERLAY, target(2), [A], [frame])], after=2)
    script.when(DeadlinePassed(), then=[ReportDatapath(OVERLAY, None)], after=20)


def test_the_target_of_a_point_overlay_is_followed() -> None:
    script = Script().when(
        DefaultTargetSet(OVERLAY, target(2)), then=[SetDefaultTarget(OVERLAY, target(2))]
    )
    assert script.engine.default_target(OVERLAY) == target(2)


def test_a_point_overlay_whose_target_becomes_this_host_is_degraded() -> None:
    script = Script().when(DefaultTargetSet(OVERLAY, target(2)))
    script.when(LocalAddressesChanged(frozenset({IPv4Address("192.0.2.2")})))
    assert "this host" in str(script.asked(ReportDatapath).message)
    script.when(LocalAddressesChanged(frozenset()), then=[ReportDatapath(OVERLAY, None)])


def test_an_ipv4_address_is_announced_by_gratuitous_arp_with_its_tag() -> None:
    script = Script().when(Announced(OVERLAY, bytes(A), IPv4Address("10.0.0.7"), 12, None))
    (frame,) = script.asked(Inject).frames
    seen = Ether(frame)
    assert (seen.dst, seen.src, seen[Dot1Q].vlan) == ("ff:ff:ff:ff:ff:ff", str(A), 12)
    assert (seen[ARP].op, seen[ARP].psrc, seen[ARP].pdst) == (1, "10.0.0.7", "10.0.0.7")


def test_an_ipv6_address_is_announced_by_an_advertisement_to_whom_it_is_said() -> None:
    script = Script().when(Announced(OVERLAY, bytes(A), IPv6Address("fd00::7"), None, bytes(B)))
    (frame,) = script.asked(Inject).frames
    seen = Ether(frame)
    advertisement = seen[ICMPv6ND_NA]
    assert (seen.dst, advertisement.tgt) == (str(B), "fd00::7")
    assert (advertisement.R, advertisement.S, advertisement.O) == (0, 0, 1)


def test_a_group_whose_one_target_was_local_is_served_when_it_no_longer_is() -> None:
    group = bytes.fromhex("01005e010203")
    frame = packet(group, mac(1))
    script = Script().when(LocalAddressesChanged(frozenset({HERE})))
    query = script.when(FramesPunted(OVERLAY, [frame])).asked(StartLookups).queries[0]
    script.when(LookupsAnswered(OVERLAY, [query], [target(1)]), then=[])
    assert script.count("dropped.local") == 1
    script.when(
        LocalAddressesChanged(frozenset()), then=[InstallReplicas(OVERLAY, group, (target(1),))]
    )
    script.when(FramesPunted(OVERLAY, [frame]), then=[Resend(OVERLAY, target(1), [frame])])
    script.when(
        LocalAddressesChanged(frozenset({HERE})), then=[InstallReplicas(OVERLAY, group, ())]
    )
    script.when(FramesPunted(OVERLAY, [frame]), then=[])
    assert script.count("dropped.local") == 2


def test_addresses_that_no_target_has_cost_no_look_at_the_table() -> None:
    script = Script().when(TargetSet(OVERLAY, bytes(mac(2)), target(2)))
    elsewhere = frozenset({IPv4Address("203.0.113.7")})
    script.when(LocalAddressesChanged(elsewhere), then=[])
    script.when(
        LocalAddressesChanged(elsewhere | {IPv4Address("192.0.2.2")}),
        then=[RemoveRows(OVERLAY, [bytes(mac(2))])],
    )
    script.when(
        LocalAddressesChanged(elsewhere), then=[Install(OVERLAY, target(2), [bytes(mac(2))], [])]
    )
