"""The round through the rows of all overlays."""

from support.script import OVERLAY, Script, mac, settings, target
from varpd.engine.commands import CheckRows
from varpd.engine.events import (
    CheckDue,
    EntrySet,
    FoundRow,
    OverlayAdded,
    OverlayRemoved,
    RowsFound,
    RowsTouched,
    TablesDoubted,
    TargetSet,
)

OTHER = "green"


def known(count: int) -> Script:
    story = Script()
    for number in range(count):
        story.when(TargetSet(OVERLAY, mac(number), target(2)))
    return story


def checked(story: Script) -> list[bytes]:
    return [each for item in story.said if isinstance(item, CheckRows) for each in item.macs]


def found(story: Script) -> None:
    macs = checked(story)
    story.when(RowsFound(OVERLAY, macs, [FoundRow((target(2),), bridged=True)] * len(macs)), [])


def test_each_row_is_checked_once_a_round() -> None:
    story = known(300)
    seen: list[bytes] = []
    story.when(CheckDue(128))
    while story.engine.sweep.running:
        assert len(checked(story)) <= 128
        seen += checked(story)
        found(story)
        story.when(CheckDue(128))
    seen += checked(story)
    assert sorted(seen) == [mac(number) for number in range(300)]


def test_all_overlays_are_in_one_round() -> None:
    story = known(3).when(OverlayAdded(OTHER, settings()))
    story.when(TargetSet(OTHER, mac(9), target(2))).when(CheckDue(100))
    asked = [command for command in story.said if isinstance(command, CheckRows)]
    assert [(each.overlay, len(each.macs)) for each in asked] == [(OVERLAY, 3), (OTHER, 1)]
    assert not story.engine.sweep.running


def test_macs_without_rows_are_passed_over() -> None:
    known(1).when(EntrySet(OVERLAY, mac(5), None)).when(
        CheckDue(100), then=[CheckRows(OVERLAY, [mac(0)])]
    )


def test_nothing_is_asked_where_there_is_nothing() -> None:
    story = Script().when(CheckDue(100), then=[])
    assert not story.engine.sweep.running


def test_an_overlay_that_goes_ends_its_part() -> None:
    story = known(300).when(CheckDue(64)).when(OverlayRemoved(OVERLAY))
    story.when(CheckDue(1000), then=[])
    assert not story.engine.sweep.running


def test_what_is_only_reported_is_looked_at_again_each_round() -> None:
    story = Script(repair=False).when(RowsTouched(OVERLAY, [mac(7)], []))
    story.when(RowsFound(OVERLAY, [mac(7)], [FoundRow((target(2),))]))
    story.when(CheckDue(100), then=[CheckRows(OVERLAY, [mac(7)])])


def test_doubt_lasts_for_a_whole_round() -> None:
    story = known(100).when(CheckDue(64)).when(TablesDoubted(), then=[])
    assert story.engine.sweep.in_doubt
    story.when(CheckDue(64))
    assert story.engine.sweep.in_doubt
    story.when(CheckDue(1000))
    assert not story.engine.sweep.in_doubt
