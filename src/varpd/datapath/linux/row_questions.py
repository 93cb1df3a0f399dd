"""Commands about rows that have an answer, and the events that answer them."""

from collections.abc import Callable
from concurrent.futures import Future

from varpd.datapath.linux import opening
from varpd.datapath.linux.threads import KernelThreads
from varpd.datapath.linux.writer import RowWriter
from varpd.engine.commands import AskUsage, CheckRows, SetDefaultTarget
from varpd.engine.events import Event, FoundRow, RowsFound, RowsRefused, UsageReported
from varpd.net.addresses import ZERO


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


def set_default(
    threads: KernelThreads,
    device: int,
    listen_port: int,
    command: SetDefaultTarget,
    tell: Callable[[Event], None],
) -> None:
    """Give a POINT overlay's device its one target; a refusal is told as `RowsRefused`."""

    def report(result: Future[None]) -> None:
        error = result.exception()
        if error is not None:
            tell(RowsRefused(command.overlay, [ZERO], str(error)))

    done = threads.submit(opening.set_default, device, listen_port, command.target)
    done.add_done_callback(report)
