"""Tells the engine all that a plugin knows before anybody asks, in slices."""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Final

from varpd.daemon.calls import Caller
from varpd.daemon.exchange import Exchange, Owner
from varpd.engine.events import TargetsEnumerated
from varpd.provider.answers import Target
from varpd.provider.arguments import check_station
from varpd.provider.judge import Judge
from varpd.provider.plugin import DynamicPlugin

_SLICE: Final = 1_000
"""Targets of one slice: about a millisecond to check."""


async def preload(
    plugin: DynamicPlugin,
    exchange: Exchange,
    caller: Caller,
    judge: Judge,
    owner: Owner,
    limit: int,
    timeout: float,
) -> None:
    """Emit what `plugin.enumerate` gives, at most `limit` targets.

    What it gives may have been true when it was called only, so a MAC of which the plugin says
    something meanwhile is left out: it is asked about when a frame for it comes.

    Raises:
        ProviderError: the plugin says no.
        OperationFailed: it failed otherwise, or took longer than `timeout` seconds for a slice.
    """
    pairs: Iterator[object] | None = None

    def take() -> list[object]:
        nonlocal pairs
        if pairs is None:
            pairs = iter(plugin.enumerate())
        return list(islice(pairs, min(_SLICE, limit)))

    with exchange.noting() as newer:
        while limit > len(newer):
            part: list[object] = await caller.run("enumerate", take, timeout)
            if not part:
                return
            limit -= len(part)
            checked = _checked(part, judge, owner)
            good = [(mac, target) for mac, target in checked if mac not in newer]
            if good:
                owner.emit(TargetsEnumerated(exchange.overlay, good))
            # Frames come first.
            await asyncio.sleep(0)


def _checked(part: list[object], judge: Judge, owner: Owner) -> list[tuple[bytes, Target]]:
    """Return the pairs of a slice that the overlay can use."""
    good: list[tuple[bytes, Target]] = []
    for item in part:
        try:
            mac, value = _pair(item)
            station = check_station(mac)
            target = judge.target(value)
        except Exception as exc:  # one bad pair must not hide the others
            owner.fault(f"enumerate gave a bad pair: {exc}")
            continue
        if target is not None:
            good.append((station, target))
    return good


def _pair(item: object) -> tuple[object, object]:
    if not isinstance(item, tuple) or len(item) != 2:
        raise ValueError(f"not a pair of a MAC and a target: {type(item).__name__}")
    return item
