"""Many overlays on one host: what each costs, and what idle ones cost the others."""

import os
import time
from collections.abc import Callable
from typing import Final

from benchmarks import place
from benchmarks.results import Outcome, Ratio, Series
from support.guests import Guest
from support.lab import Host, Lab
from varpd.control.client import Client
from varpd.control.messages import CreateOverlay

TITLE: Final = "overlays on one host; the last one's guest sends to unknown MACs"
SIZES: Final = (1, 10, 100)
FULL: Final = (*SIZES, 1_000, 4_000)
"""With SIZE=full; creating so many takes minutes."""

FRAMES: Final = 400
RATE: Final = 200
IDLE: Final = 5.0
"""Seconds over which idle processor time is taken."""

GOAL: Final = 1.5
FIRST: Final = "o1"


def run(say: Callable[[str], None]) -> Outcome:
    """Add overlays until there are so many, and measure at each size."""
    sizes = FULL if os.environ.get("SIZE") == "full" else SIZES
    series: list[Series] = []
    delays: list[float] = []
    with Lab(show_logs=False) as lab:
        host, sink = lab.host("ours"), lab.host("sink", start=False)
        file = place.mappings_file(lab.directory / "scale.json", FRAMES, sink.address)
        guest: Guest | None = None
        begun = place.resident(host.varpd.pid)
        there = 0
        for size in sizes:
            say(f"creating overlays up to {size}")
            began = time.monotonic()
            create(host, str(file), there, size)
            spent = (time.monotonic() - began) / (size - there)
            there = size
            if guest is None:
                guest = place.silent(host.attach(FIRST, "one"))
            say(f"{size} overlays, idle")
            idle = processor(host)
            say(f"{size} overlays, one in use")
            found = place.miss_delays(host, FIRST, sink, guest, FRAMES, RATE)
            delays.append(Series("", "", tuple(found)).median)
            memory = (place.resident(host.varpd.pid) - begun) / size / 1024
            series += [
                Series(f"{size}: creating one", "ms", (spent * 1e3,)),
                Series(f"{size}: memory of each", "KiB", (memory,)),
                Series(f"{size}: idle processor time", "%", (idle * 100,)),
                Series(f"{size}: frames to unknown MACs", "ms", tuple(x * 1e3 for x in found)),
            ]
    ratio = Ratio.at_most(
        f"frames to unknown MACs, p50, {sizes[-1]} overlays / 1", delays[-1] / delays[0], GOAL
    )
    return Outcome("scale", TITLE, tuple(series), (ratio,))


def create(host: Host, file: str, there: int, wanted: int) -> None:
    """Create overlays."""
    values: dict[str, str | None] = {"vxlan/listen_ip": host.address, "files/config": file}
    with Client(str(host.varpd.socket)) as client:
        for number in range(there + 1, wanted + 1):
            client.create(CreateOverlay(f"o{number}", number, "files", properties=values))


def processor(host: Host) -> float:
    """Return the part of a processor that the daemon takes while nothing happens."""
    before = place.processor_seconds(host.varpd.pid)
    time.sleep(IDLE)
    return (place.processor_seconds(host.varpd.pid) - before) / IDLE
