"""Questions about rows: whatever becomes of them, there is an answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, cast

import pytest

from varpd.datapath.linux import row_questions
from varpd.engine.commands import AskUsage, CheckRows
from varpd.engine.events import Event, FoundRow, RowsFound, UsageReported

MACS = [b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2"]
FOUND = [FoundRow(), None]


class Writer:
    """Leaves the answers to the test."""

    def __init__(self) -> None:
        self.answer: Future[Any] = Future()

    def usage(self, overlay: str, macs: Sequence[bytes]) -> Future[Any]:
        return self.answer

    check = usage


def fail(answer: Future[Any]) -> None:
    answer.set_exception(OSError("lost"))


@pytest.mark.parametrize(
    ("end", "usage", "rows"),
    [
        (Future.cancel, [0.0, 0.0], [None, None]),
        (fail, [0.0, 0.0], [None, None]),
    ],
)
def test_a_lost_answer(end: Callable[[Future[Any]], None], usage: list[Any], rows: Any) -> None:
    told: list[Event] = []
    for ask, command in (
        (row_questions.ask_usage, AskUsage("blue", MACS)),
        (row_questions.check_rows, CheckRows("blue", MACS)),
    ):
        writer = Writer()
        cast(Any, ask)(writer, command, told.append)
        end(writer.answer)
    assert told == [UsageReported("blue", MACS, usage), RowsFound("blue", MACS, rows)]


def test_answers_are_told() -> None:
    told: list[Event] = []
    writer = Writer()
    row_questions.check_rows(cast(Any, writer), CheckRows("blue", MACS), told.append)
    writer.answer.set_result(FOUND)
    row_questions.ask_usage(cast(Any, writer), AskUsage("blue", MACS), told.append)
    assert told[0] == RowsFound("blue", MACS, [*FOUND])
    assert isinstance(told[1], UsageReported)
