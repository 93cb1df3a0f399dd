"""Rows that somebody else changed are found and put right; what varpd changes is no drift."""

from collections import Counter
from typing import Any

import pytest

from support.script import HERE, OVERLAY, Script, mac, settings, target
from varpd.engine.commands import (
    CheckRows,
    Command,
    Install,
    InstallReplicas,
    Note,
    RemoveRows,
    ReportDatapath,
)
from varpd.engine.differences import REPAIRS, WINDOW
from varpd.engine.drift import SLICE, WAITING_MAX
from varpd.engine.events import (
    DeadlinePassed,
    EntryDeleted,
    EntrySet,
    FoundRow,
    Invalidated,
    LinksDrifted,
    LinksWrong,
    LocalAddressesChanged,
    OverlayChanged,
    RowsFound,
    RowsRefused,
    RowsTouched,
    TableLost,
    TableRead,
    TargetSet,
)
from varpd.engine.settings import Mode
from varpd.targets.census import AMISS

GROUP = b"\x01\x00\x5e\x01\x02\x03"
MISSING = FoundRow()


def row(number: int, fault: str = "", *, bridged: bool = True) -> FoundRow:
    return FoundRow((target(number),), bridged, fault)


def asked(story: Script) -> list[list[bytes]]:
    """Return the MACs that are asked about, command by command."""
    return [command.macs for command in story.said if isinstance(command, CheckRows)]


def known(**changes: Any) -> Script:
    """Guest 1 is at host 2."""
    return Script(**changes).when(TargetSet(OVERLAY, mac(1), target(2)))


def touched(*macs: bytes) -> RowsTouched:
    return RowsTouched(OVERLAY, list(macs), [])


def found(story: Script, what: FoundRow | None, which: bytes = mac(1)) -> list[Command]:
    story.when(RowsFound(OVERLAY, [which], [what]))
    return story.said


def amiss(story: Script) -> int:
    return sum(story.engine.census(OVERLAY), Counter[str]())[AMISS]


def without_notes(said: list[Command]) -> list[Command]:
    return [command for command in said if not isinstance(command, Note)]


def test_a_touched_row_is_looked_at() -> None:
    known().when(touched(mac(1)), then=[CheckRows(OVERLAY, [mac(1)])])


def test_a_removal_of_what_is_not_wanted_was_our_own() -> None:
    known().when(RowsTouched(OVERLAY, [], [mac(7)]), then=[])


def test_a_removal_of_what_is_wanted_is_looked_at() -> None:
    known().when(RowsTouched(OVERLAY, [], [mac(1)]), then=[CheckRows(OVERLAY, [mac(1)])])


def test_a_row_as_it_should_be_is_left_alone() -> None:
    story = known().when(touched(mac(1)))
    assert found(story, row(2)) == []
    assert story.count("drift.missing") == story.count("drift.wrong") == 0


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        (MISSING, "missing"),
        (FoundRow(bridged=True), "missing"),
        (row(2, bridged=False), "missing"),
        (row(3), "wrong"),
        (row(2, "somebody else wrote it"), "wrong"),
        (row(2, "the bridge has it on port 7", bridged=False), "wrong"),
    ],
)
def test_a_wanted_row_is_written_again(what: FoundRow, kind: str) -> None:
    story = known().when(touched(mac(1)))
    said = found(story, what)
    assert without_notes(said) == [Install(OVERLAY, target(2), [mac(1)], [])]
    assert story.count(f"drift.{kind}") == story.count("repaired") == 1
    assert story.asked(Note).mac == mac(1)


@pytest.mark.parametrize("what", [row(3), row(3, bridged=False), FoundRow(bridged=True)])
def test_a_row_that_nobody_wants_is_removed(what: FoundRow) -> None:
    story = Script().when(touched(mac(7)))
    said = found(story, what, mac(7))
    assert without_notes(said) == [RemoveRows(OVERLAY, [mac(7)])]
    assert story.count("drift.extra") == story.count("repaired") == 1


