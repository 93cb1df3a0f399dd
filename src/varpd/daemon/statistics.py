"""What is counted all over the daemon, gathered when somebody asks.

Nothing is kept here: every part counts for itself, and is read when it is asked for. A large table
is counted in parts, between which everybody else has a turn.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from varpd.control.stats import LatencyInfo, OverlayStats
from varpd.daemon.overlay import Overlay
from varpd.datapath.base import Datapath, DatapathError
from varpd.datapath.counters import OverlayCounters
from varpd.engine.histogram import Distribution
from varpd.targets.census import AMISS, ROWS, STATES

OUTCOMES: Final = ("resent", "replicated", "answered")
"""Counters of the engine for frames that went on."""

_SENT: Final = ("sent", "not_sent", "too_big", "injected", "not_injected")
_GROUPS: Final = ("punted", "dropped", "proxied", "ignored", "drift")
_ELSEWHERE: Final = ("punted", "overdue", "repaired", *OUTCOMES)


class Counts(Protocol):
    """What the engine counts."""

    def counters(self, overlay: str) -> Mapping[str, int]:
        """Return an overlay's counters by name."""

    def census(self, overlay: str) -> Iterator[Counter[str]]:
        """Yield how many entries are in each state, in parts that are to be added up."""

    def waiting(self, overlay: str) -> int:
        """Return how many bytes of frames wait."""

    def in_progress(self, overlay: str) -> int:
        """Return how many questions have no final answer yet."""


Refused = Mapping[str, Mapping[str, int]]
"""How many frames antispoof refused, by overlay and port."""


async def refused(datapath: Datapath) -> Refused:
    """Return how many frames antispoof refused; nothing if the kernel does not tell.

    That the guard's rules cannot be had degrades the overlay, where it is told.
    """
    try:
        return await datapath.refused_at_ports()
    except DatapathError:
        return {}


async def gather(
    overlay: Overlay, counts: Counts, datapath: Datapath, refused_at: Refused
) -> OverlayStats:
    """Return what has been counted for an overlay; `refused_at` as by `refused`."""
    name, instance = overlay.name, overlay.instance
    table = await _census(name, counts)
    # From here on nothing is awaited, so all is of one moment.
    counters = counts.counters(name)
    groups = {group: _group(counters, group) for group in _GROUPS}
    carried = datapath.counters(name)
    return OverlayStats(
        overlay=name,
        search=overlay.plan.plugin.name,
        clock_s=asyncio.get_running_loop().time(),
        punted=_kinds(counters.get("punted", 0), groups["punted"]),
        kernel={"lost": carried.lost, "stale": carried.stale},
        outcomes={outcome: counters.get(outcome, 0) for outcome in OUTCOMES},
        dropped=groups["dropped"],
        proxied=_nested(groups["proxied"]),
        answers=_answers(instance.meter.answers),
        overdue=counters.get("overdue", 0),
        ignored=groups["ignored"],
        sent=_sent(carried),
        table={state: table[state] for state in STATES},
        rows_wanted=table[ROWS],
        rows_present=max(0, table[ROWS] - table[AMISS]),
        antispoof=dict(refused_at.get(name, {})),
        drift=groups["drift"],
        repaired=counters.get("repaired", 0),
        events=_events(counters),
        waiting_bytes=counts.waiting(name),
        questions=counts.in_progress(name),
        faults=instance.counters["faults"],
        panics=instance.counters["panics"],
        miss_to_row=latency(carried.miss_to_row),
        lookup=latency(instance.meter.lookups.distribution),
        guard_repairs=datapath.totals().guard_repairs,
    )


def latency(distribution: Distribution) -> LatencyInfo:
    """Return how long something took, as the API has it."""
    return LatencyInfo(
        distribution.count,
        distribution.total,
        distribution.quantile(0.5),
        distribution.quantile(0.99),
    )


async def _census(name: str, counts: Counts) -> Counter[str]:
    table: Counter[str] = Counter()
    for part in counts.census(name):
        table += part
        await asyncio.sleep(0)
    return table


def _group(counters: Mapping[str, int], group: str) -> dict[str, int]:
    """Return the counters ``GROUP.NAME`` by NAME."""
    start = f"{group}."
    return {
        name.removeprefix(start): count
        for name, count in sorted(counters.items())
        if name.startswith(start)
    }


def _kinds(total: int, kinds: dict[str, int]) -> dict[str, int]:
    """Return punted frames by kind; those of which the kind was not looked at are ``other``."""
    other = total - sum(kinds.values())
    return kinds | ({"other": other} if other > 0 else {})


def _nested(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for name, count in counts.items():
        outer, _, inner = name.partition(".")
        nested.setdefault(outer, {})[inner] = count
    return nested


def _answers(answers: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (operation, result), count in sorted(answers.items()):
        nested.setdefault(operation, {})[result] = count
    return nested


def _sent(carried: OverlayCounters) -> dict[str, int]:
    return {name.replace("_", "-"): getattr(carried, name) for name in _SENT}


def _events(counters: Mapping[str, int]) -> dict[str, int]:
    """Return what is counted under no other head; the questions are counted by their answers."""
    return {
        name: count
        for name, count in sorted(counters.items())
        if name not in _ELSEWHERE and name.partition(".")[0] not in (*_GROUPS, "asked")
    }
