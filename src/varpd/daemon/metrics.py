"""The metrics of the daemon: read where they are counted, when Prometheus asks.

`families` is the list of what there is. Collecting and writing go in slices, so that a host with a
thousand overlays forwards frames meanwhile.
"""

import asyncio
import platform
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import Metric
from prometheus_client.process_collector import ProcessCollector

from varpd.control.stats import OverlayStats
from varpd.daemon import exposition, statistics
from varpd.daemon.degradation import CauseKind
from varpd.daemon.families import FAMILIES, Page
from varpd.daemon.lag import LoopLag
from varpd.daemon.lookups import Meters
from varpd.daemon.overlay import Overlay
from varpd.daemon.overlays import Overlays
from varpd.daemon.runner import Runner
from varpd.daemon.statistics import Counts, Refused
from varpd.daemon.views import state_of

OVERLAYS: Final = 50
"""Overlays whose samples are made at once: about a millisecond's work."""

Counted = tuple[Overlay, OverlayStats]
Samples = Iterator[tuple[float, tuple[str, ...]]]

STATES: Final = ("online", "degraded", "stopped")
"""The states that overlays are counted by."""


class Metrics:
    """Collects what is counted all over the daemon."""

    def __init__(
        self,
        version: str,
        overlays: Overlays,
        runner: Runner,
        counts: Counts,
        meters: Meters | None = None,
        lag: LoopLag | None = None,
    ) -> None:
        """Take the version of varpd, and those who count.

        Args:
            version: of varpd.
            overlays: the overlays.
            runner: counts faults, and has the datapath.
            counts: the engine.
            meters: count plugins' answers.
            lag: counts how late the event loop is.
        """
        self._version = version
        self._overlays = overlays
        self._runner = runner
        self._counts = counts
        self._meters = meters or Meters()
        self._lag = lag or LoopLag()
        self._process = ProcessCollector(registry=None)

    async def stats(self, overlays: Iterable[Overlay]) -> list[OverlayStats]:
        """Return what has been counted for overlays."""
        refused = await statistics.refused(self._runner.datapath)
        return [await self._stats(overlay, refused) for overlay in overlays]

    async def text(self) -> AsyncGenerator[bytes, None]:
        """Yield all metrics as Prometheus reads them, piece by piece.

        The samples of many overlays are made a slice at a time and thrown away once they are
        written: all at once they would keep the garbage collector busy, and so the event loop.
        """
        counted: list[Counted] = []
        refused = await statistics.refused(self._runner.datapath)
        for overlay in self._overlays.all():
            counted.append((overlay, await self._stats(overlay, refused)))
            await asyncio.sleep(0)
        # It reads files.
        process = await asyncio.to_thread(lambda: list(self._process.collect()))
        host = Page()
        self._add_daemon(host)
        self._add_rows(host)
        self._add_plugins(host)
        for piece in exposition.render(_metrics(host, counted)):
            yield piece
            await asyncio.sleep(0)
        for piece in exposition.render(process):
            yield piece

    async def _stats(self, overlay: Overlay, refused: Refused) -> OverlayStats:
        return await statistics.gather(overlay, self._counts, self._runner.datapath, refused)

    def _add_daemon(self, page: Page) -> None:
        runtime = platform.python_version()
        page.add("varpd_build_info", 1, self._version, runtime, self._runner.datapath.name)
        for where, count in sorted(self._runner.faults.items()):
            page.add("varpd_internal_errors_total", count, where)
        page.add_distribution("varpd_event_loop_lag_seconds", self._lag.distribution)
        overlays = self._overlays.all()
        states = [state_of(overlay) for overlay in overlays]
        for state in STATES:
            page.add("varpd_overlays", states.count(state), state)
        causes = [cause.cause for overlay in overlays for cause in overlay.instance.causes]
        for kind in CauseKind:
            page.add("varpd_degraded_overlays", causes.count(kind), kind.value)

    def _add_rows(self, page: Page) -> None:
        totals = self._runner.datapath.totals()
        page.add("varpd_row_writer_queue_rows", totals.rows_queued)
        page.add("varpd_row_writer_stalls_total", totals.stalls)
        page.add("varpd_rows_written_total", totals.rows_written)
        page.add("varpd_rows_removed_total", totals.rows_removed)
        page.add("varpd_rows_refused_total", totals.rows_refused)
        page.add("varpd_rows_not_removed_total", totals.rows_not_removed)
        page.add("varpd_injections_dropped_total", totals.injections_dropped)
        page.add("varpd_monitor_overflows_total", totals.monitor_overflows)
        page.add("varpd_guard_repairs_total", totals.guard_repairs)
        page.add_distribution("varpd_miss_to_row_seconds", totals.miss_to_row)

    def _add_plugins(self, page: Page) -> None:
        for plugin, total in sorted(self._meters.plugins.items()):
            for (operation, result), count in sorted(total.answers.items()):
                page.add("varpd_lookups_total", count, plugin, operation, result)
            page.add_distribution("varpd_lookup_duration_seconds", total.lookups, plugin)