def test_a_row_to_this_host_is_not_wanted() -> None:
    story = Script().when(LocalAddressesChanged(frozenset({HERE})))
    story.when(TargetSet(OVERLAY, mac(1), target(1))).when(touched(mac(1)))
    assert without_notes(found(story, row(1))) == [RemoveRows(OVERLAY, [mac(1)])]


def test_what_a_point_overlay_learns_behind_its_tunnel_is_left_alone() -> None:
    story = Script(mode=Mode.POINT).when(touched(mac(7)))
    assert found(story, FoundRow(bridged=True), mac(7)) == []


def test_what_cannot_be_found_out_is_left_alone() -> None:
    assert found(known().when(touched(mac(1))), None) == []


def test_a_row_that_changed_meanwhile_is_asked_about_again() -> None:
    story = known().when(touched(mac(1))).when(TargetSet(OVERLAY, mac(1), target(3)))
    assert found(story, row(2)) == [CheckRows(OVERLAY, [mac(1)])]
    assert found(story, row(3)) == []
    assert story.count("drift.wrong") == 0


def test_a_row_that_changed_to_what_is_found_is_not_asked_about_again() -> None:
    story = known().when(touched(mac(1))).when(TargetSet(OVERLAY, mac(1), target(3)))
    assert found(story, row(3)) == []


def test_a_mac_that_came_and_went_meanwhile_is_asked_about_again() -> None:
    story = Script().when(touched(mac(1)))
    story.when(TargetSet(OVERLAY, mac(1), target(2))).when(Invalidated(OVERLAY, mac(1)))
    assert found(story, row(2)) == [CheckRows(OVERLAY, [mac(1)])]
    assert found(story, MISSING) == []


def test_a_mac_that_was_set_and_blocked_meanwhile_is_asked_about_again() -> None:
    story = Script().when(touched(mac(1)))
    story.when(EntrySet(OVERLAY, mac(1), target(2))).when(EntrySet(OVERLAY, mac(1), None))
    assert found(story, row(2)) == [CheckRows(OVERLAY, [mac(1)])]


def test_new_addresses_of_this_host_make_what_is_asked_void() -> None:
    story = known().when(touched(mac(1))).when(LocalAddressesChanged(frozenset({HERE})))
    assert found(story, MISSING) == [CheckRows(OVERLAY, [mac(1)])]


def test_a_row_that_the_kernel_refused_is_no_drift() -> None:
    story = known().when(RowsRefused(OVERLAY, [mac(1)], "no room")).when(touched(mac(1)))
    assert found(story, MISSING) == []
    assert found(story.when(touched(mac(1))), row(3)) != []


def test_a_mac_is_asked_about_once() -> None:
    known().when(touched(mac(1), mac(1)), then=[CheckRows(OVERLAY, [mac(1)])])


def test_a_mac_that_is_asked_about_is_asked_about_again_afterwards() -> None:
    story = known().when(touched(mac(1))).when(touched(mac(1)), then=[])
    said = found(story, MISSING)
    assert without_notes(said) == [
        Install(OVERLAY, target(2), [mac(1)], []),
        CheckRows(OVERLAY, [mac(1)]),
    ]
    assert found(story, row(2)) == []
    assert story.count("drift.missing") == 1


def test_many_are_asked_about_in_slices_and_not_all_at_once() -> None:
    macs = [bytes(mac(number)) for number in range(3000)]
    story = Script().when(touched(*macs))
    assert [len(some) for some in asked(story)] == [SLICE] * 16
    story.when(RowsFound(OVERLAY, asked(story)[0], [MISSING] * SLICE))
    assert [len(some) for some in asked(story)] == [SLICE]


def test_what_waits_is_bounded() -> None:
    macs = [b"\x02" + number.to_bytes(5, "big") for number in range(WAITING_MAX + 1000)]
    story = Script().when(touched(*macs))
    count = 0
    while some := [each for macs in asked(story) for each in macs]:
        count += len(some)
        story.when(RowsFound(OVERLAY, some, [MISSING] * len(some)))
    assert count == WAITING_MAX


