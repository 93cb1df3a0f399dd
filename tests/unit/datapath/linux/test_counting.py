"""The counters of the Linux datapath, put together."""

from types import SimpleNamespace
from typing import Any, cast

from varpd.datapath.counters import HostCounters, OverlayCounters
from varpd.datapath.linux import counting
from varpd.datapath.linux.row_session import RowCounters
from varpd.engine.histogram import Distribution, Histogram

SENDER = cast(
    Any, SimpleNamespace(sent=4, dropped=5, failed=6, answered=7, injected=8, not_injected=9)
)


def test_an_overlay_has_what_its_socket_and_its_sender_count() -> None:
    punt = cast(Any, SimpleNamespace(received=1, lost=2, stale=3))
    assert counting.overlay_counters(punt, SENDER, Distribution()) == OverlayCounters(
        received=1,
        lost=2,
        stale=3,
        sent=4,
        not_sent=11,
        too_big=7,
        injected=8,
        not_injected=9,
    )


def test_an_overlay_without_a_socket_has_punted_nothing() -> None:
    found = counting.overlay_counters(None, SENDER, Distribution())
    assert (found.received, found.lost, found.stale, found.sent) == (0, 0, 0, 4)


def test_the_host_has_what_row_writer_monitor_and_guard_count() -> None:
    rows = RowCounters(written=1, removed=2, refused=3, not_removed=4, not_injected=5, stalls=6)
    writer = cast(Any, SimpleNamespace(counters=rows, queued=7, delays=Histogram()))
    monitor = cast(Any, SimpleNamespace(overflows=8))
    guard = cast(Any, SimpleNamespace(repairs=9))
    assert counting.host_counters(writer, monitor, guard) == HostCounters(
        rows_queued=7,
        rows_written=1,
        rows_removed=2,
        rows_refused=3,
        rows_not_removed=4,
        injections_dropped=5,
        stalls=6,
        monitor_overflows=8,
        guard_repairs=9,
    )
