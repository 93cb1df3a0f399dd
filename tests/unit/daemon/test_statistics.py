"""What is counted for an overlay, gathered."""

from collections.abc import AsyncIterator

import pytest

from support import overlays as support
from support.overlays import Parts, request
from varpd.control.stats import OverlayStats
from varpd.daemon.statistics import gather, latency
from varpd.datapath.counters import HostCounters, OverlayCounters
from varpd.engine.events import FramesPunted
from varpd.engine.histogram import Histogram
from varpd.net import vxlan

HEADER = vxlan.pack_header(7)
FRAME = HEADER + b"\2\0\0\0\0\1" + b"\2\0\0\0\0\2" + b"\x88\xb5" + bytes(46)


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        await made.service.create(request())
        yield made


async def stats(parts: Parts) -> OverlayStats:
    overlay = parts.overlays.find("blue")
    return await gather(overlay, parts.engine, parts.runner.datapath, {"blue": {"tap0": 3}})


async def test_a_new_overlay_has_counted_nothing(parts: Parts) -> None:
    found = await stats(parts)
    assert (found.overlay, found.search) == ("blue", "probe")
    assert (found.punted, found.dropped, found.events) == ({}, {}, {})
    assert found.outcomes == {"resent": 0, "replicated": 0, "answered": 0}
    assert set(found.table.values()) == {0}
    assert found.antispoof == {"tap0": 3}
    assert (found.miss_to_row.count, found.miss_to_row.p99_s) == (0, None)


async def test_what_was_put_right_of_the_rules_is_told_with_every_overlay(parts: Parts) -> None:
    assert (await stats(parts)).guard_repairs == 0
    parts.datapath.counted_in_all = HostCounters(guard_repairs=3)
    assert (await stats(parts)).guard_repairs == 3


async def test_a_miss_is_seen_by_everybody_who_counts(parts: Parts) -> None:
    parts.runner.feed(FramesPunted("blue", [FRAME, FRAME[:20]]))
    found = await stats(parts)
    assert found.punted == {"unicast": 1, "other": 1}
    assert found.dropped["truncated"] == 1
    assert sum(found.answers["lookup"].values()) == 1
    assert found.lookup.count == 1
    assert sum(found.table.values()) == 1


async def test_counters_of_the_engine_are_told_under_their_heads(parts: Parts) -> None:
    class Counted:
        def counters(self, overlay: str) -> dict[str, int]:
            return {
                "punted": 9,
                "punted.arp": 9,
                "asked.arp": 9,
                "answered": 2,
                "dropped.plugin": 1,
                "proxied.arp.answered": 2,
                "proxied.ndp.unknown": 3,
                "ignored.late": 4,
                "overdue": 5,
                "drift.missing": 6,
                "repaired": 7,
                "refreshed": 8,
                "adopted.mended": 1,
            }

        census = staticmethod(lambda overlay: iter(()))
        waiting = staticmethod(lambda overlay: 1500)
        in_progress = staticmethod(lambda overlay: 3)

    found = await gather(parts.overlays.find("blue"), Counted(), parts.runner.datapath, {})
    assert found.proxied == {"arp": {"answered": 2}, "ndp": {"unknown": 3}}
    assert (found.ignored, found.overdue) == ({"late": 4}, 5)
    assert (found.drift, found.repaired) == ({"missing": 6}, 7)
    assert found.events == {"refreshed": 8, "adopted.mended": 1}
    assert (found.waiting_bytes, found.questions) == (1500, 3)


async def test_what_the_datapath_counts_is_told(parts: Parts) -> None:
    delays = Histogram()
    delays.observe(0.002, 4)
    parts.datapath.counted["blue"] = OverlayCounters(
        lost=1, stale=2, sent=3, too_big=4, miss_to_row=delays.distribution
    )
    found = await stats(parts)
    assert found.kernel == {"lost": 1, "stale": 2}
    assert found.sent == {
        "sent": 3,
        "not-sent": 0,
        "too-big": 4,
        "injected": 0,
        "not-injected": 0,
    }
    assert found.miss_to_row.count == 4
    assert 0.001 < (found.miss_to_row.p50_s or 0) <= 0.0025


def test_a_latency_has_its_percentiles() -> None:
    delays = Histogram()
    delays.observe(0.0001, 99)
    delays.observe(1.0)
    found = latency(delays.distribution)
    assert found.count == 100
    assert found.sum_s == pytest.approx(1.0099)
    assert (found.p50_s or 1) < 0.0001
    assert (found.p99_s or 1) <= 0.0001
