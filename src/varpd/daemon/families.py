"""The metrics that there are: names, types, labels and meanings, in the order of docs/metrics.md.

Labels are names of overlays, plugins and links, and words of the code; nothing that a guest or a
packet says ever becomes one.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct
from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from varpd.engine.histogram import BOUNDS, Distribution

Kind = Literal["counter", "gauge", "histogram"]


class Family(Struct, frozen=True):
    """One metric with all its labels."""

    name: str
    kind: Kind
    doc: str
    labels: tuple[str, ...] = ()


def _counter(name: str, doc: str, *labels: str) -> Family:
    return Family(name, "counter", doc, labels)


def _gauge(name: str, doc: str, *labels: str) -> Family:
    return Family(name, "gauge", doc, labels)


def _histogram(name: str, doc: str, *labels: str) -> Family:
    return Family(name, "histogram", doc, labels)


FAMILIES: Final = (
    # The daemon.
    _gauge("varpd_build_info", "What runs; always 1.", "version", "python", "datapath"),
    _counter("varpd_internal_errors_total", "Faults of varpd itself that were caught.", "where"),
    _histogram("varpd_event_loop_lag_seconds", "How late the event loop came to what was due."),
    # Overlays.
    _gauge("varpd_overlays", "Overlays by state.", "state"),
    _gauge("varpd_degraded_overlays", "Overlays that work badly, by cause.", "cause"),
    _gauge("varpd_overlay_info", "An overlay; always 1.", "overlay", "plugin", "encap", "vnetid"),
    _gauge("varpd_overlay_degraded", "1 while the overlay works badly.", "overlay", "cause"),
    # Punted frames.
    _counter(
        "varpd_punted_frames_total",
        "Frames that the kernel had no row for and handed to varpd.",
        *("overlay", "kind"),
    ),
    _counter(
        "varpd_kernel_dropped_frames_total",
        "Punted frames lost before varpd could take them.",
        *("overlay", "reason"),
    ),
    _counter("varpd_forwarded_frames_total", "Punted frames that went on.", "overlay", "outcome"),
    _counter("varpd_dropped_frames_total", "Punted frames that were dropped.", "overlay", "reason"),
    _counter(
        "varpd_proxied_frames_total",
        "ARP, neighbour discovery and DHCP frames that varpd was to answer itself.",
        *("overlay", "protocol", "result"),
    ),
    _counter("varpd_sent_frames_total", "Frames that varpd sent.", "overlay", "result"),
    _gauge("varpd_waiting_bytes", "Bytes of frames that wait for an answer.", "overlay"),
    _histogram(
        "varpd_miss_to_row_seconds",
        "From the first frame to a MAC until its row was in the kernel.",
    ),
    # Search plugins.
    _counter(
        "varpd_lookups_total",
        "Answers of search plugins.",
        *("plugin", "operation", "result"),
    ),
    _histogram(
        "varpd_lookup_duration_seconds",
        "From asking where a frame goes to the answer.",
        "plugin",
    ),
    _gauge("varpd_questions_in_progress", "Questions without a final answer.", "overlay"),
    _counter(
        "varpd_overdue_questions_total",
        "Questions for whose answers frames wait no longer.",
        "overlay",
    ),
    _counter(
        "varpd_ignored_statements_total",
        "What plugins said in vain.",
        *("overlay", "reason"),
    ),
    _counter("varpd_plugin_faults_total", "Faults of search plugins.", "overlay", "plugin"),
    _counter("varpd_plugin_panics_total", "Search plugins that gave up.", "overlay", "plugin"),
    # Tables and rows.
    _gauge("varpd_table_entries", "MACs that something is known of.", "overlay", "state"),
    _counter("varpd_table_events_total", "What happened to entries.", "overlay", "event"),
    _gauge("varpd_rows_wanted", "MACs whose rows the kernel should have.", "overlay"),
    _gauge("varpd_rows_present", "MACs that have those rows, as last seen.", "overlay"),
    _counter(
        "varpd_antispoof_refused_frames_total",
        "Frames that guests may not send, by their port.",
        *("overlay", "port"),
    ),
    _counter(
        "varpd_drift_total",
        "Rows and links found other than they should be.",
        *("overlay", "kind"),
    ),
    _counter("varpd_repaired_total", "What of that was put right.", "overlay"),
    _gauge("varpd_row_writer_queue_rows", "Rows that wait to be written or removed."),
    _counter("varpd_row_writer_stalls_total", "Writes that waited for the kernel's lock."),
    _counter("varpd_rows_written_total", "Rows written."),
    _counter("varpd_rows_removed_total", "Rows removed."),
    _counter("varpd_rows_refused_total", "Rows that the kernel, or the full queue, refused."),
    _counter("varpd_rows_not_removed_total", "Rows that the kernel would not remove."),
    _counter("varpd_injections_dropped_total", "Frames for guests that waited behind too many."),
    _counter("varpd_monitor_overflows_total", "Times that changes in the kernel were missed."),
    _counter("varpd_guard_repairs_total", "Times that the guard's rules were put right."),
)
"""Every metric but those of the process, whose names are Prometheus' own."""


class Page:
    """Families with samples of one scrape."""

    def __init__(self, families: Sequence[Family] = FAMILIES) -> None:
        """Begin with empty families: all, or some."""
        self._families = {family.name: _metric(family) for family in families}

    @property
    def families(self) -> list[Metric]:
        """The families in their order."""
        return list(self._families.values())

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add a sample to a counter or a gauge, with the values of its labels in their order."""
        family = self._families[name]
        if not isinstance(family, CounterMetricFamily | GaugeMetricFamily):
            raise TypeError(f"{name} takes no single value")
        family.add_metric(labels, value)

    def add_distribution(self, name: str, found: Distribution, *labels: str) -> None:
        """Add the samples of a histogram."""
        family = self._families[name]
        if not isinstance(family, HistogramMetricFamily):
            raise TypeError(f"{name} is no histogram")
        seen = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(repr, BOUNDS), "+Inf"), found.counts, strict=True):
            seen += count
            buckets.append((bound, seen))
        family.add_metric(labels, buckets, found.total)


def _metric(family: Family) -> Metric:
    match family.kind:
        case "counter":
            return CounterMetricFamily(family.name, family.doc, labels=family.labels)
        case "gauge":
            return GaugeMetricFamily(family.name, family.doc, labels=family.labels)
        case "histogram":
            return HistogramMetricFamily(family.name, family.doc, labels=family.labels)
