"""Rows that were in the kernel before varpd was; asking about them is told in `test_recheck`."""

import pytest
from msgspec import structs

from support.script import HERE, OVERLAY, UNLIMITED, Script, mac, packet, settings, target
from varpd.engine.commands import Command, Install, InstallReplicas, RemoveRows, Resend
from varpd.engine.engine import Engine
from varpd.engine.events import (
    EntryDeleted,
    EntrySet,
    FramesPunted,
    Invalidated,
    LinksReady,
    LocalAddressesChanged,
    MacsLearned,
    OverlayAdded,
    RowsAdopted,
    TargetsEnumerated,
    TargetSet,
)
from varpd.engine.settings import Mode
from varpd.net.addresses import BROADCAST
from varpd.provider.answers import Target

ONE, TWO = bytes(mac(1)), bytes(mac(2))
GROUP = bytes.fromhex("01005e000005")
ALL_NODES = bytes.fromhex("333300000001")


def rows(*found: tuple[bytes, int]) -> RowsAdopted:
    """Return whole rows: MACs, each with the host that it is on."""
    return RowsAdopted(OVERLAY, [(mac, (target(host),)) for mac, host in found], [])


def torn(mac: bytes, *targets: Target) -> RowsAdopted:
    return RowsAdopted(OVERLAY, [], [(mac, targets)])


def known(script: Script) -> dict[bytes, tuple[str, str, tuple[Target, ...]]]:
    """Return state, origin and targets of each entry."""
    views = script.engine.entries(OVERLAY)
    return {view.mac: (view.state, view.origin, view.targets) for view in views}


def test_a_row_becomes_an_entry_and_nothing_is_written() -> None:
    script = Script().when(rows((ONE, 2), (TWO, 3)), then=[])
    assert known(script) == {
        ONE: ("valid", "adopted", (target(2),)),
        TWO: ("valid", "adopted", (target(3),)),
    }
    assert script.count("adopted") == 2
    assert script.engine.remotes(OVERLAY) == {target(2), target(3)}


def test_a_frame_for_it_is_sent_by_the_entry() -> None:
    frame = packet(ONE, TWO)
    script = Script().when(rows((ONE, 2)))
    script.when(FramesPunted(OVERLAY, [frame]), then=[Install(OVERLAY, target(2), [], [frame])])


def test_a_group_is_adopted_with_all_its_targets() -> None:
    script = Script().when(RowsAdopted(OVERLAY, [(GROUP, (target(2), target(3)))], []), then=[])
    assert known(script)[GROUP] == ("valid", "adopted", (target(2), target(3)))


@pytest.mark.parametrize("mac", [ALL_NODES, BROADCAST])
def test_a_group_that_may_have_no_rows_loses_them(mac: bytes) -> None:
    script = Script().when(rows((mac, 2)), then=[InstallReplicas(OVERLAY, mac, ())])
    assert known(script) == {}
    assert script.count("adopted.removed") == 1


# -- what is known already wins


def test_a_row_that_is_as_the_plugin_has_said_is_not_written() -> None:
    script = Script().when(TargetSet(OVERLAY, ONE, target(2))).when(rows((ONE, 2)), then=[])
    assert known(script)[ONE] == ("valid", "plugin", (target(2),))


def test_a_row_that_is_not_as_the_plugin_has_said_is_written() -> None:
    script = Script().when(TargetSet(OVERLAY, ONE, target(3)))
    script.when(rows((ONE, 2)), then=[Install(OVERLAY, target(3), [ONE], [])])
    assert known(script)[ONE] == ("valid", "plugin", (target(3),))
    assert script.count("adopted.mended") == 1


def test_the_administrators_entries_are_above_rows() -> None:
    script = Script().when(EntrySet(OVERLAY, ONE, None)).when(EntrySet(OVERLAY, TWO, target(2)))
    script.when(rows((ONE, 2), (TWO, 2)), then=[RemoveRows(OVERLAY, [ONE])])
    assert known(script)[ONE][:2] == ("blocked", "administrator")
    assert known(script)[TWO][:2] == ("valid", "administrator")


@pytest.mark.parametrize("said", [Invalidated, EntryDeleted])
def test_a_row_of_which_was_said_that_it_no_longer_holds_goes(
    said: type[Invalidated | EntryDeleted],
) -> None:
    script = Script().when(said(OVERLAY, ONE))
    script.when(rows((ONE, 2)), then=[RemoveRows(OVERLAY, [ONE])])
    assert known(script) == {}


def test_what_is_said_after_that_counts() -> None:
    script = Script().when(Invalidated(OVERLAY, ONE)).when(TargetSet(OVERLAY, ONE, target(2)))
    script.when(rows((ONE, 2)), then=[])
    assert known(script)[ONE] == ("valid", "plugin", (target(2),))


def test_once_the_links_are_there_what_no_longer_holds_is_not_kept_in_mind() -> None:
    script = Script().when(LinksReady(OVERLAY), then=[]).when(Invalidated(OVERLAY, ONE))
    script.when(rows((ONE, 2)), then=[])
    assert ONE in known(script)


def test_no_more_is_kept_in_mind_than_there_may_be_entries() -> None:
    script = Script(limits=structs.replace(UNLIMITED, targets=1))
    script.when(Invalidated(OVERLAY, ONE)).when(Invalidated(OVERLAY, TWO))
    script.when(rows((TWO, 2)), then=[])


