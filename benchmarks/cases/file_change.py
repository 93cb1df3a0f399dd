"""From a change of the mapping file until no frame goes where it should not go any more.

100,000 mappings, all in the kernel (`preload`), of which one is changed, or all. What is looked at
are the kernel's rows: they go, and the frames that come then are looked up.
"""

import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.results import Outcome, Ratio, Series
from support.lab import Host, Lab
from support.waiting import wait_for
from varpd.datapath.linux import lookups, names

TITLE: Final = "a changed mapping file, 100,000 mappings"
MAPPINGS: Final = 100_000
REPETITIONS: Final = 5
OVERLAY: Final = "filed"
ONE: Final = 0.010
ALL: Final = 2.0


def run(say: Callable[[str], None]) -> Outcome:
    """Change one mapping and all in turn."""
    one: list[float] = []
    every: list[float] = []
    with Lab(show_logs=False) as lab:
        host, sinks = lab.host("ours"), [lab.host(name, start=False) for name in ("left", "right")]
        path = lab.directory / "filed.json"
        places = dict.fromkeys(range(MAPPINGS), 0)
        write(path, places, sinks)
        say("reading 100,000 mappings")
        host.create(OVERLAY, 7, "files", f"files/config={path}", "preload=on")
        device = device_of(host)
        last = MAPPINGS - 1
        sample = (*range(0, MAPPINGS, MAPPINGS // 50), last)
        wait_for("all rows", lambda: leads_to(host, device, last, sinks[0]), 60)

        def again() -> None:
            """Have all rows in the kernel again."""
            host.varpd.send(signal.SIGHUP)
            wait_for(
                "all rows",
                lambda: all(leads_to(host, device, n, sinks[places[n]]) for n in sample),
                60,
            )

        for repetition in range(REPETITIONS):
            say(f"{repetition + 1} of {REPETITIONS}")
            number = MAPPINGS // 2 + repetition
            places[number] ^= 1
            one.append(change(path, places, sinks, host, device, (number,)))
            again()
            places.update({item: where ^ 1 for item, where in places.items()})
            every.append(change(path, places, sinks, host, device, sample))
            again()
    return Outcome(
        "file_change",
        TITLE,
        (Series("one of them", "s", tuple(one)), Series("all of them", "s", tuple(every))),
        (
            Ratio.at_most("one of them, in s", Series("", "", tuple(one)).median, ONE),
            Ratio.at_most("all of them, in s", Series("", "", tuple(every)).median, ALL),
        ),
        ("The whole file is read in either case; the goal for one is a goal for what comes then.",),
    )


def write(path: Path, places: dict[int, int], sinks: list[Host]) -> float:
    """Replace the file; return when it was in its place."""
    new = path.with_suffix(".new")
    mappings = {
        load.mac(number).hex(":"): {"ip": sinks[where].address, "port": 4789}
        for number, where in places.items()
    }
    new.write_text(json.dumps(mappings), encoding="ascii")
    began = time.monotonic()
    new.replace(path)
    return began


def change(
    path: Path,
    places: dict[int, int],
    sinks: list[Host],
    host: Host,
    device: int,
    looked_at: tuple[int, ...],
) -> float:
    """Replace the file; return the seconds until no row leads where the old file said."""
    began = write(path, places, sinks)
    for number in looked_at:
        while leads_to(host, device, number, sinks[places[number] ^ 1]):
            if time.monotonic() - began > 60:
                raise AssertionError("the rows do not follow the file")
            time.sleep(0.001)
    return time.monotonic() - began


def leads_to(host: Host, device: int, number: int, sink: Host) -> bool:
    """Return whether the row of a MAC leads to a host."""
    with host.namespace.entered():
        row = lookups.row_of(device, load.mac(number))
    return row is not None and socket.inet_ntoa(row.destination) == sink.address


def device_of(host: Host) -> int:
    """Return the index of the overlay's tunnel device."""
    with host.namespace.entered():
        return socket.if_nametoindex(names.device_name(OVERLAY))
