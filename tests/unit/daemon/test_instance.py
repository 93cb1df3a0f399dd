"""Instances: properties, panics and restarts, reload, the end."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from support import probes
from support.instances import OVERLAY, SOON, Stage, query, running
from support.probes import KNOWN, ONE, VALUES, WEB
from support.waiting import until
from varpd.daemon.degradation import CauseKind
from varpd.daemon.instance import InstanceFailed
from varpd.daemon.instance_settings import InstanceSettings
from varpd.engine.events import Failed, InstanceStarted, InstanceStopped, TargetsEnumerated
from varpd.provider import (
    NotLive,
    Panic,
    Property,
    PropertyInvalid,
    PropertyType,
    PropertyUnknown,
    StopReason,
    Unsupported,
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[list[Any]]:
    """Keep the log from being written: tracebacks read source files, which blocks."""
    with capture_logs() as logs:
        yield logs


async def test_a_value_that_the_plugin_would_never_see_is_refused_before_anything_is_made() -> None:
    stage = Stage(probes.GoodProbe)
    with pytest.raises(PropertyUnknown):
        await stage.instance.start({**VALUES, "probe/colour": "blue"})
    with pytest.raises(PropertyInvalid):
        await stage.instance.start({**VALUES, "probe/weight": 0})
    assert stage.objects == []


async def test_after_a_refusal_the_instance_may_be_started_again() -> None:
    stage = Stage(probes.GoodProbe)
    with pytest.raises(PropertyInvalid):
        await stage.instance.start({**VALUES, "probe/site": "nowhere"})
    await stage.instance.start(VALUES)
    with pytest.raises(ValueError, match="already"):
        await stage.instance.start(VALUES)
    await stage.instance.stop(StopReason.DELETED)
    await stage.instance.stop(StopReason.DELETED)
    assert [first.calls[-1] for first in stage.objects] == ["close", "close"]
    assert stage.events == [InstanceStarted(OVERLAY), InstanceStopped(OVERLAY)]
    with pytest.raises(InstanceFailed, match="stopped"):
        await stage.instance.start(VALUES)


async def test_properties_are_read_from_the_plugin_and_else_from_what_was_set() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1
        broken = False

        def get_property(self, name: str) -> Any:
            if self.broken:
                raise RuntimeError("x")
            return 42 if name == "probe/weight" else super().get_property(name)

    stage = Stage(Probe)
    assert stage.instance.get_property("probe/weight") == 1
    await stage.instance.start(VALUES)
    assert stage.instance.get_property("probe/weight") == 42
    stage.plugin.broken = True
    assert stage.instance.get_property("probe/site") == "north"
    with pytest.raises(PropertyUnknown):
        stage.instance.get_property("probe/colour")
    await stage.instance.stop(StopReason.DELETED)
    assert stage.instance.get_property("probe/site") == "north"


async def test_what_is_not_live_is_refused_after_the_start() -> None:
    class Probe(probes.PointProbe):
        api_version = 1

        @classmethod
        def properties(cls, destination: Any) -> tuple[Property, ...]:
            return (Property("point/id", PropertyType.UINT, live=False),)

    async with running(Probe, values={"point/id": 1}) as stage:
        with pytest.raises(NotLive):
            await stage.instance.set_properties({"point/id": 2})


async def test_properties_of_an_instance_that_is_not_at_work_cannot_be_set() -> None:
    stage = Stage(probes.GoodProbe)
    with pytest.raises(InstanceFailed):
        await stage.instance.set_properties({"probe/weight": 2})


async def test_a_stop_does_not_wait_for_a_property_that_is_never_done() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1

        def set_property(self, name: str, value: Any) -> Any:
            return asyncio.Event().wait() if value == 66 else super().set_property(name, value)

    stage = Stage(Probe)
    await stage.instance.start(VALUES)

    async def set_it() -> None:
        with pytest.raises(InstanceFailed):
            await stage.instance.set_properties({"probe/weight": 66})

    async with asyncio.TaskGroup() as group:
        group.create_task(set_it())
        await asyncio.sleep(0)
        await stage.instance.stop(StopReason.SHUTDOWN)
    assert stage.plugin.calls[-2:] == ["stop shutdown", "close"]


async def test_a_panic_gives_up_a_property_that_is_never_done() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1

        def set_property(self, name: str, value: Any) -> Any:
            return asyncio.Event().wait() if value == 66 else super().set_property(name, value)

        async def lookup(self, query: Any) -> Any:
            self.host.panic("enough")

    async with running(Probe) as stage:

        async def set_it() -> None:
            with pytest.raises(InstanceFailed):
                await stage.instance.set_properties({"probe/weight": 66})

        async with asyncio.TaskGroup() as group:
            group.create_task(set_it())
            await asyncio.sleep(0)
            stage.ask(query(WEB))
        await until(lambda: stage.events.count(InstanceStarted(OVERLAY)) == 2)
        assert stage.plugin.get_property("probe/weight") == 1


class Mortal(probes.GoodProbe):
    """Panics when it is told to; the class says what the next object does."""

    api_version = 1
    born_dead = 0

    def __init__(self, host: Any, destination: Any) -> None:
        super().__init__(host, destination)
        if Mortal.born_dead:
            Mortal.born_dead -= 1
            raise ConnectionError("no server")

    def lookup(self, query: Any) -> Any:
        return self.host.panic("enough") if query.key != WEB else ONE


DEADLY = query(b"\x02\x00\x00\x00\x00\x99")


async def test_restarts_are_tried_until_one_works_and_the_causes_say_why() -> None:
    async with running(Mortal) as stage:
        Mortal.born_dead = 3
        stage.ask(DEADLY)
        await until(lambda: "restore" in stage.causes)
        assert stage.causes[:2] == ["panic", "restore"]
        await until(lambda: stage.events.count(InstanceStarted(OVERLAY)) == 2)
        assert len(stage.objects) == 5
        assert not {"panic", "restore"} & set(stage.causes)
        assert stage.ask(query(WEB)) == [ONE]
        assert stage.instance.counters["panics"] == 1


async def test_a_stop_while_it_is_down_ends_the_waiting() -> None:
    stage = Stage(Mortal, InstanceSettings(restart_min=1_000, restart_max=1_000))
    await stage.instance.start(VALUES)
    stage.ask(DEADLY)
    await until(lambda: "close" in stage.plugin.calls)
    await stage.instance.stop(StopReason.SHUTDOWN)
    assert len(stage.objects) == 1
    assert stage.plugin.calls.count("stop fault") == 1
    assert stage.events.count(InstanceStopped(OVERLAY)) == 1
    assert len(stage.tasks) == 0


async def test_a_value_that_does_not_help_an_instance_that_is_down_changes_nothing() -> None:
    settings = InstanceSettings(restart_min=1_000, restart_max=1_000)
    async with running(Mortal, settings) as stage:
        stage.ask(DEADLY)
        with pytest.raises(PropertyInvalid):
            await stage.instance.set_properties({"probe/site": "nowhere"})
        assert stage.instance.values == VALUES
        await stage.instance.set_properties({"probe/site": "south"})
        assert stage.ask(query(WEB)) == [ONE]


async def test_a_panic_is_logged_with_its_stack_and_what_came_before(quiet: list[Any]) -> None:
    async with running(Mortal) as stage:
        stage.instance.fault("a time-out")
        stage.ask(DEADLY)
        line = next(line for line in quiet if line["event"] == "panic")
        assert line["message"] == "enough"
        assert "in lookup" in line["stack"]
        assert line["before"] == ["a time-out"]


async def test_a_panic_is_logged_once_even_if_the_plugin_goes_on_to_speak(quiet: list[Any]) -> None:
    class Talkative(Mortal):
        api_version = 1

        async def stop(self, reason: StopReason) -> None:
            self.host.degrade("I told you so")
            await asyncio.sleep(0)
            await super().stop(reason)

    async with running(Talkative) as stage:
        stage.ask(DEADLY)
        await until(lambda: stage.events.count(InstanceStarted(OVERLAY)) == 2)
    assert len([line for line in quiet if "panic" in line["event"]]) == 1
    assert stage.instance.counters["panics"] == 1


async def test_a_panic_at_the_start_is_logged_with_its_stack(quiet: list[Any]) -> None:
    class Stillborn(probes.GoodProbe):
        api_version = 1

        async def start(self) -> None:
            self.host.panic("enough")

    with pytest.raises(InstanceFailed, match="enough"):
        await Stage(Stillborn).instance.start(VALUES)
    (line,) = [line for line in quiet if line["event"] == "panic"]
    assert "in start" in line["stack"]


async def test_reload_and_start_preload_what_is_known() -> None:
    async with running(probes.GoodProbe, InstanceSettings(preload=True)) as stage:
        await until(lambda: isinstance(stage.events[-1], TargetsEnumerated))
        await stage.instance.reload()
        await until(lambda: len([e for e in stage.events if isinstance(e, TargetsEnumerated)]) == 2)
        assert stage.events[-1] == TargetsEnumerated(OVERLAY, list(KNOWN.items()))
        stage.instance.configure(SOON)
        await stage.instance.reload()
        assert stage.faults == 0


async def test_a_reload_that_fails_is_a_fault_whatever_it_raises() -> None:
    class Probe(probes.GoodProbe):
        api_version = 1
        error: Exception = RuntimeError("x")

        async def reload(self) -> None:
            raise self.error

    async with running(Probe) as stage:
        await stage.instance.reload()
        stage.plugin.error = Unsupported("x")
        await stage.instance.reload()
        assert stage.faults == 2
    await stage.instance.reload()


async def test_varpd_itself_may_say_why_it_works_badly() -> None:
    async with running(probes.GoodProbe) as stage:
        stage.instance.degrade(CauseKind.DATAPATH, "a firewall drops frames")
        assert stage.causes == ["datapath"]
        stage.plugin.host.restore()
        await asyncio.sleep(0)
        assert stage.causes == ["datapath"]
        stage.instance.clear(CauseKind.DATAPATH)
        assert stage.causes == []
        assert stage.changes >= 3


async def test_questions_to_an_instance_that_is_not_at_work_fail() -> None:
    stage = Stage(probes.GoodProbe)
    assert isinstance(stage.ask(query(WEB))[0], Failed)
    stage.cancel(query(WEB))


async def give_up_and_come_back(stage: Stage) -> None:
    made = len(stage.objects)
    with pytest.raises(Panic):
        stage.plugin.host.panic("enough")
    await until(lambda: len(stage.objects) > made and not stage.causes)


async def test_each_restart_waits_longer_until_one_has_worked_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delays: list[float] = []
    wait_for = asyncio.wait_for

    async def noted(what: Any, timeout: float) -> Any:
        delays.append(timeout)
        return await wait_for(what, timeout)

    monkeypatch.setattr(asyncio, "wait_for", noted)
    patient = InstanceSettings(restart_min=0.001, restart_max=10)
    async with running(probes.GoodProbe, patient) as stage:
        for _ in range(3):
            await give_up_and_come_back(stage)
        # Now any time at work counts as long.
        stage.instance.configure(InstanceSettings(restart_min=1e-6, restart_max=1e-6))
        await give_up_and_come_back(stage)
        stage.instance.configure(patient)
        await give_up_and_come_back(stage)

    waited = [delays[0], delays[1], delays[2], delays[4]]
    assert [round(delay * 1000 / 1.25) for delay in waited] == pytest.approx([1, 2, 4, 2], rel=0.3)


async def test_what_an_object_said_of_itself_goes_with_it() -> None:
    async with running(probes.GoodProbe) as stage:
        stage.plugin.host.degrade("the server is away")
        await until(lambda: stage.causes == ["plugin"])
        await give_up_and_come_back(stage)
