"""Frames to unknown MACs while somebody holds the kernel's lock for network configuration.

A namespace with 2,000 pairs of devices is deleted: for half a second the kernel lets nobody write a
row. The frames are sent on all the same, each by way of varpd.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from benchmarks import place
from benchmarks.results import Outcome, Ratio, Series
from support.lab import Lab
from support.lock_holding import deletion
from support.namespaces import Namespace
from support.waiting import wait_for

TITLE: Final = "frames to unknown MACs while the kernel's lock (RTNL) is held"
PAIRS: Final = 2_000
FRAMES: Final = 400
RATE: Final = 200
REPETITIONS: Final = 5
GOAL: Final = 10.0
OVERLAY: Final = "busy"


def run(say: Callable[[str], None]) -> Outcome:
    """Measure idle, and then while links are deleted."""
    found: dict[str, list[float]] = {"idle": [], "held": []}
    with Lab(show_logs=False) as lab:
        host, sink = lab.host("ours"), lab.host("sink", start=False)
        file = place.mappings_file(lab.directory / "busy.json", FRAMES, sink.address)
        host.create(OVERLAY, 7, "files", f"files/config={file}")
        guest = place.silent(host.attach(OVERLAY, "one"))
        for repetition in range(REPETITIONS):
            say(f"{repetition + 1} of {REPETITIONS}")
            found["idle"] += place.miss_delays(host, OVERLAY, sink, guest, FRAMES, RATE)
            with ExitStack() as stack:
                scratch = stack.enter_context(Namespace("scratch"))
                begin, gone = stack.enter_context(deletion(scratch, PAIRS))
                deleting = threading.Thread(target=begin)
                found["held"] += place.miss_delays(
                    host, OVERLAY, sink, guest, FRAMES, RATE, deleting.start
                )
                deleting.join()
                wait_for("the devices to be gone", gone, 60)
    series = tuple(
        Series(label, "ms", tuple(value * 1e3 for value in values))
        for label, values in found.items()
    )
    return Outcome(
        "busy_kernel",
        TITLE,
        series,
        (
            Ratio.at_most("held, p99 in ms", series[1].quantile(0.99), GOAL),
            Ratio("held / idle, p50", series[1].median / series[0].median, ""),
        ),
        ("None was lost.",),
    )
