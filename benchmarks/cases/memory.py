"""What a million of each take in memory: mappings that `files` knows, and rows that are installed.

Measured in a fresh process for each, as the growth of its resident memory.
"""

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from benchmarks import load, place
from benchmarks.results import Outcome, Ratio, Series
from support.script import OVERLAY, settings
from varpd.engine.engine import Engine
from varpd.engine.events import InstanceStarted, OverlayAdded, TargetsEnumerated
from varpd.engine.settings import Limits
from varpd.plugins.files.loader import load as read
from varpd.provider.answers import Target
from varpd.provider.kinds import DestinationKind

TITLE: Final = "memory for a known mapping and for an installed row, at 1,000,000"
COUNT: Final = 1_000_000
REPETITIONS: Final = 3
SLICE: Final = 500

KINDS: Final = ("mapping", "row", "dictionary")
"""The last is the peer: a plain dictionary of Python from MACs to a few objects."""


def targets() -> list[Target]:
    """Return the hosts that all MACs are spread over."""
    return [Target(ip=IPv4Address(f"192.0.2.{2 + host}"), port=4789) for host in range(16)]


def dictionary() -> object:
    """Return a dictionary of all MACs."""
    hosts = targets()
    return {load.mac(number): hosts[number % len(hosts)] for number in range(COUNT)}


def rows() -> object:
    """Return an engine in which all MACs are known, over and above the keys."""
    engine = Engine()
    limits = Limits(targets=2 * COUNT)
    engine.handle(OverlayAdded(OVERLAY, settings(limits=limits)), 0.0)
    engine.handle(InstanceStarted(OVERLAY), 0.0)
    hosts = targets()
    for start in range(0, COUNT, SLICE):
        pairs = [
            (load.mac(number), hosts[number % len(hosts)]) for number in range(start, start + SLICE)
        ]
        engine.handle(TargetsEnumerated(OVERLAY, pairs), 1.0)
    return engine


def mappings(file: Path) -> object:
    """Return what plugin `files` keeps of a mapping file."""
    kinds = DestinationKind.IP | DestinationKind.PORT
    return read(str(file), kinds, 4, lambda: None, lambda *_: None)


def measure(kind: str, file: Path) -> float:
    """Return the bytes that one takes, in this process."""
    makers: dict[str, Callable[[], object]] = {
        "mapping": partial(mappings, file),
        "row": rows,
        "dictionary": dictionary,
    }
    make = makers[kind]
    gc.collect()
    before = place.resident(os.getpid())
    kept = make()
    gc.collect()
    grown = place.resident(os.getpid()) - before
    del kept
    return grown / COUNT


def run(say: Callable[[str], None]) -> Outcome:
    """Measure each in processes of its own."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="varpd-bench-") as folder:
        file = place.mappings_file(Path(folder) / "mappings.json", COUNT, "192.0.2.2")
        for repetition in range(REPETITIONS):
            for kind in KINDS:
                say(f"{kind}, {repetition + 1} of {REPETITIONS}")
                command = (sys.executable, "-m", "benchmarks.cases.memory", kind, str(file))
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[kind].append(float(done.stdout))
    series = tuple(Series(kind, "bytes each", tuple(found[kind])) for kind in KINDS)
    return Outcome(
        "memory",
        TITLE,
        series,
        (
            Ratio.at_most("a known mapping, bytes", series[0].median, 100),
            Ratio.at_most("an installed row, bytes", series[1].median, 100),
        ),
    )


if __name__ == "__main__":
    print(measure(sys.argv[1], Path(sys.argv[2])))
