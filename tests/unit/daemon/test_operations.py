"""The operations of a plugin's object that are no questions."""

import asyncio
import concurrent.futures
from collections import Counter
from typing import Any

import pytest

from support.instances import LOCAL, OVERLAY
from support.owner import Listener
from support.probes import ONE, ROUTER_IP, VXLAN, GoodProbe, PointProbe
from varpd.daemon.calls import Caller, OperationFailed
from varpd.daemon.guard import STOPPED
from varpd.daemon.host import InstanceHost, Place
from varpd.daemon.mailbox import Mailbox
from varpd.daemon.operations import Operations
from varpd.daemon.shared import SharedObjects
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.engine.events import Failed
from varpd.provider import (
    DROP,
    PROXY_ARP,
    REFRESH,
    DestinationKind,
    Panic,
    Plugin,
    Property,
    PropertyInvalid,
    PropertyType,
    Query,
    StopReason,
    Target,
    Unsupported,
    Value,
)
from varpd.provider.judge import Judge, Operation

LONG = 100.0


class Bench:
    def __init__(self, plugin: type[Plugin]) -> None:
        counts: Counter[str] = Counter()
        self.owner = Listener()
        box = Mailbox(lambda: None, counts)
        place = Place(plugin, OVERLAY, 77, "vxlan", VXLAN, LOCAL)
        caller = Caller(Tasks(), Watchdog(), self.owner, self.owner, blocking=False)
        judge = Judge(plugin, VXLAN, 4, lambda _: None, counts)
        self.host = InstanceHost(place, box, SharedObjects(), lambda *_: None)
        self.do = Operations(place, caller, judge, box, self.owner)

    def make(self, state: Any = None) -> Any:
        self.do.make(self.host, state)
        return self.do.plugin


async def test_without_a_state_the_constructor_makes_the_object_else_restore() -> None:
    bench = Bench(GoodProbe)
    assert bench.make().get_property("probe/weight") == 1
    state = {"probe/weight": 9}
    assert bench.make(state).get_property("probe/weight") == 9


async def test_restore_gets_a_copy_that_it_may_change() -> None:
    class Probe(GoodProbe):
        api_version = 1

        @classmethod
        def restore(cls, state: Any, host: Any, destination: Any) -> Any:
            state["list"].clear()
            return cls(host, destination)

    state = {"list": [1]}
    Bench(Probe).make(state)
    assert state == {"list": [1]}


async def test_a_restore_that_makes_something_else_is_a_fault() -> None:
    class Probe(GoodProbe):
        api_version = 1

        @classmethod
        def restore(cls, state: Any, host: Any, destination: Any) -> Any:
            return None

    bench = Bench(Probe)
    with pytest.raises(OperationFailed, match="restore returned NoneType"):
        bench.make({})
    assert len(bench.owner.faults) == 1


async def test_a_refusing_constructor_goes_through() -> None:
    class Probe(GoodProbe):
        api_version = 1
        supplies = ()

    with pytest.raises(Unsupported, match="IP\\+PORT"):
        Bench(Probe).make()


async def test_after_a_restore_properties_are_what_the_store_says() -> None:
    bench = Bench(GoodProbe)
    plugin = bench.make({"probe/site": "north", "probe/weight": 9})
    await bench.do.make_values({"probe/site": "south"}, LONG, restored=True)
    assert plugin.get_property("probe/site") == "south"
    assert plugin.get_property("probe/weight") == 1
    calls = len(plugin.calls)
    await bench.do.make_values({"probe/site": "south"}, LONG, restored=True)
    assert len(plugin.calls) == calls


class Stubborn(GoodProbe):
    api_version = 1

    def set_property(self, name: str, value: Any) -> Any:
        if value == 13:
            super().set_property(name, value)
            raise RuntimeError("half done")
        if value == 14:
            return self._later(name, value)
        return super().set_property(name, value)

    async def _later(self, name: str, value: Any) -> None:
        raise PropertyInvalid(name, value, "not fourteen")


@pytest.mark.parametrize(
    ("value", "error"), [(13, OperationFailed), (14, PropertyInvalid)], ids=["fails", "refuses"]
)
async def test_several_properties_are_set_all_or_none(value: int, error: type[Exception]) -> None:
    bench = Bench(Stubborn)
    plugin = bench.make()
    await bench.do.set_property("probe/site", "north", LONG)
    with pytest.raises(error):
        await bench.do.set_all(
            {"probe/site": "south", "probe/shard": value}, {"probe/site": "north"}, LONG
        )
    assert plugin.get_property("probe/site") == "north"
    assert plugin.get_property("probe/shard") is None
    # North, south, north again; and the one that failed half done, set and taken back.
    assert plugin.calls.count("set_property") == (5 if error is OperationFailed else 3)


