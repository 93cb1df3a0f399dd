"""The six guarantees of the plugin contract, over the real guard, host and instance."""

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest
from structlog.testing import capture_logs

from support import probes
from support.instances import LOCAL, OVERLAY, VNETID, Stage, query, running
from support.probes import JUNK, NEIGHBOURS, ONE, ROUTER, ROUTER_IP, TWO, VALUES, WEB, WEB_IP
from support.waiting import until
from varpd.daemon.instance import InstanceFailed
from varpd.daemon.instance_settings import InstanceSettings
from varpd.daemon.watchdog import Watchdog
from varpd.engine.commands import Command, Install, StartDhcp, StartLookups, StartNeighbours
from varpd.engine.engine import Engine
from varpd.engine.events import (
    DEFERRED,
    Announced,
    DefaultTargetSet,
    Event,
    Failed,
    FramesPunted,
    InstanceStarted,
    InstanceStopped,
    Invalidated,
    LookupsAnswered,
    NeighbourQuestion,
    NeighboursAnswered,
    OverlayAdded,
    TargetsEnumerated,
    TargetSet,
)
from varpd.engine.settings import Mode, Settings, Totals
from varpd.provider import (
    DROP,
    PROXY_ARP,
    REFRESH,
    Drop,
    DynamicPlugin,
    MacAddress,
    Neighbour,
    PointPlugin,
    Property,
    PropertyInvalid,
    PropertyMissing,
    PropertyType,
    Query,
    Replicate,
    StopReason,
    Target,
    TargetInvalid,
    Unsupported,
)

UNKNOWN = MacAddress.parse("02:00:5e:00:53:99")