def test_repairs_of_one_target_are_one_command() -> None:
    story = known().when(TargetSet(OVERLAY, mac(2), target(2))).when(touched(mac(1), mac(2)))
    story.when(RowsFound(OVERLAY, [mac(1), mac(2)], [MISSING, row(3)]))
    assert story.asked(Install) == Install(OVERLAY, target(2), [mac(1), mac(2)], [])


def test_of_a_table_what_nobody_wants_is_looked_at() -> None:
    known().when(
        TableRead(OVERLAY, [mac(1), mac(7), mac(8)]), then=[CheckRows(OVERLAY, [mac(7), mac(8)])]
    )


def test_destinations_of_a_group_are_a_set() -> None:
    story = Script().when(TargetSet(OVERLAY, GROUP, target(2))).when(touched(GROUP))
    assert found(story, FoundRow((target(2),)), GROUP) == []
    story.when(touched(GROUP))
    said = found(story, FoundRow((target(2), target(3))), GROUP)
    assert without_notes(said) == [InstallReplicas(OVERLAY, GROUP, (target(2),))]


def test_a_group_that_cannot_be_looked_at_is_written_again_in_silence() -> None:
    story = Script().when(TargetSet(OVERLAY, GROUP, target(2))).when(touched(GROUP))
    assert found(story, None, GROUP) == [InstallReplicas(OVERLAY, GROUP, (target(2),))]
    assert story.count("repaired") == 0


def test_a_group_that_nobody_wants_is_removed() -> None:
    story = Script().when(touched(GROUP))
    said = found(story, FoundRow((target(3),)), GROUP)
    assert without_notes(said) == [InstallReplicas(OVERLAY, GROUP, ())]


def test_a_row_that_is_changed_again_and_again_is_left_for_a_while() -> None:
    story = known()
    for _ in range(REPAIRS):
        story.when(touched(mac(1)))
        assert any(isinstance(command, Install) for command in found(story, MISSING))
    said = found(story.when(touched(mac(1))), MISSING)
    (report,) = said
    assert isinstance(report, ReportDatapath)
    assert report.message is not None
    assert "somebody keeps changing rows: 02:00:00:00:00:01" in report.message
    story.when(DeadlinePassed(), after=WINDOW)
    assert story.said == [ReportDatapath(OVERLAY, None), CheckRows(OVERLAY, [mac(1)])]
    assert any(isinstance(command, Install) for command in found(story, MISSING))
    assert story.count("repaired") == REPAIRS + 1


def test_notes_are_bounded() -> None:
    macs = [bytes(mac(number)) for number in range(SLICE)]
    story = Script().when(touched(*macs))
    story.when(RowsFound(OVERLAY, macs, [row(3)] * SLICE))
    assert sum(isinstance(command, Note) for command in story.said) == 16
    assert story.asked(RemoveRows).macs == macs
    story.when(DeadlinePassed(), after=WINDOW)
    assert story.asked(Note).text == f"{SLICE - 16} more rows were not as they should be"


def test_with_report_nothing_is_repaired() -> None:
    story = known(repair=False).when(touched(mac(1)))
    said = found(story, row(3))
    note, report = said
    assert isinstance(note, Note)
    assert isinstance(report, ReportDatapath)
    assert report.message == (
        "rows are not as they should be: 02:00:00:00:00:01: "
        "the row led to 192.0.2.3:4789, not to 192.0.2.2:4789"
    )
    assert story.count("drift.wrong") == 1
    assert story.count("repaired") == 0


def test_with_report_a_difference_is_counted_once_and_ends() -> None:
    story = known(repair=False)
    for _ in range(3):
        found(story.when(touched(mac(1))), row(3))
    assert story.count("drift.wrong") == 1
    assert found(story.when(touched(mac(1))), row(2)) == [ReportDatapath(OVERLAY, None)]


