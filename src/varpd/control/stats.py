"""What has been counted for an overlay, as it goes over the control socket.

Counts are since the overlay was made, or since the daemon started if that is later. Names within
the maps are those of docs/metrics.md; more may come, those that are there keep their meaning.
"""

from msgspec import Struct


class LatencyInfo(Struct, frozen=True):
    """How long something took."""

    count: int
    """How often it was measured."""

    sum_s: float
    """Seconds of all together."""

    p50_s: float | None
    """Seconds that half of all took at most; null: there were none."""

    p99_s: float | None
    """Seconds that 99 of 100 took at most."""


class OverlayStats(Struct, frozen=True):
    """Counters, latencies and sizes of an overlay. ``GET /v1/overlays/NAME/stats``."""

    overlay: str
    search: str
    clock_s: float
    """When this was taken, in seconds of a clock that only goes forward: for rates."""

    punted: dict[str, int]
    """Frames that the kernel handed over, by kind."""

    kernel: dict[str, int]
    """``lost`` and ``stale``: frames that it dropped before that, or that came too late."""

    outcomes: dict[str, int]
    """What became of them, but for those that wait or were dropped: ``resent`` and the like."""

    dropped: dict[str, int]
    """Those that were dropped, by reason."""

    proxied: dict[str, dict[str, int]]
    """Frames that varpd was to answer, by protocol and result."""

    answers: dict[str, dict[str, int]]
    """Answers of the plugin, by operation and result."""

    overdue: int
    """Questions for whose answers frames wait no longer."""

    ignored: dict[str, int]
    """What the plugin said in vain, by reason."""

    sent: dict[str, int]
    """Frames that were sent, by what became of them."""

    table: dict[str, int]
    """Entries of the table, by state."""

    rows_wanted: int
    """MACs whose rows the kernel should have."""

    rows_present: int
    """How many of those it has, as was last seen."""

    antispoof: dict[str, int]
    """Frames of guests that antispoof refused since it was last set, by port."""

    drift: dict[str, int]
    """What was found in the kernel to be other than it should be, by what it was."""

    repaired: int
    """How much of that was put right."""

    events: dict[str, int]
    """What else happened, by name."""

    waiting_bytes: int
    """Bytes of frames that wait for answers."""

    questions: int
    """Questions to the plugin that have no final answer yet."""

    faults: int
    """Faults of the plugin."""

    panics: int
    """How often the plugin gave up and was restored."""

    miss_to_row: LatencyInfo
    """From the first frame to a MAC until its row was in the kernel."""

    lookup: LatencyInfo
    """From asking the plugin where a frame goes to its answer."""

    guard_repairs: int = 0
    """How often the guard's rules, of all overlays together, were put right since varpd started."""
