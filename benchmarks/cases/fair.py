"""What an overlay that is offered ten times what it may costs another.

The guest of the quiet overlay sends to one new MAC after another, each a lookup and a row; the
delay is from its sending to its arrival at the other host. In turn alone, and beside an overlay
whose guest floods: with a plugin that knows every MAC, and with one that never answers.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks import load, place
from benchmarks.results import Outcome, Ratio, Series, paired
from support import hostile_plugins
from support.guests import Guest
from support.lab import Host, Lab
from varpd.engine.settings import Limits

TITLE: Final = "lookups of an overlay beside one that is offered ten times its limits"
TIMES: Final = 10
FRAMES: Final = 600
RATE: Final = 300
"""Frames a second of the quiet guest: two seconds for each repetition."""

REPETITIONS: Final = 7
MAPPINGS: Final = 1_000_000
GOAL: Final = 3.0

QUIET: Final = "quiet"
KNOWN: Final = "known"
HUNG: Final = "hung"


def run(say: Callable[[str], None]) -> Outcome:
    """Measure alone and beside each neighbour in turn."""
    alone: list[list[float]] = []
    beside: dict[str, list[list[float]]] = {KNOWN: [], HUNG: []}
    with Lab(show_logs=False) as lab:
        say("conditioning the kernel")
        place.condition(lab)
        (host,) = lab.hosts("ours", plugins=[hostile_plugins.__file__])
        sink, void = lab.host("sink", start=False), lab.host("void", start=False)
        say("reading a million mappings")
        near = place.mappings_file(lab.directory / "quiet.json", FRAMES, sink.address)
        far = place.mappings_file(lab.directory / "known.json", MAPPINGS, void.address)
        host.create(QUIET, 7, "files", f"files/config={near}")
        host.create(KNOWN, 8, "files", f"files/config={far}")
        host.create(HUNG, 9, "hostile", "hostile/do=hang")
        guests = {name: place.silent(host.attach(name, name)) for name in (QUIET, KNOWN, HUNG)}

        def quiet() -> list[float]:
            return place.miss_delays(host, QUIET, sink, guests[QUIET], FRAMES, RATE)

        with unread(void):
            for repetition in range(REPETITIONS):
                say(f"alone, {repetition + 1} of {REPETITIONS}")
                alone.append(quiet())
                for name, found in beside.items():
                    say(f"beside {name}, {repetition + 1} of {REPETITIONS}")
                    with flooded(guests[name]):
                        found.append(quiet())
                    place.forget(host, name)
    series, ratios = [], []
    for label, found in (("alone", alone), *((f"beside {name}", beside[name]) for name in beside)):
        for part in (0.5, 0.99):
            values = tuple(quantile(each, part) * 1e3 for each in found)
            series.append(Series(f"{label}, p{part * 100:.0f}", "ms", values))
    for name, found in beside.items():
        ratios += [
            Ratio.at_most(
                f"p{part * 100:.0f}, beside {name} / alone",
                paired([quantile(x, part) for x in found], [quantile(x, part) for x in alone]),
                GOAL,
            )
            for part in (0.5, 0.99)
        ]
    return Outcome("fair", TITLE, tuple(series), tuple(ratios))


@contextlib.contextmanager
def flooded(guest: Guest) -> Iterator[None]:
    """Offer ten times what an overlay's guests may send to unknown MACs meanwhile."""
    ended = threading.Event()
    rate = int(TIMES * Limits().unicast.rate)

    def flood() -> None:
        first = 0
        while not ended.is_set():
            load.send(guest.namespace, rate // 2, rate, first % MAPPINGS)
            first += rate // 2

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def unread(host: Host) -> Iterator[None]:
    """Have what is sent to a host vanish there, without an answer that nothing listens."""
    with host.namespace.entered():
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listener:
        listener.bind((host.address, 4789))
        yield


def quantile(values: list[float], part: float) -> float:
    """Return the value that `part` of all do not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]
