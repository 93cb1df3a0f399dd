"""What the parts of the Linux datapath have counted, put together."""

from varpd.datapath.counters import HostCounters, OverlayCounters
from varpd.datapath.linux.guard.tables import GuardTables
from varpd.datapath.linux.monitor import Monitor
from varpd.datapath.linux.punt import PuntSocket
from varpd.datapath.linux.send import Sender
from varpd.datapath.linux.writer import RowWriter
from varpd.engine.histogram import Distribution


def overlay_counters(
    punt: PuntSocket | None, sender: Sender, delays: Distribution
) -> OverlayCounters:
    """Return the counters of one overlay; a POINT overlay has no punt socket."""
    return OverlayCounters(
        received=0 if punt is None else punt.received,
        lost=0 if punt is None else punt.lost,
        stale=0 if punt is None else punt.stale,
        sent=sender.sent,
        not_sent=sender.dropped + sender.failed,
        too_big=sender.answered,
        injected=sender.injected,
        not_injected=sender.not_injected,
        miss_to_row=delays,
    )


def host_counters(writer: RowWriter, monitor: Monitor, guard: GuardTables) -> HostCounters:
    """Return the counters of the host."""
    rows = writer.counters
    return HostCounters(
        rows_queued=writer.queued,
        rows_written=rows.written,
        rows_removed=rows.removed,
        rows_refused=rows.refused,
        rows_not_removed=rows.not_removed,
        injections_dropped=rows.not_injected,
        stalls=rows.stalls,
        monitor_overflows=monitor.overflows,
        guard_repairs=guard.repairs,
        miss_to_row=writer.delays.distribution,
    )
