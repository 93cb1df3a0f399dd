"""What the engine costs a miss, without any input or output.

The peer is what no program can do without: a loop that takes the MAC out of each frame and looks it
up in the same mapping.
"""

import gc
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

from benchmarks.results import Outcome, Ratio, Series, paired
from support.script import HEADER, OVERLAY, packet, settings
from varpd.engine.commands import Install, StartLookups
from varpd.engine.engine import Engine
from varpd.engine.events import FramesPunted, InstanceStarted, LookupsAnswered, OverlayAdded
from varpd.provider.answers import Target

TITLE: Final = "the engine's work for a miss, in batches of 64, without a kernel"
MISSES: Final = 64_000
BATCH: Final = 64
HOSTS: Final = 16
REPETITIONS: Final = 9

_SOURCE: Final = b"\x02\x73\x00\x00\x00\x01"
_MAC_AT: Final = len(HEADER)

Mapping = dict[bytes, Target]


def batches(mapping: Mapping) -> list[list[bytes]]:
    """Return frames to all MACs of a mapping, in batches."""
    frames = [packet(mac, _SOURCE) for mac in mapping]
    return [frames[start : start + BATCH] for start in range(0, len(frames), BATCH)]


def through_engine(mapping: Mapping, frames: list[list[bytes]]) -> int:
    """Have an engine resolve all frames; return how many rows it asks for."""
    engine = Engine()
    engine.handle(OverlayAdded(OVERLAY, settings()), 0.0)
    engine.handle(InstanceStarted(OVERLAY), 0.0)
    rows = 0
    for batch in frames:
        for command in engine.handle(FramesPunted(OVERLAY, batch), 1.0):
            if type(command) is StartLookups:
                answers = [mapping[query.key] for query in command.queries]
                event = LookupsAnswered(OVERLAY, command.queries, list(answers))
                for answered in engine.handle(event, 1.0):
                    if type(answered) is Install:
                        rows += len(answered.macs)
    return rows


def through_loop(mapping: Mapping, frames: list[list[bytes]]) -> int:
    """Look all frames up, and no more."""
    found: dict[Target, list[bytes]] = {}
    for batch in frames:
        for frame in batch:
            mac = frame[_MAC_AT : _MAC_AT + 6]
            found.setdefault(mapping[mac], []).append(mac)
    return sum(map(len, found.values()))


def microseconds(work: Callable[[Mapping, list[list[bytes]]], int], mapping: Mapping) -> float:
    """Return what a miss costs."""
    frames = batches(mapping)
    gc.collect()
    began = time.perf_counter()
    done = work(mapping, frames)
    spent = time.perf_counter() - began
    if done != len(mapping):
        raise AssertionError(f"{done} of {len(mapping)} were resolved")
    return spent * 1e6 / len(mapping)


def run(say: Callable[[str], None]) -> Outcome:
    """Measure both in turn."""
    hosts = [Target(ip=IPv4Address(f"192.0.2.{2 + host}"), port=4789) for host in range(HOSTS)]
    mapping = {
        b"\x02\x62" + number.to_bytes(4, "big"): hosts[number % HOSTS] for number in range(MISSES)
    }
    engine: list[float] = []
    loop: list[float] = []
    for repetition in range(REPETITIONS):
        say(f"{repetition + 1} of {REPETITIONS}")
        engine.append(microseconds(through_engine, mapping))
        loop.append(microseconds(through_loop, mapping))
    return Outcome(
        "engine",
        TITLE,
        (Series("engine", "us a miss", tuple(engine)), Series("loop", "us a miss", tuple(loop))),
        (Ratio("engine / look-up loop", paired(engine, loop), ""),),
        ("The row writer, the guard and the kernel come on top: see misses.",),
    )