def _metrics(host: Page, counted: list[Counted]) -> Iterator[Metric]:
    """Yield every family; one with samples of overlays in parts that follow each other."""
    for family, metric in zip(FAMILIES, host.families, strict=True):
        samples_of = _SAMPLES.get(family.name)
        if samples_of is None:
            yield metric
            continue
        for start in range(0, len(counted), OVERLAYS):
            page = Page((family,))
            for overlay, stats in counted[start : start + OVERLAYS]:
                for value, labels in samples_of(overlay, stats):
                    page.add(family.name, value, overlay.name, *labels)
            yield from page.families


def _words(counts: Mapping[str, int]) -> Samples:
    return ((count, (word,)) for word, count in counts.items())


def _info(overlay: Overlay, _: OverlayStats) -> Samples:
    plan = overlay.plan
    yield 1, (plan.plugin.name, plan.encapsulation.name, str(plan.vnetid))


def _degraded(overlay: Overlay, _: OverlayStats) -> Samples:
    return ((1, (cause.cause.value,)) for cause in overlay.instance.causes)


def _proxied(_: Overlay, stats: OverlayStats) -> Samples:
    return (
        (count, (protocol, result))
        for protocol, results in stats.proxied.items()
        for result, count in results.items()
    )


_SAMPLES: Final[dict[str, Callable[[Overlay, OverlayStats], Samples]]] = {
    "varpd_overlay_info": _info,
    "varpd_overlay_degraded": _degraded,
    "varpd_punted_frames_total": lambda _, stats: _words(stats.punted),
    "varpd_kernel_dropped_frames_total": lambda _, stats: _words(stats.kernel),
    "varpd_forwarded_frames_total": lambda _, stats: _words(stats.outcomes),
    "varpd_dropped_frames_total": lambda _, stats: _words(stats.dropped),
    "varpd_proxied_frames_total": _proxied,
    "varpd_sent_frames_total": lambda _, stats: _words(stats.sent),
    "varpd_waiting_bytes": lambda _, stats: iter([(stats.waiting_bytes, ())]),
    "varpd_questions_in_progress": lambda _, stats: iter([(stats.questions, ())]),
    "varpd_overdue_questions_total": lambda _, stats: iter([(stats.overdue, ())]),
    "varpd_ignored_statements_total": lambda _, stats: _words(stats.ignored),
    "varpd_plugin_faults_total": lambda _, stats: iter([(stats.faults, (stats.search,))]),
    "varpd_plugin_panics_total": lambda _, stats: iter([(stats.panics, (stats.search,))]),
    "varpd_table_entries": lambda _, stats: _words(stats.table),
    "varpd_table_events_total": lambda _, stats: _words(stats.events),
    "varpd_rows_wanted": lambda _, stats: iter([(stats.rows_wanted, ())]),
    "varpd_rows_present": lambda _, stats: iter([(stats.rows_present, ())]),
    "varpd_antispoof_refused_frames_total": lambda _, stats: _words(stats.antispoof),
    "varpd_drift_total": lambda _, stats: _words(stats.drift),
    "varpd_repaired_total": lambda _, stats: iter([(stats.repaired, ())]),
}
"""What an overlay has for each family that has overlays: values, with the labels but its name."""
