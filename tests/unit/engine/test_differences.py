"""What is told of rows that are not as they should be; the rest is told by test_drift.py."""

import pytest

from support.script import OVERLAY, Script, mac, target
from varpd.engine.commands import ReportDatapath
from varpd.engine.differences import STANDING_MAX, describe
from varpd.engine.events import FoundRow, RowsFound, RowsTouched
from varpd.provider.answers import Target

MISSING = FoundRow()


def row(number: int, fault: str = "") -> FoundRow:
    return FoundRow((target(number),), bridged=True, fault=fault)


def test_many_differences_are_told_by_the_first_and_their_number() -> None:
    macs = [bytes(mac(number)) for number in range(5)]
    story = Script(repair=False).when(RowsTouched(OVERLAY, macs, []))
    story.when(RowsFound(OVERLAY, macs, [row(3)] * 5))
    message = story.asked(ReportDatapath).message
    assert message.count("02:00:00:00:00:") == 3
    assert message.endswith("; and 2 more")


def test_differences_that_are_left_are_bounded() -> None:
    story = Script(repair=False)
    for start in range(0, 2 * STANDING_MAX, 64):
        macs = [bytes(mac(number)) for number in range(start, start + 64)]
        story.when(RowsTouched(OVERLAY, macs, []))
        story.when(RowsFound(OVERLAY, macs, [row(3)] * 64))
    assert story.count("drift.extra") == STANDING_MAX


@pytest.mark.parametrize(
    ("wanted", "what", "text"),
    [
        ((), row(3), "a row that varpd did not write led to 192.0.2.3:4789"),
        ((), FoundRow(bridged=True), "a row that varpd did not write led to nowhere"),
        ((target(2),), MISSING, "the row to 192.0.2.2:4789 was missing"),
        ((target(2),), row(2, "odd"), "the row led to 192.0.2.2:4789 (odd), not to 192.0.2.2:4789"),
    ],
)
def test_differences_in_words(wanted: tuple[Target, ...], what: FoundRow, text: str) -> None:
    assert describe(wanted, what)[1] == text
