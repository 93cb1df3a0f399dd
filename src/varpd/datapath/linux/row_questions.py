"""Questions about rows that the row writer answers, as commands and the events that answer them."""

from collections.abc import Callable
from concurrent.futures import Future

from varpd.datapath.linux.writer import RowWriter
from varpd.engine.commands import AskUsage, CheckRows
from varpd.engine.events import Event, FoundRow, RowsFound, UsageReported


def ask_usage(writer: RowWriter, command: AskUsage, tell: Callable[[Event], None]) -> None:
    """Answer with `UsageReported`; `tell` is called from the writer's thread."""

    def report(result: Future[list[float | None]]) -> None:
        failed = result.cancelled() or result.exception() is not None
        # What cannot be found out counts as in use: it is asked about rather than dropped.
        idle = [0.0] * len(command.macs) if failed else result.result()
        tell(UsageReported(command.overlay, command.macs, [*idle]))

    writer.usage(command.overlay, command.macs).add_done_callback(report)


def check_rows(writer: RowWriter, command: CheckRows, tell: Callable[[Event], None]) -> None:
    """Answer with `RowsFound`; `tell` is called from the writer's thread."""

    def report(result: Future[list[FoundRow | None]]) -> None:
        failed = result.cancelled() or result.exception() is not None
        found = [None] * len(command.macs) if failed else result.result()
        tell(RowsFound(command.overlay, command.macs, [*found]))

    writer.check(command.overlay, command.macs).add_done_callback(report)
