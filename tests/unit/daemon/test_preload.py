"""Preloading: in slices, within the bound, bad pairs left out."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from support.instances import OVERLAY
from support.owner import Listener
from support.probes import ONE, TWO, VXLAN, WEB, GoodProbe
from varpd.daemon.calls import Caller, OperationFailed
from varpd.daemon.exchange import Exchange
from varpd.daemon.guard import Guard
from varpd.daemon.mailbox import Mailbox
from varpd.daemon.preload import preload
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.engine.events import TargetsEnumerated, TargetSet
from varpd.provider.judge import Judge


class Probe(GoodProbe):
    api_version = 1
    pairs: Iterable[Any] = ()
    mailbox: Mailbox

    def __init__(self) -> None:
        """Take no host: nothing here says anything."""

    def enumerate(self) -> Any:
        return self.pairs


def many(count: int) -> list[tuple[bytes, object]]:
    return [(b"\x02\x00" + number.to_bytes(4, "big"), ONE) for number in range(count)]


async def run(
    pairs: Iterable[Any], limit: int = 1_000_000, plugin: Probe | None = None
) -> Listener:
    owner = Listener()
    plugin = plugin or Probe()
    plugin.pairs = pairs
    caller = Caller(Tasks(), Watchdog(), owner, owner, blocking=False)
    counts: Counter[str] = Counter()
    judge = Judge(Probe, VXLAN, 4, lambda _: None, counts)
    mailbox = Mailbox(lambda: exchange.deliver(), counts)
    guard = Guard(caller, judge, mailbox, owner, counts)
    exchange = Exchange(OVERLAY, mailbox, guard, owner, counts)
    mailbox.open()
    plugin.mailbox = mailbox
    await preload(plugin, exchange, caller, judge, owner, limit, 100.0)
    return owner


def told(owner: Listener) -> list[list[Any]]:
    return [event.pairs for event in owner.events if isinstance(event, TargetsEnumerated)]


async def test_much_comes_in_slices_and_in_order() -> None:
    pairs = many(2_500)
    slices = told(await run(iter(pairs)))
    assert [len(part) for part in slices] == [1_000, 1_000, 500]
    assert [pair for part in slices for pair in part] == pairs


async def test_no_more_is_taken_than_the_table_holds() -> None:
    taken: list[object] = []

    def endless() -> Iterable[object]:
        for pair in many(10_000):
            taken.append(pair)
            yield pair

    slices = told(await run(endless(), limit=1_500))
    assert sum(map(len, slices)) == 1_500
    assert len(taken) == 1_500


async def test_a_bad_pair_is_a_fault_and_the_others_count() -> None:
    bad = [(b"short", ONE), (WEB, "nowhere"), 5, (WEB, ONE, 3), (b"\xff" * 6, ONE)]
    owner = await run([*bad, (WEB, ONE)])
    assert told(owner) == [[(WEB, ONE)]]
    assert len(owner.faults) == len(bad)


async def test_what_cannot_be_gone_through_is_a_fault() -> None:
    with pytest.raises(OperationFailed, match="enumerate raised TypeError"):
        await run(5)  # type: ignore[arg-type] # junk


async def test_nothing_known_is_nothing_told() -> None:
    assert told(await run([])) == []


async def test_what_is_said_meanwhile_is_newer_than_what_was_enumerated() -> None:
    plugin = Probe()
    pairs = many(2_500)

    def slow() -> Iterable[object]:
        for number, pair in enumerate(pairs):
            if number == 500:
                # Neither is told of yet, and what the list has of them is old from now on.
                plugin.mailbox.put_pair(pairs[1_500][0], None)
                plugin.mailbox.put_pair(pairs[2_400][0], TWO)
            yield pair

    owner = await run(slow(), plugin=plugin)
    enumerated = {mac for part in told(owner) for mac, _ in part}
    assert enumerated == {mac for mac, _ in pairs} - {pairs[1_500][0], pairs[2_400][0]}
    assert TargetSet(OVERLAY, pairs[2_400][0], TWO) in owner.events


async def test_a_plugin_that_says_more_than_the_table_holds_is_enumerated_no_further() -> None:
    plugin = Probe()

    def restless() -> Iterable[object]:
        for mac, target in many(1_000_000):
            plugin.mailbox.put_pair(mac, None)
            yield mac, target

    owner = await run(restless(), limit=3_000, plugin=plugin)
    assert sum(map(len, told(owner))) <= 3_000
