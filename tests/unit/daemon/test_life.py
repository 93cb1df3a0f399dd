"""The life of one object: every way to its close."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from support.instances import LOCAL, OVERLAY, query
from support.owner import Listener
from support.probes import ONE, TWO, VALUES, VXLAN, WEB, GoodProbe, PointProbe
from support.waiting import until
from varpd.daemon.calls import OperationFailed
from varpd.daemon.host import Place
from varpd.daemon.life import Life
from varpd.daemon.lookups import Meter
from varpd.daemon.shared import SharedObjects
from varpd.daemon.watchdog import Watchdog
from varpd.engine.commands import StartLookups
from varpd.engine.events import LookupsAnswered, TargetsEnumerated, TargetSet
from varpd.provider import DROP, Plugin, StopReason, Unsupported

LONG = 100.0


class Closed:
    def __init__(self) -> None:
        self.times = 0

    def close(self) -> None:
        self.times += 1
        raise RuntimeError("cannot close")


class Bench:
    def __init__(self, plugin: type[Plugin] = GoodProbe) -> None:
        self.owner = Listener()
        self.counts: Counter[str] = Counter()
        place = Place(plugin, OVERLAY, 77, "vxlan", VXLAN, LOCAL)
        self.life = Life(place, SharedObjects(), Watchdog(), self.owner, self.counts, Meter())

    async def begin(self, values: Any = VALUES) -> Any:
        target = await self.life.begin(values, None, LONG, LONG)
        self.life.open()
        return target

    @property
    def plugin(self) -> Any:
        return self.life.operations.plugin


async def test_a_whole_life() -> None:
    bench = Bench()
    assert await bench.begin() is None
    plugin = bench.plugin
    assert bench.life.at_work
    told = bench.life.exchange.ask(StartLookups(OVERLAY, [query(WEB)]))
    assert isinstance(told[0], LookupsAnswered)
    assert told[0].answers == [ONE]
    await bench.life.end(StopReason.DELETED)
    assert not bench.life.at_work
    assert plugin.calls[-3:] == ["lookup", "stop deleted", "close"]
    await bench.life.end(StopReason.DELETED)
    assert plugin.calls[-2:] == ["stop deleted", "close"]
    assert str(bench.life) == "blue/probe"


async def test_a_point_life_begins_with_its_target() -> None:
    bench = Bench(PointProbe)
    assert await bench.begin({}) == ONE
    await bench.life.end(StopReason.SHUTDOWN)


async def test_a_point_life_without_a_target_does_not_begin_but_was_started() -> None:
    class Probe(PointProbe):
        api_version = 1

        def default(self) -> Any:
            return DROP

    bench = Bench(Probe)
    with pytest.raises(OperationFailed, match="no destination"):
        await bench.begin({})
    assert bench.life.started
    await bench.life.end(StopReason.DELETED)


async def test_a_life_whose_object_was_never_made_ends_all_the_same() -> None:
    class Probe(GoodProbe):
        api_version = 1
        supplies = ()

    bench = Bench(Probe)
    with pytest.raises(Unsupported):
        await bench.begin()
    await bench.life.end(StopReason.DELETED)
    assert bench.owner.faults == []


async def test_its_tasks_run_until_after_stop_and_before_close() -> None:
    class Probe(GoodProbe):
        api_version = 1

        async def start(self) -> None:
            await super().start()
            self.host.start_task(self.poll(), "poll")

        async def poll(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.calls.append("task ended")

    bench = Bench(Probe)
    await bench.begin()
    await asyncio.sleep(0)
    plugin = bench.plugin
    await bench.life.end(StopReason.DELETED)
    assert plugin.calls[-3:] == ["stop deleted", "task ended", "close"]
    assert bench.owner.faults == []


async def test_a_task_that_fails_is_a_fault() -> None:
    async def fail() -> None:
        raise RuntimeError("no server")

    bench = Bench()
    await bench.begin()
    bench.plugin.host.start_task(fail(), "poll")
    await until(lambda: bench.owner.faults)
    assert bench.owner.faults == ["task poll raised RuntimeError: no server"]
    await bench.life.end(StopReason.DELETED)


async def test_shared_objects_are_closed_with_the_last_and_their_faults_are_faults() -> None:
    bench = Bench()
    await bench.begin()
    thing = bench.plugin.host.shared("etcd", Closed)
    await bench.life.end(StopReason.DELETED)
    assert thing.times == 1
    assert bench.owner.faults == ["close of a shared object raised RuntimeError: cannot close"]


async def test_what_is_known_is_preloaded() -> None:
    bench = Bench()
    await bench.begin()
    bench.life.preload(100, LONG)
    await until(lambda: bench.owner.events)
    told = bench.owner.events[0]
    assert isinstance(told, TargetsEnumerated)
    assert told.pairs[0] == (WEB, ONE)
    await bench.life.end(StopReason.DELETED)


async def test_what_is_said_while_it_stops_takes_effect_and_after_close_nothing() -> None:
    class Probe(GoodProbe):
        api_version = 1

        async def stop(self, reason: StopReason) -> None:
            self.host.set_target(WEB, TWO)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    bench = Bench(Probe)
    await bench.begin()
    host = bench.plugin.host
    await bench.life.end(StopReason.DELETED)
    assert bench.owner.events == [TargetSet(OVERLAY, WEB, TWO)]
    host.set_target(WEB, ONE)
    assert bench.counts["ignored"] == 1


async def test_the_watchdog_makes_a_blocked_loop_a_fault() -> None:
    bench = Bench()
    bench.life.blocked_loop(3.21)
    assert bench.owner.faults == ["an operation blocked the event loop for 3.2 s"]
