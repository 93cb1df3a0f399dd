"""Counters of an overlay that nobody counted."""

from collections.abc import AsyncGenerator
from typing import Any

from msgspec import structs

from varpd.control.stats import LatencyInfo, OverlayStats
from varpd.control.streams import Stream

STATS = OverlayStats(
    overlay="web0",
    search="files",
    clock_s=100.0,
    punted={"arp": 3, "unicast": 70},
    kernel={"lost": 0, "stale": 0},
    outcomes={"resent": 60, "replicated": 0, "answered": 2},
    dropped={"limit-unicast": 4, "plugin": 7},
    proxied={"arp": {"answered": 2, "unknown": 1}},
    answers={"arp": {"found": 2}, "lookup": {"drop": 7, "target": 63}},
    overdue=0,
    ignored={},
    sent={"injected": 2, "sent": 60},
    table={"negative": 1, "valid": 20},
    rows_wanted=20,
    rows_present=19,
    antispoof={},
    drift={},
    repaired=0,
    events={"refreshed": 5},
    waiting_bytes=1500,
    questions=1,
    faults=0,
    panics=0,
    miss_to_row=LatencyInfo(20, 0.01, 0.0004, 0.002),
    lookup=LatencyInfo(70, 0.001, 0.00003, 0.0001),
)


def fake_stats(overlay: str, **changes: Any) -> OverlayStats:
    """Return `STATS` of an overlay, with `changes`."""
    return structs.replace(STATS, overlay=overlay, **changes)


def said(media: str, *pieces: bytes) -> Stream:
    """Return a stream of these pieces."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        for piece in pieces:
            yield piece

    return Stream(media, chunks())