def test_a_mac_that_is_being_asked_about_is_adopted_and_its_frames_go() -> None:
    frame = packet(ONE, TWO)
    script = Script().when(FramesPunted(OVERLAY, [frame]))
    script.when(rows((ONE, 2)), then=[Resend(OVERLAY, target(2), [frame])])
    assert known(script)[ONE] == ("valid", "adopted", (target(2),))
    assert script.engine.waiting(OVERLAY) == 0


def test_a_group_that_is_being_asked_about_is_adopted_and_its_frames_go() -> None:
    frame = packet(GROUP, TWO)
    script = Script().when(FramesPunted(OVERLAY, [frame]))
    script.when(rows((GROUP, 2)), then=[Resend(OVERLAY, target(2), [frame])])


# -- bounds and this host


def test_adopted_entries_count_and_what_is_more_than_may_be_goes() -> None:
    script = Script(limits=structs.replace(UNLIMITED, targets=1))
    script.when(rows((ONE, 2), (TWO, 2)), then=[RemoveRows(OVERLAY, [TWO])])
    assert set(known(script)) == {ONE}
    assert script.count("ignored.table-full") == 1


def test_a_row_to_this_host_goes() -> None:
    script = Script().when(LocalAddressesChanged(frozenset({HERE})))
    script.when(rows((ONE, 1)), then=[RemoveRows(OVERLAY, [ONE])])
    assert known(script) == {}


def test_a_group_loses_the_target_that_is_this_host() -> None:
    script = Script().when(LocalAddressesChanged(frozenset({HERE})))
    script.when(
        RowsAdopted(OVERLAY, [(GROUP, (target(1), target(2)))], []),
        then=[InstallReplicas(OVERLAY, GROUP, (target(2),))],
    )


def test_a_target_that_the_plugin_has_put_here_loses_its_rows() -> None:
    script = Script().when(LocalAddressesChanged(frozenset({HERE})))
    script.when(TargetSet(OVERLAY, ONE, target(1)))
    script.when(rows((ONE, 2)), then=[RemoveRows(OVERLAY, [ONE])])


def test_an_adopted_target_that_becomes_local_loses_its_rows() -> None:
    script = Script().when(rows((ONE, 1)), then=[])
    script.when(
        LocalAddressesChanged(frozenset({HERE})),
        then=[RemoveRows(OVERLAY, [ONE])],
    )
    assert known(script)[ONE][1] == "adopted"


# -- torn rows


def test_torn_rows_are_written_anew_where_they_say_where_they_lead() -> None:
    script = Script().when(torn(ONE, target(2)), then=[Install(OVERLAY, target(2), [ONE], [])])
    assert known(script)[ONE] == ("valid", "adopted", (target(2),))
    assert script.count("adopted.mended") == 1


def test_torn_rows_that_lead_nowhere_go() -> None:
    script = Script().when(torn(ONE), then=[RemoveRows(OVERLAY, [ONE])])
    assert known(script) == {}


def test_torn_rows_of_a_known_mac_are_written_as_it_is_known() -> None:
    script = Script().when(TargetSet(OVERLAY, ONE, target(3)))
    script.when(torn(ONE), then=[Install(OVERLAY, target(3), [ONE], [])])


def test_a_torn_row_of_a_mac_that_a_guest_sends_from_is_noted() -> None:
    script = Script().when(MacsLearned(OVERLAY, [ONE])).when(torn(ONE, target(2)))
    assert script.count("claimed-elsewhere") == 1


# -- what is said later


def test_a_plugin_that_sets_the_same_target_writes_nothing() -> None:
    script = Script().when(rows((ONE, 2)))
    script.when(TargetSet(OVERLAY, ONE, target(2)), then=[])
    assert known(script)[ONE] == ("valid", "plugin", (target(2),))
    assert script.count("confirmed") == 1


def test_a_plugin_that_sets_another_target_has_it_written() -> None:
    script = Script().when(rows((ONE, 2)))
    script.when(TargetSet(OVERLAY, ONE, target(3)), then=[Install(OVERLAY, target(3), [ONE], [])])


def test_an_administrator_who_sets_the_same_target_writes_nothing() -> None:
    script = Script().when(rows((ONE, 2)))
    script.when(EntrySet(OVERLAY, ONE, target(2)), then=[])
    assert known(script)[ONE] == ("valid", "administrator", (target(2),))


def test_what_the_plugin_enumerates_confirms_rows_or_replaces_them() -> None:
    script = Script().when(rows((ONE, 2), (TWO, 2)))
    script.when(
        TargetsEnumerated(OVERLAY, [(ONE, target(2)), (TWO, target(3))]),
        then=[Install(OVERLAY, target(3), [TWO], [])],
    )
    assert [view.origin for view in script.engine.entries(OVERLAY)] == ["plugin", "plugin"]


def test_a_point_overlay_has_no_rows() -> None:
    engine = Engine()
    engine.handle(OverlayAdded(OVERLAY, settings(mode=Mode.POINT)), 0.0)
    said: list[Command] = engine.handle(rows((ONE, 2)), 0.0)
    assert said == [RemoveRows(OVERLAY, [ONE])]
    assert engine.entries(OVERLAY) == []