def test_what_was_reported_is_repaired_when_that_is_to_be() -> None:
    story = known(repair=False)
    found(story.when(touched(mac(1))), row(3))
    story.when(OverlayChanged(OVERLAY, settings()), then=[CheckRows(OVERLAY, [mac(1)])])
    assert any(isinstance(command, Install) for command in found(story, row(3)))
    assert ReportDatapath(OVERLAY, None) in story.said


def test_a_lost_table_is_written_again_in_slices() -> None:
    story = Script()
    for number in range(5000):
        story.when(TargetSet(OVERLAY, mac(number), target(2)))
    story.when(TableLost(OVERLAY))
    written = list(story.asked(Install).macs)
    assert len(written) < 5000
    story.when(DeadlinePassed(), after=1)
    written += story.asked(Install).macs
    assert sorted(written) == [bytes(mac(number)) for number in range(5000)]
    assert story.count("drift.missing") == story.count("repaired") == 5000


def test_a_lost_table_holds_what_should_be_there_by_then() -> None:
    story = known().when(EntrySet(OVERLAY, mac(2), None))
    story.when(TargetSet(OVERLAY, GROUP, target(3))).when(TableLost(OVERLAY))
    assert story.said == [
        InstallReplicas(OVERLAY, GROUP, (target(3),)),
        Install(OVERLAY, target(2), [mac(1)], []),
    ]


def test_what_was_asked_before_a_table_was_lost_is_asked_again() -> None:
    story = known().when(touched(mac(1))).when(TableLost(OVERLAY))
    assert found(story, MISSING) == [CheckRows(OVERLAY, [mac(1)])]


def test_changed_links_are_counted_and_noted() -> None:
    story = Script().when(LinksDrifted(OVERLAY, ["MTU was 9", "vx-blue was down"], repaired=True))
    assert story.said == [
        Note(OVERLAY, "MTU was 9; put right"),
        Note(OVERLAY, "vx-blue was down; put right"),
    ]
    assert story.count("drift.links") == story.count("repaired") == 2
    story.when(LinksDrifted(OVERLAY, ["MTU was 9"], repaired=False))
    assert story.count("drift.links") == 3
    assert story.count("repaired") == 2


def test_what_stays_amiss_with_links_degrades_beside_other_causes() -> None:
    story = known().when(LinksWrong(OVERLAY, "vx-blue is gone"))
    assert story.said == [ReportDatapath(OVERLAY, "vx-blue is gone")]
    story.when(RowsRefused(OVERLAY, [mac(1)], "no"))
    assert story.asked(ReportDatapath).message == "vx-blue is gone; the kernel refused 1 rows: no"
    story.when(LinksWrong(OVERLAY, None))
    assert story.said == [ReportDatapath(OVERLAY, "the kernel refused 1 rows: no")]


def test_a_deleted_entry_is_looked_at_as_one_that_nobody_wants() -> None:
    story = known().when(EntryDeleted(OVERLAY, mac(1))).when(touched(mac(1)))
    assert without_notes(found(story, row(2))) == [RemoveRows(OVERLAY, [mac(1)])]


def test_rows_that_are_left_amiss_are_not_present() -> None:
    story = known(repair=False).when(touched(mac(1)))
    assert amiss(story) == 0
    found(story, MISSING)
    assert amiss(story) == 1
    story.when(touched(mac(1)))
    found(story, row(2))
    assert amiss(story) == 0


def test_nor_are_those_that_the_kernel_refused() -> None:
    story = known().when(RowsRefused(OVERLAY, [mac(1)], "no room")).when(touched(mac(1)))
    found(story, MISSING)
    assert amiss(story) == 1
    story.when(EntryDeleted(OVERLAY, mac(1)))
    assert amiss(story) == 0


def test_what_is_put_right_is_present_again() -> None:
    story = known().when(touched(mac(1)))
    found(story, MISSING)
    assert amiss(story) == 0