async def test_default_is_a_target_or_nowhere_and_anything_else_a_fault() -> None:
    class Probe(PointProbe):
        api_version = 1
        answer: Any = ONE

        def default(self) -> Any:
            return self.answer

    bench = Bench(Probe)
    plugin = bench.make()
    assert await bench.do.default(LONG) == ONE
    for nowhere in (DROP, Target(ip=ROUTER_IP, port=4789)):
        plugin.answer = nowhere
        assert await bench.do.default(LONG) is None
    plugin.answer = "192.0.2.1"
    with pytest.raises(OperationFailed, match="bad target"):
        await bench.do.default(LONG)
    assert len(bench.owner.faults) == 1


async def test_a_save_that_is_no_json_object_is_a_fault() -> None:
    class Probe(GoodProbe):
        api_version = 1
        saved: Any = None

        def save(self) -> Any:
            return self.saved

    bench = Bench(Probe)
    plugin = bench.make()
    plugin.saved = {"a": [1]}
    state = await bench.do.save(LONG)
    plugin.saved["a"].append(2)
    assert state == {"a": [1]}
    for bad in (None, {"a": object()}, {"a": "x" * 2_000_000}):
        plugin.saved = bad
        with pytest.raises(OperationFailed, match="save"):
            await bench.do.save(LONG)
    assert len(bench.owner.faults) == 3


async def test_a_swallowed_panic_fails_the_operation() -> None:
    class Probe(GoodProbe):
        api_version = 1

        def save(self) -> Any:
            try:
                self.host.panic("enough")
            except Panic:
                return {}

    bench = Bench(Probe)
    bench.make()
    with pytest.raises(OperationFailed, match="enough"):
        await bench.do.save(LONG)
    assert bench.owner.panics


async def test_stop_and_close_raise_nothing_and_close_comes_once() -> None:
    class Probe(GoodProbe):
        api_version = 1

        async def stop(self, reason: StopReason) -> None:
            raise Unsupported("will not")

        def close(self) -> None:
            super().close()
            raise RuntimeError("cannot")

    bench = Bench(Probe)
    plugin = bench.make()
    await bench.do.stop(StopReason.DELETED)
    await bench.do.close()
    await bench.do.close()
    assert plugin.calls == ["close"]
    assert bench.owner.faults == [
        "stop raised Unsupported: will not",
        "close raised RuntimeError: cannot",
    ]


async def test_a_secret_that_the_plugin_refuses_is_not_in_the_error() -> None:
    class Guarded(GoodProbe):
        api_version = 1

        @classmethod
        def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
            return (Property("probe/key", PropertyType.STRING, secret=True),)

        def set_property(self, name: str, value: Value | None) -> None:
            raise PropertyInvalid(name, value, "too short")

    bench = Bench(Guarded)
    bench.make()
    with pytest.raises(PropertyInvalid, match="too short") as caught:
        await bench.do.set_property("probe/key", "sesame", LONG)
    assert "sesame" not in str(caught.value)


class Asked(GoodProbe):
    """Answers a lookup in the way that its MAC asks for."""

    api_version = 1

    def lookup(self, query: Query) -> Any:
        async def later() -> Target:
            return ONE

        async def never() -> None:
            await asyncio.Event().wait()

        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        match query.dst[5]:
            case 1:
                return ONE
            case 2:
                return later()
            case 3:
                future.set_result(DROP)
                return future
            case 4:
                future.set_exception(KeyError("gone"))
                return future
            case 5:
                return never()
            case 6:
                return PROXY_ARP
            case _:
                raise Unsupported("not that one")


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, ONE),
        (2, ONE),
        (3, DROP),
        (4, Failed("lookup raised KeyError: 'gone'")),
        (5, Failed("lookup took too long")),
        (7, Failed("not that one")),
    ],
)
async def test_a_plugin_can_be_asked_without_anything_following_from_it(
    number: int, answer: object
) -> None:
    bench = Bench(Asked)
    bench.make()
    query = Query(bytes([2, 0, 0, 0, 0, number]), 7, None, 0, REFRESH)
    timeout = 0.05 if number == 5 else LONG
    assert await bench.do.probe(Operation.LOOKUP, query, timeout) == answer


async def test_an_answer_that_is_none_to_a_question_of_varpds_own_is_a_failure() -> None:
    bench = Bench(Asked)
    bench.make()
    query = Query(bytes([2, 0, 0, 0, 0, 6]), 7, None, 0, REFRESH)
    assert isinstance(await bench.do.probe(Operation.LOOKUP, query, LONG), Failed)


async def test_a_point_plugin_is_asked_nothing() -> None:
    bench = Bench(PointProbe)
    bench.make()
    query = Query(bytes(6), 7, None, 0, REFRESH)
    assert await bench.do.probe(Operation.LOOKUP, query, LONG) == STOPPED
