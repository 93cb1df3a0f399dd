"""The metrics of the daemon: read where they are counted, when Prometheus asks.

`families` is the list of what there is. Collecting and writing go in slices, so that a host with a
thousand overlays forwards frames meanwhile.
"""

import asyncio
import platform
from collections.abc import AsyncGenerator, Mapping
from typing import Final

from prometheus_client.process_collector import ProcessCollector

from varpd.control.stats import OverlayStats
from varpd.daemon import exposition, statistics
from varpd.daemon.degradation import CauseKind
from varpd.daemon.families import Page
from varpd.daemon.lag import LoopLag
from varpd.daemon.lookups import Meters
from varpd.daemon.overlay import Overlay
from varpd.daemon.overlays import Overlays
from varpd.daemon.runner import Runner
from varpd.daemon.statistics import Counts
from varpd.daemon.views import state_of

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

    async def stats(self, overlay: Overlay) -> OverlayStats:
        """Return what has been counted for an overlay."""
        return await statistics.gather(overlay, self._counts, self._runner.datapath)

    async def text(self) -> AsyncGenerator[bytes, None]:
        """Yield all metrics as Prometheus reads them, piece by piece."""
        page = Page()
        self._add_daemon(page)
        self._add_rows(page)
        self._add_plugins(page)
        for overlay in self._overlays.all():
            _add_state(page, overlay)
            _add_stats(page, await self.stats(overlay))
            await asyncio.sleep(0)
        # It reads files.
        process = await asyncio.to_thread(lambda: list(self._process.collect()))
        for piece in exposition.render([*page.families, *process]):
            yield piece
            await asyncio.sleep(0)

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
        page.add_distribution("varpd_miss_to_row_seconds", totals.miss_to_row)

    def _add_plugins(self, page: Page) -> None:
        for plugin, meter in sorted(self._meters.plugins.items()):
            for (operation, result), count in sorted(meter.answers.items()):
                page.add("varpd_lookups_total", count, plugin, operation, result)
            found = meter.lookups.distribution
            page.add_distribution("varpd_lookup_duration_seconds", found, plugin)


def _add_state(page: Page, overlay: Overlay) -> None:
    plan = overlay.plan
    labels = plan.name, plan.plugin.name, plan.encapsulation.name, str(plan.vnetid)
    page.add("varpd_overlay_info", 1, *labels)
    for cause in overlay.instance.causes:
        page.add("varpd_overlay_degraded", 1, plan.name, cause.cause.value)


def _add_stats(page: Page, stats: OverlayStats) -> None:
    name = stats.overlay
    by_word: dict[str, Mapping[str, int]] = {
        "varpd_punted_frames_total": stats.punted,
        "varpd_kernel_dropped_frames_total": stats.kernel,
        "varpd_forwarded_frames_total": stats.outcomes,
        "varpd_dropped_frames_total": stats.dropped,
        "varpd_sent_frames_total": stats.sent,
        "varpd_ignored_statements_total": stats.ignored,
        "varpd_table_entries": stats.table,
        "varpd_table_events_total": stats.events,
        "varpd_drift_total": stats.drift,
    }
    for family, counts in by_word.items():
        for word, count in counts.items():
            page.add(family, count, name, word)
    for protocol, results in stats.proxied.items():
        for result, count in results.items():
            page.add("varpd_proxied_frames_total", count, name, protocol, result)
    page.add("varpd_waiting_bytes", stats.waiting_bytes, name)
    page.add("varpd_questions_in_progress", stats.questions, name)
    page.add("varpd_overdue_questions_total", stats.overdue, name)
    page.add("varpd_plugin_faults_total", stats.faults, name, stats.search)
    page.add("varpd_plugin_panics_total", stats.panics, name, stats.search)
    page.add("varpd_rows_wanted", stats.rows_wanted, name)
    page.add("varpd_repaired_total", stats.repaired, name)