def macs(count: int) -> list[MacAddress]:
    return [MacAddress(b"\x02\x10" + number.to_bytes(4, "big")) for number in range(count)]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the log from being written: tracebacks read source files, which blocks."""
    with capture_logs():
        yield


# --- 1: never before start has returned, nor after stop was called


class SlowStartProbe(probes.GoodProbe):
    api_version = 1

    def __init__(self, host: Any, destination: Any) -> None:
        super().__init__(host, destination)
        self.go = asyncio.Event()

    async def start(self) -> None:
        await self.go.wait()
        await super().start()


async def test_nothing_is_asked_before_start_has_returned_nor_after_stop_was_called() -> None:
    stage = Stage(SlowStartProbe)
    async with asyncio.TaskGroup() as group:
        starting = group.create_task(stage.instance.start(VALUES))
        await until(lambda: stage.objects)
        early = stage.ask(query(WEB))
        stage.plugin.go.set()
    assert starting.done()
    assert isinstance(early[0], Failed)
    assert stage.plugin.calls == ["set_property", "set_property", "start", "save"]

    assert stage.ask(query(WEB)) == [ONE]
    await stage.instance.stop(StopReason.SHUTDOWN)
    late = stage.ask(query(WEB))

    assert isinstance(late[0], Failed)
    assert stage.plugin.calls[4:] == ["lookup", "save", "stop shutdown", "close"]


async def test_questions_outstanding_at_stop_are_dropped() -> None:
    async with running(probes.LateProbe) as stage:
        question = query(WEB)
        assert stage.ask(question) == [DEFERRED]
    assert isinstance(await stage.final(question), Failed)
    assert isinstance(stage.events[-2], InstanceStopped)


class FragileProbe(probes.GoodProbe):
    """Thinks for ever about everything, and panics when it is asked about UNKNOWN."""

    api_version = 1

    async def _think(self) -> Any:
        await asyncio.Event().wait()

    def lookup(self, query: Query) -> Any:
        return self.host.panic("enough") if query.key == UNKNOWN else self._think()

    def arp(self, address: Any) -> Any:
        return self._think()

    def dhcp(self, query: Query) -> Any:
        return self._think()


class FragileThreadProbe(probes.GoodProbe):
    """The same in threads."""

    api_version = 1
    blocking = True

    def __init__(self, host: Any, destination: Any) -> None:
        super().__init__(host, destination)
        self.woken = threading.Event()

    def _think(self) -> Any:
        self.woken.wait()
        return ONE

    def lookup(self, query: Query) -> Any:
        return self.host.panic("enough") if query.key == UNKNOWN else self._think()

    def arp(self, address: Any) -> Any:
        return self._think()

    def dhcp(self, query: Query) -> Any:
        return self._think()

    def close(self) -> None:
        self.woken.set()
        super().close()


async def ask_everything(stage: Stage) -> list[object]:
    """Ask one question of each sort; none is answered at once."""
    lookup, dhcp, neighbour = query(WEB), query(UNKNOWN), NeighbourQuestion(WEB_IP)
    stage.ask(lookup)
    stage.events += stage.instance.ask(StartDhcp(OVERLAY, [dhcp]))
    stage.events += stage.instance.ask(StartNeighbours(OVERLAY, [neighbour]))
    return [lookup, dhcp, neighbour]


@pytest.mark.parametrize("plugin", [FragileProbe, FragileThreadProbe])
async def test_every_question_outstanding_at_a_panic_has_one_final_answer(
    plugin: type[probes.GoodProbe],
) -> None:
    async with running(plugin) as stage:
        questions = await ask_everything(stage)
        deadly = query(UNKNOWN)
        stage.ask(deadly)
        await until(lambda: stage.events.count(InstanceStarted(OVERLAY)) == 2)
        for question in (*questions, deadly):
            assert isinstance(await stage.final(question), Failed)


@pytest.mark.parametrize("plugin", [FragileProbe, FragileThreadProbe])
@pytest.mark.parametrize("reason", StopReason)
async def test_every_question_outstanding_at_a_stop_has_one_final_answer(
    plugin: type[probes.GoodProbe], reason: StopReason
) -> None:
    async with running(plugin) as stage:
        questions = await ask_everything(stage)
        # Given up a moment before: it has its answer all the same, and only one.
        stage.cancel(questions[0])  # type: ignore[arg-type] # it is a Query
        await stage.instance.stop(reason)
        stopped = stage.events.index(InstanceStopped(OVERLAY))
        for question in questions:
            assert isinstance(await stage.final(question), Failed)
        assert len(stage.events) > stopped + 1


async def test_a_panic_gives_back_all_that_its_questions_took() -> None:
    async with running(FragileProbe) as stage:
        engine = Engine(Totals(), b"secret")
        taken = 0

        def turn(event: Event) -> None:
            for command in engine.handle(event, 1.0):
                if isinstance(command, StartLookups):
                    stage.events += stage.instance.ask(command)

        def catch_up() -> None:
            nonlocal taken
            while taken < len(stage.events):
                taken += 1
                turn(stage.events[taken - 1])

        turn(OverlayAdded(OVERLAY, SETTINGS))
        catch_up()
        frames = [query(mac).packet or b"" for mac in (*macs(5), UNKNOWN)]
        turn(FramesPunted(OVERLAY, frames[:5]))
        catch_up()
        assert engine.in_progress(OVERLAY) == 5

        turn(FramesPunted(OVERLAY, frames[5:]))
        await until(lambda: stage.events.count(InstanceStarted(OVERLAY)) == 2)
        catch_up()
        assert engine.in_progress(OVERLAY) == 0
        assert engine.waiting(OVERLAY) == 0


async def test_a_start_that_raises_is_followed_by_close_and_not_by_stop() -> None:
    stage = Stage(probes.FailingStartProbe)
    with pytest.raises(InstanceFailed, match="no server"):
        await stage.instance.start(VALUES)
    assert stage.plugin.calls == ["set_property", "set_property", "start", "close"]
    assert stage.events == []


async def test_a_start_that_takes_too_long_is_followed_by_close_and_not_by_stop() -> None:
    stage = Stage(SlowStartProbe, InstanceSettings(start_timeout=0.05))
    with pytest.raises(InstanceFailed, match="too long"):
        await stage.instance.start(VALUES)
    assert stage.plugin.calls == ["set_property", "set_property", "close"]


async def test_an_instance_that_is_stopped_while_it_starts_is_closed() -> None:
    stage = Stage(SlowStartProbe)

    async def start() -> None:
        with pytest.raises(InstanceFailed, match="stops"):
            await stage.instance.start(VALUES)

    async with asyncio.TaskGroup() as group:
        group.create_task(start())
        await until(lambda: stage.objects)
        await stage.instance.stop(StopReason.SHUTDOWN)
    assert stage.plugin.calls[-1] == "close"


async def test_a_start_names_every_missing_property() -> None:
    stage = Stage(probes.GoodProbe)
    with pytest.raises(PropertyMissing) as caught:
        await stage.instance.start({})
    assert caught.value.names == ("probe/site", "probe/shard")
    assert stage.plugin.calls == ["close"]


# --- 2: instances are independent, operations overlap


async def test_a_hanging_lookup_holds_up_nothing_else_of_its_instance() -> None:
    class Probe(probes.HangingProbe):
        api_version = 1

    async with running(Probe) as stage:
        question = query(WEB)
        assert stage.ask(question) == [DEFERRED]
        assert await stage.neighbour(WEB_IP) == Neighbour(WEB)
        await stage.instance.set_properties({"probe/weight": 5})
        assert stage.instance.get_property("probe/weight") == 5
        stage.cancel(question)
        assert isinstance(await stage.final(question), Failed)


async def test_a_plugin_that_sleeps_in_all_its_threads_costs_only_its_own_questions() -> None:
    async with running(probes.SleepingThreadProbe) as stuck, running(probes.ThreadedProbe) as well:
        questions = [query(WEB) for _ in range(20)]
        assert stuck.ask(*questions) == [DEFERRED] * 20
        assert await well.answer(query(ROUTER)) == TWO
        stuck.cancel(*questions)
        for question in questions:
            assert isinstance(await stuck.final(question), Failed)
        stuck.plugin.release.set()


async def test_stopping_does_not_wait_for_a_thread_that_sleeps_for_ever() -> None:
    settings = InstanceSettings(lookup_timeout=0.05)
    stage = Stage(probes.SleepingThreadProbe, settings)
    await stage.instance.start(VALUES)
    stage.ask(*(query(WEB) for _ in range(7)))
    async with asyncio.timeout(50):
        await stage.instance.stop(StopReason.SHUTDOWN)
    assert stage.plugin.calls[-1] == "close"
    stage.plugin.release.set()


async def test_the_operations_of_a_blocking_plugin_run_in_other_threads() -> None:
    async with running(probes.ThreadedProbe) as stage:
        assert await stage.answer(query(WEB)) == ONE
        assert threading.current_thread().name not in stage.plugin.calls


# --- 3: a plugin's fault stays the plugin's


@pytest.mark.parametrize("junk", JUNK, ids=repr)
async def test_an_answer_that_is_none_is_a_fault(junk: object) -> None:
    async with running(probes.junk_probe(junk)) as stage:
        assert isinstance(await stage.answer(query(WEB)), Failed)
        assert isinstance(await stage.neighbour(WEB_IP), Failed)
        assert isinstance(await stage.dhcp(query(WEB)), Failed)
        assert stage.faults == 3
        assert stage.causes == ["fault"]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        Drop(hold=-1),
        Drop(hold=float("nan")),
        Drop(hold=True),
        Drop(hold=3601),
        Drop(hold="1"),  # type: ignore[arg-type] # junk
        Replicate.to(Target()),
        Replicate([ONE]),  # type: ignore[arg-type] # junk
        Replicate((ONE,) * 5_000),
        ValueError("returned, not raised"),
        type,
    ],
    ids=repr,
)
async def test_rubbish_is_a_fault(answer: object) -> None:
    async with running(probes.junk_probe(answer)) as stage:
        assert isinstance(await stage.answer(query(WEB)), Failed)
        assert stage.faults == 1


class RaisesProbe(probes.GoodProbe):
    api_version = 1
    error: BaseException = RuntimeError("x")

    def lookup(self, query: Query) -> Any:
        if query.cause is REFRESH:
            return self._later()
        raise self.error

    async def _later(self) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [RuntimeError("x"), SystemExit(1), asyncio.CancelledError(), KeyError(WEB), GeneratorExit()],
    ids=repr,
)
async def test_whatever_an_operation_raises_is_a_fault_and_no_more(error: BaseException) -> None:
    class Probe(RaisesProbe):
        api_version = 1

    Probe.error = error
    async with running(Probe) as stage, running(probes.GoodProbe) as other:
        assert isinstance(await stage.answer(query(WEB)), Failed)
        assert isinstance(await stage.answer(query(WEB, REFRESH)), Failed)
        assert stage.faults == 2
        assert await other.answer(query(WEB)) == ONE
        assert other.causes == []


async def test_the_other_questions_of_a_batch_are_answered() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1

        def lookup(self, query: Query) -> Any:
            if query.key == UNKNOWN:
                raise RuntimeError("no idea")
            return super().lookup(query)

    async with running(Probe) as stage:
        answers = stage.ask(query(WEB), query(UNKNOWN), query(ROUTER))
        assert answers[0] == ONE
        assert isinstance(answers[1], Failed)
        assert answers[2] == TWO


async def test_a_proxy_answer_without_its_operation_is_a_fault() -> None:
    class Probe(DynamicPlugin):
        api_version = 1
        name = "bare"

        def lookup(self, query: Query) -> Any:
            return PROXY_ARP

    async with running(Probe, values={}) as stage:
        assert "arp()" in (await stage.answer(query(WEB))).reason
        assert stage.faults == 1


async def test_only_a_target_or_drop_answers_a_refresh() -> None:
    async with running(probes.junk_probe(Replicate.to(ONE))) as stage:
        assert await stage.answer(query(WEB)) == Replicate.to(ONE)
        assert isinstance(await stage.answer(query(WEB, REFRESH)), Failed)
    async with running(probes.GoodProbe) as stage:
        assert await stage.answer(query(WEB, REFRESH)) == ONE
        assert await stage.answer(query(UNKNOWN, REFRESH)) is DROP


async def test_a_future_of_another_loop_is_a_fault_that_says_so() -> None:
    async with running(probes.OtherLoopProbe) as stage:
        assert "another event loop" in (await stage.answer(query(WEB))).reason


async def test_awaitables_and_futures_answer_as_plain_answers_do() -> None:
    async with running(probes.AwaitableProbe) as stage:
        assert await stage.answer(query(WEB)) == ONE
    async with running(probes.FutureProbe) as stage:
        question = query(ROUTER)
        assert stage.ask(question) == [DEFERRED]
        stage.plugin.release()
        assert await stage.final(question) == TWO


async def test_a_future_that_is_done_already_answers_after_deferred() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1

        def lookup(self, query: Query) -> Any:
            done: concurrent.futures.Future[Any] = concurrent.futures.Future()
            done.set_result(ONE)
            return done

    async with running(Probe) as stage:
        question = query(WEB)
        assert stage.ask(question) == [DEFERRED]
        assert await stage.final(question) == ONE
        answered = [event for event in stage.events if isinstance(event, LookupsAnswered)]
        assert [event.answers for event in answered] == [[DEFERRED], [ONE]]


async def test_what_a_future_brings_too_late_is_thrown_away() -> None:
    async with running(probes.FutureProbe) as stage:
        question = query(WEB)
        stage.ask(question)
        stage.cancel(question)
        assert isinstance(await stage.final(question), Failed)
        stage.plugin.release()
        await until(lambda: stage.instance.counters["late_answers"])
        assert not stage.plugin.asked[0][1].cancelled()
        assert len(stage.answers(question)) == 1


async def test_an_operation_that_refuses_to_be_cancelled_is_answered_for() -> None:
    async with running(probes.StubbornProbe) as stage:
        question = query(WEB)
        stage.ask(question)
        await asyncio.sleep(0)
        stage.cancel(question)
        assert isinstance(await stage.final(question), Failed)


async def test_a_target_of_the_other_family_is_dropped_counted_and_named_once() -> None:
    v6 = Target(ip=ROUTER_IP, port=4789)
    with capture_logs() as logs:
        async with running(probes.junk_probe(v6)) as stage:
            assert stage.ask(query(WEB), query(WEB)) == [DROP, DROP]
            assert stage.faults == 0
            assert stage.instance.counters["other_family"] == 2
            with pytest.raises(TargetInvalid):
                stage.plugin.host.set_target(WEB, v6)
    assert len([line for line in logs if line.get("target") == str(v6)]) == 1


async def test_a_plugin_that_blocks_the_loop_is_found_and_named(blockbuster: Any) -> None:
    blockbuster.functions["time.sleep"].can_block_in("probes.py", {"lookup"})

    class Probe(probes.BlockingLoopProbe):
        api_version = 1
        seconds = 0.5

    watchdog = Watchdog(limit=0.1)
    watchdog.start()
    try:
        with capture_logs() as logs:
            async with running(Probe, watchdog=watchdog) as stage:
                assert stage.ask(query(WEB)) == [ONE]
                await until(lambda: stage.faults)
                assert "blocked the event loop" in stage.instance.causes[0].message
        assert any("in lookup" in str(line.get("stack")) for line in logs)
    finally:
        watchdog.stop()


async def test_a_save_that_fails_leaves_the_last_good_state() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1

        def save(self) -> Any:
            weight = self.get_property("probe/weight")
            if weight == 2:
                raise RuntimeError("disk")
            return {"weight": weight} if weight != 3 else ["no object"]

    async with running(Probe) as stage:
        assert stage.instance.saved_state == {"weight": 1}
        for weight in (2, 3):
            await stage.instance.set_properties({"probe/weight": weight})
            assert stage.instance.saved_state == {"weight": 1}
            assert "save" in stage.causes
        await stage.instance.set_properties({"probe/weight": 4})
        assert stage.instance.saved_state == {"weight": 4}
        assert "save" not in stage.causes


# --- 3, panic


@pytest.mark.parametrize("plugin", [probes.PanickingProbe, probes.PanickingThreadProbe])
async def test_an_instance_that_panics_is_ended_and_restored(
    plugin: type[probes.GoodProbe],
) -> None:
    async with running(plugin, values={**VALUES, "probe/weight": 9}) as stage:
        first = stage.plugin
        stage.ask(query(WEB))
        await until(
            lambda: len(stage.objects) == 2 and stage.events.count(InstanceStarted(OVERLAY)) == 2
        )
        assert first.calls[-2:] == ["stop fault", "close"]
        assert first.calls.count("save") == 1
        assert stage.events.index(InstanceStopped(OVERLAY)) < len(stage.events) - 1
        assert stage.plugin.get_property("probe/weight") == 9
        await until(lambda: "panic" not in stage.causes)


async def test_a_panic_in_the_constructor_fails_the_start() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1

        def __init__(self, host: Any, destination: Any) -> None:
            super().__init__(host, destination)
            try:
                host.panic("born dead")
            except BaseException:
                return

    stage = Stage(Probe)
    with pytest.raises(InstanceFailed, match="born dead"):
        await stage.instance.start(VALUES)
    assert stage.plugin.calls == ["close"]


async def test_after_a_panic_questions_fail_until_the_restart() -> None:
    settings = InstanceSettings(restart_min=1_000, restart_max=1_000)
    async with running(probes.PanickingProbe, settings) as stage:
        stage.ask(query(WEB))
        assert stage.causes == ["panic"]
        assert isinstance(stage.ask(query(WEB))[0], Failed)
        assert stage.plugin.calls.count("lookup") == 0
        await stage.instance.set_properties({"probe/weight": 3})
        assert len(stage.objects) == 2
        assert stage.plugin.get_property("probe/weight") == 3


# --- 4: nothing old is installed after something newer


SETTINGS = Settings(
    vnetid=VNETID,
    mode=Mode.DYNAMIC,
    kinds=probes.VXLAN,
    headroom=0,
    listen_ip=LOCAL.ip,
    listen_port=LOCAL.port,
)

NEWER: list[Callable[[Any], object]] = [
    lambda host: host.invalidate(WEB),
    lambda host: host.set_target(WEB, TWO),
]


@pytest.mark.parametrize("newer", NEWER)
async def test_an_answer_asked_for_before_something_newer_is_never_installed_after_it(
    newer: Callable[[Any], object],
) -> None:
    async with running(probes.FutureProbe) as stage:
        engine = Engine(Totals(), b"secret")
        taken = 0

        def turn(event: Event) -> list[Command]:
            commands = engine.handle(event, 1.0)
            for command in commands:
                if isinstance(command, StartLookups):
                    stage.events += stage.instance.ask(command)
            return commands

        def turn_all() -> list[Command]:
            nonlocal taken
            commands: list[Command] = []
            while taken < len(stage.events):
                taken += 1
                commands += turn(stage.events[taken - 1])
            return commands

        turn(OverlayAdded(OVERLAY, SETTINGS))
        turn_all()
        turn(FramesPunted(OVERLAY, [query(WEB).packet or b""]))
        turn_all()
        old = stage.plugin.asked.copy()
        assert len(old) == 1

        newer(stage.plugin.host)
        await until(lambda: isinstance(stage.events[-1], Invalidated | TargetSet))
        turn_all()
        old[0][1].set_result(ONE)
        await until(lambda: stage.answers(old[0][0]))
        after = turn_all()

        assert not [item for item in after if isinstance(item, Install) and item.target == ONE]
        assert all(view.targets != (ONE,) for view in engine.entries(OVERLAY))


# --- 5: validated before, all or none


async def test_a_refused_value_changes_nothing_and_several_are_set_all_or_none() -> None:
    async with running(probes.GoodProbe) as stage:
        with pytest.raises(PropertyInvalid):
            await stage.instance.set_properties({"probe/weight": 1_000})
        with pytest.raises(PropertyInvalid, match="no such site"):
            await stage.instance.set_properties({"probe/weight": 50, "probe/site": "nowhere"})
        assert stage.plugin.get_property("probe/weight") == 1
        assert stage.plugin.get_property("probe/site") == "north"
        assert stage.instance.values == VALUES
        with pytest.raises(PropertyMissing):
            await stage.instance.set_properties({"probe/site": None})
        await stage.instance.set_properties({"probe/weight": 50, "probe/site": "south"})
        assert stage.instance.values == {**VALUES, "probe/weight": 50, "probe/site": "south"}
        await stage.instance.set_properties({"probe/weight": None})
        assert stage.instance.get_property("probe/weight") == 1


# --- 6: order


async def test_what_an_operation_says_comes_before_its_answer() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1

        def arp(self, address: Any) -> Any:
            self.host.set_target(WEB, TWO)
            return NEIGHBOURS[address]

    async with running(Probe) as stage:
        await stage.neighbour(WEB_IP)
        assert isinstance(stage.events[-1], NeighboursAnswered)
        assert stage.events[-2] == TargetSet(OVERLAY, WEB, TWO)


class ThreadedSayingProbe(probes.GoodProbe):
    api_version = 1
    blocking = True

    def lookup(self, query: Query) -> Any:
        for number in range(100):
            self.host.set_target(macs(100)[number], ONE)
        return ONE


class TaskSayingProbe(probes.GoodProbe):
    api_version = 1

    async def lookup(self, query: Query) -> Any:
        for number in range(100):
            self.host.set_target(macs(100)[number], ONE)
            await asyncio.sleep(0)
        return ONE


class MuchSayingProbe(probes.GoodProbe):
    api_version = 1

    def lookup(self, query: Query) -> Any:
        for mac in macs(100):
            self.host.set_target(mac, ONE)
            self.host.inject_arp(mac, WEB_IP)
            self.host.invalidate(mac)
            self.host.inject_arp(mac, WEB_IP)
        return ONE


@pytest.mark.parametrize("plugin", [ThreadedSayingProbe, TaskSayingProbe, MuchSayingProbe])
async def test_the_answer_comes_behind_all_that_the_same_thread_said(
    plugin: type[probes.GoodProbe],
) -> None:
    async with running(plugin) as stage:
        question = query(WEB)
        assert await stage.answer(question) == ONE
        last = stage.events[-1]
        assert isinstance(last, LookupsAnswered)
        assert last.answers == [ONE]
        said = {event.mac for event in stage.events if isinstance(event, TargetSet)}
        assert said == set(macs(100))


async def test_what_is_said_before_start_has_returned_takes_effect_then() -> None:
    class Probe(SlowStartProbe):
        api_version = 1

        def __init__(self, host: Any, destination: Any) -> None:
            super().__init__(host, destination)
            host.set_target(WEB, TWO)
            host.invalidate(ROUTER)
            host.inject_arp(WEB, WEB_IP)
            host.degrade("not yet well")

    stage = Stage(Probe)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.instance.start(VALUES))
        await until(lambda: stage.objects)
        assert stage.events == []
        stage.plugin.go.set()
    await until(lambda: stage.causes)
    assert stage.causes == ["plugin"]
    assert stage.events == [
        InstanceStarted(OVERLAY),
        TargetSet(OVERLAY, WEB, TWO),
        Invalidated(OVERLAY, ROUTER),
        Announced(OVERLAY, WEB, WEB_IP, None, None),
    ]
    await stage.instance.stop(StopReason.DELETED)


async def test_what_is_said_after_close_is_ignored_and_counted() -> None:
    async with running(probes.GoodProbe) as stage:
        host = stage.plugin.host
    before = list(stage.events)
    host.set_target(WEB, TWO)
    host.degrade("too late")
    assert stage.events == before
    assert stage.instance.counters["ignored"] == 2


async def test_eight_threads_that_say_much_lose_nothing_of_the_last_word() -> None:
    async with running(probes.GoodProbe) as stage:
        host = stage.plugin.host
        mine = macs(8)

        def say(number: int) -> None:
            for turn in range(2_000):
                host.set_target(mine[number], ONE if turn % 2 else TWO)
                if turn % 100 == 0:
                    host.inject_arp(mine[number], WEB_IP)
                    host.degrade(f"{number} {turn}")
            host.invalidate(mine[number])

        threads = [threading.Thread(target=say, args=(number,)) for number in range(8)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for thread in threads:
                thread.start()
            await until(lambda: not any(thread.is_alive() for thread in threads))
        finally:
            sys.setswitchinterval(interval)

        def last(mac: bytes) -> object:
            about = [
                e for e in stage.events if isinstance(e, TargetSet | Invalidated) and e.mac == mac
            ]
            return about[-1] if about else None

        await until(lambda: all(last(mac) == Invalidated(OVERLAY, mac) for mac in mine))
        announced = [event for event in stage.events if isinstance(event, Announced)]
        assert len(announced) == 8 * 20
        assert stage.instance.counters["lost"] == 0


SAYINGS: list[Callable[[Any], object]] = [
    lambda host: host.set_target(WEB, ONE),
    lambda host: host.invalidate(WEB),
    lambda host: host.inject_arp(WEB, WEB_IP, vlan=7, destination=ROUTER),
    lambda host: host.degrade("so so"),
    lambda host: host.restore(),
    lambda host: host.save_soon(),
    lambda host: host.shared("key", Shared),
    lambda host: host.log.info("said"),
    lambda host: host.start_task(asyncio.sleep(0), "nap"),
    lambda host: (host.overlay, host.vnetid, host.encapsulation, host.local),
]


class Shared:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class TalkativeProbe(probes.GoodProbe):
    """Says everything that can be said from inside every operation."""

    api_version = 1

    def say(self) -> None:
        for saying in SAYINGS:
            saying(self.host)

    def __init__(self, host: Any, destination: Any) -> None:
        super().__init__(host, destination)
        self.say()

    def set_property(self, name: str, value: Any) -> Any:
        self.say()
        return super().set_property(name, value)

    def get_property(self, name: str) -> Any:
        self.say()
        return super().get_property(name)

    async def start(self) -> None:
        self.say()
        await super().start()

    async def stop(self, reason: StopReason) -> None:
        self.say()

    def close(self) -> None:
        self.say()

    def save(self) -> Any:
        for saying in SAYINGS:
            if "save_soon" not in saying.__code__.co_names:
                saying(self.host)
        return super().save()

    def lookup(self, query: Query) -> Any:
        self.say()
        return super().lookup(query)

    def arp(self, address: Any) -> Any:
        self.say()
        return super().arp(address)

    def dhcp(self, query: Query) -> Any:
        self.say()
        return super().dhcp(query)

    def enumerate(self) -> Any:
        self.say()
        yield from probes.KNOWN.items()

    async def reload(self) -> None:
        self.say()


class TalkativeThreadsProbe(TalkativeProbe):
    api_version = 1
    blocking = True


@pytest.mark.parametrize("plugin", [TalkativeProbe, TalkativeThreadsProbe])
async def test_everything_may_be_said_from_inside_every_operation(
    plugin: type[probes.GoodProbe],
) -> None:
    async with running(plugin, InstanceSettings(preload=True)) as stage:
        await until(lambda: any(isinstance(event, TargetsEnumerated) for event in stage.events))
        assert await stage.answer(query(WEB)) == ONE
        assert await stage.neighbour(WEB_IP) == Neighbour(WEB)
        assert await stage.dhcp(query(WEB)) == ROUTER
        await stage.instance.set_properties({"probe/weight": 2})
        await stage.instance.reload()
        host = stage.plugin.host
        assert (host.overlay, host.vnetid, host.encapsulation, host.local) == (
            OVERLAY,
            77,
            "vxlan",
            LOCAL,
        )
        shared = host.shared("key", Shared)
    assert shared.closed == 1
    assert stage.faults == 0


async def test_bad_arguments_raise_in_the_caller() -> None:
    async with running(probes.GoodProbe) as stage:
        host = stage.plugin.host
        bads: tuple[Callable[[], object], ...] = (
            lambda: host.set_target(b"short", ONE),
            lambda: host.set_target(b"\xff" * 6, ONE),
            lambda: host.set_target(WEB, Target(ip=ONE.ip)),
            lambda: host.invalidate("02:00:5e:00:53:11"),
            lambda: host.inject_arp(WEB, "10.0.0.1"),
            lambda: host.inject_arp(WEB, WEB_IP, vlan=4095),
            lambda: host.degrade(""),
            lambda: host.start_task(lambda: None, "no coroutine"),
            lambda: host.shared("", Shared),
        )
        for bad in bads:
            with pytest.raises(ValueError):  # noqa: PT011 - the type is what is promised
                bad()
        assert stage.faults == 0


async def test_a_degradation_is_cut_to_255_bytes_at_a_character() -> None:
    async with running(probes.GoodProbe) as stage:
        stage.plugin.host.degrade("ü" * 200)
        await until(lambda: stage.causes)
        assert stage.instance.causes[0].message == "ü" * 127
        stage.plugin.host.restore()
        await until(lambda: not stage.causes)


# --- POINT


class SwitchingPoint(PointPlugin):
    api_version = 1
    name = "point"
    answer: Any = ONE

    @classmethod
    def properties(cls, destination: Any) -> Any:
        return (Property("point/to", PropertyType.IP),)

    def default(self) -> Any:
        to = self.get_property("point/to")
        if to == IPv4Address("0.0.0.0"):
            return DROP
        return ONE if to is None else Target(ip=to, port=4789)  # type: ignore[arg-type] # an address


async def test_a_point_plugin_is_asked_after_start_and_after_every_accepted_property() -> None:
    async with running(SwitchingPoint, values={}) as stage:
        assert stage.instance.default_target == ONE
        await stage.instance.set_properties({"point/to": TWO.ip})
        assert stage.instance.default_target == TWO
        await stage.instance.set_properties({"point/to": IPv4Address("0.0.0.0")})
        assert stage.instance.default_target == TWO
        assert stage.causes == ["start"]
        await stage.instance.set_properties({"point/to": None})
        assert stage.causes == []
        targets = [event.target for event in stage.events if isinstance(event, DefaultTargetSet)]
        assert targets == [ONE, TWO, ONE]
        with pytest.raises(Unsupported):
            stage.plugin.host.set_target(WEB, ONE)
        with pytest.raises(Unsupported):
            stage.plugin.host.invalidate(WEB)


async def test_a_point_plugin_without_a_destination_is_refused() -> None:
    stage = Stage(SwitchingPoint)
    with pytest.raises(InstanceFailed, match="no destination"):
        await stage.instance.start({"point/to": IPv4Address("0.0.0.0")})


# --- save and restore


async def test_what_was_saved_is_restored_and_the_store_is_the_truth_for_properties() -> None:
    async with running(probes.GoodProbe, values={**VALUES, "probe/weight": 9}) as stage:
        state = stage.instance.saved_state
    assert state == {"probe/site": "north", "probe/shard": 7, "probe/weight": 9}

    again = Stage(probes.GoodProbe)
    await again.instance.start({**VALUES, "probe/site": "south"}, state)
    assert again.plugin.get_property("probe/site") == "south"
    assert again.plugin.get_property("probe/weight") == 1
    assert again.ask(query(WEB)) == [ONE]
    await again.instance.stop(StopReason.SHUTDOWN)


async def test_a_restore_that_raises_fails_the_start_and_keeps_the_state() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1

        @classmethod
        def restore(cls, state: Any, host: Any, destination: Any) -> Any:
            raise RuntimeError("not my state")

    stage = Stage(Probe)
    with pytest.raises(InstanceFailed, match="not my state"):
        await stage.instance.start(VALUES, {"version": 2})
    assert stage.instance.saved_state == {"version": 2}
