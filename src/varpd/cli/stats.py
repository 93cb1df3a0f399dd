"""``overlayadm stats``: what overlays do, how much of it and how fast."""

import sys
import time
from collections.abc import Sequence

import click

from varpd.cli import output
from varpd.cli.connection import complete_overlays, connect
from varpd.cli.output import Column, Row
from varpd.control.client import Client
from varpd.control.reasons import explain
from varpd.control.stats import OverlayStats

FRAMES = (
    Column("LINK", 13),
    Column("PUNTED", 11),
    Column("RESENT", 11),
    Column("REPLICATED", 11),
    Column("ANSWERED", 11),
    Column("DROPPED", 11),
    Column("LOST", 9),
    Column("WAITING", 9),
)
ANSWERS = (
    Column("LINK", 13),
    Column("LOOKUPS", 11),
    Column("FAILED", 9),
    Column("LOOKUP-P50", 11),
    Column("LOOKUP-P99", 11),
    Column("MISS-P50", 10),
    Column("MISS-P99", 10),
    Column("ENTRIES", 9),
    Column("ROWS", 8),
)
DROPS = (
    Column("LINK", 13),
    Column("REASON", 22),
    Column("FRAMES", 11),
    Column("WHY", 40),
)

LEAST_PAUSE = 0.1
"""Seconds between two looks at least."""

pause = time.sleep
"""Waits for the next look."""


@click.command(name="stats")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_overlays)
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.option(
    "--watch",
    type=click.FloatRange(min=LEAST_PAUSE),
    is_flag=False,
    flag_value=1.0,
    metavar="[SECONDS]",
    help="Look again and again, every second unless given, and show what came in between.",
)
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], as_json: bool, watch: float | None) -> None:
    """Show counters and latencies of the overlays NAME..., or of all, since each was made.

    With --watch, counters are shown as rates a second.
    """
    with connect(ctx) as client:
        before = _look(client, names)
        if watch is None:
            _print(before, {}, as_json)
            return
        if as_json:
            _print(before, {}, as_json)
        while True:
            pause(watch)
            now = _look(client, names)
            if not as_json:
                click.echo(time.strftime("--- %H:%M:%S"))
            _print(now, {stats.overlay: stats for stats in before}, as_json)
            before = now


def _look(client: Client, names: Sequence[str]) -> list[OverlayStats]:
    return [client.overlay_stats(name) for name in names] if names else client.stats()


def _print(found: list[OverlayStats], before: dict[str, OverlayStats], as_json: bool) -> None:
    if as_json:
        output.print_json(found)
    else:
        pairs = [(stats, before.get(stats.overlay)) for stats in found]
        output.print_table(FRAMES, [_frames(*pair) for pair in pairs])
        click.echo()
        output.print_table(ANSWERS, [_answers(*pair) for pair in pairs])
        drops = [row for pair in pairs for row in _drops(*pair)]
        if drops:
            click.echo()
            output.print_table(DROPS, drops)
        if repairs := _repairs(found, before):
            click.echo()
            click.echo(repairs)
    sys.stdout.flush()


class _Counts:
    """Counters of an overlay as text: since it was made, or a second since an earlier look."""

    def __init__(self, now: OverlayStats, before: OverlayStats | None) -> None:
        self._seconds = None if before is None else max(1e-9, now.clock_s - before.clock_s)

    def __call__(self, now: int, before: int) -> str:
        if self._seconds is None:
            return str(now)
        # Fewer than before: they began anew meanwhile.
        more = now - before if now >= before else now
        return f"{more / self._seconds:.1f}/s"


def _frames(now: OverlayStats, before: OverlayStats | None) -> Row:
    counts, old = _Counts(now, before), before or now
    return (
        now.overlay,
        counts(sum(now.punted.values()), sum(old.punted.values())),
        *(
            counts(now.outcomes.get(name, 0), old.outcomes.get(name, 0))
            for name in ("resent", "replicated", "answered")
        ),
        counts(sum(now.dropped.values()), sum(old.dropped.values())),
        counts(sum(now.kernel.values()), sum(old.kernel.values())),
        size(now.waiting_bytes),
    )


def _answers(now: OverlayStats, before: OverlayStats | None) -> Row:
    counts, old = _Counts(now, before), before or now
    return (
        now.overlay,
        counts(*(sum(stats.answers.get("lookup", {}).values()) for stats in (now, old))),
        counts(*(_failures(stats) for stats in (now, old))),
        *map(duration, (now.lookup.p50_s, now.lookup.p99_s)),
        *map(duration, (now.miss_to_row.p50_s, now.miss_to_row.p99_s)),
        str(sum(now.table.values())),
        str(now.rows_wanted),
    )


def _failures(stats: OverlayStats) -> int:
    """Return the questions of all operations that the plugin did not answer."""
    return sum(
        results.get(result, 0)
        for results in stats.answers.values()
        for result in ("failed", "given-up")
    )


def _drops(now: OverlayStats, before: OverlayStats | None) -> list[Row]:
    counts, old = _Counts(now, before), before or now
    by_count = sorted(now.dropped.items(), key=lambda item: (-item[1], item[0]))
    return [
        (now.overlay, reason, counts(count, old.dropped.get(reason, 0)), explain(reason))
        for reason, count in by_count
        if before is None or count != old.dropped.get(reason, 0)
    ]


def _repairs(found: Sequence[OverlayStats], before: dict[str, OverlayStats]) -> str:
    """Return what there is to say of the guard's rules, which all overlays have in common."""
    now = max((stats.guard_repairs for stats in found), default=0)
    old = max((stats.guard_repairs for stats in before.values()), default=0)
    if now <= old:
        return ""
    since = "since the last look" if before else "since varpd was started"
    return (
        f"Firewall rules of varpd were put right {since}: {now - old}; the log says who changed "
        "them: journalctl -u varpd"
    )


def duration(seconds: float | None) -> str:
    """Return a time as people read it, to three digits; nothing for None."""
    if seconds is None:
        return ""
    for unit, factor in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
