"""Saving: the last good state stays, and not too often."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from support.instances import running
from support.probes import GoodProbe
from support.waiting import until
from varpd.daemon.saver import INTERVAL
from varpd.provider.plugin import State
from varpd.store.base import StoreError


class Probe(GoodProbe):
    api_version = 1
    state: Any = None

    def save(self) -> Any:
        self.calls.append("save")
        if isinstance(self.state, BaseException):
            raise self.state
        return {"n": self.calls.count("save")} if self.state is None else self.state


async def test_a_plugin_that_wants_to_be_saved_often_is_saved_once_a_second() -> None:
    loop = asyncio.get_running_loop()
    async with running(Probe) as stage:
        began = loop.time()
        for _ in range(100):
            stage.plugin.host.save_soon()
            await asyncio.sleep(0)
        assert stage.plugin.calls.count("save") == 1
        await until(lambda: stage.plugin.calls.count("save") == 2)
        assert loop.time() - began >= INTERVAL * 0.9
        assert stage.instance.saved_state == {"n": 2}


@pytest.mark.parametrize("bad", [RuntimeError("disk"), [], {"a": {1}}], ids=repr)
async def test_a_bad_save_leaves_the_last_good_state_and_a_good_one_clears_it(bad: Any) -> None:
    with capture_logs():
        async with running(Probe) as stage:
            stage.plugin.state = bad
            await stage.instance.set_properties({"probe/weight": 2})
            assert stage.instance.saved_state == {"n": 1}
            assert "save" in stage.causes
            assert stage.faults == 1
            stage.plugin.state = {"good": True}
            await stage.instance.set_properties({"probe/weight": 3})
            assert stage.instance.saved_state == {"good": True}
            assert "save" not in stage.causes


async def test_a_change_of_the_state_is_told() -> None:
    async with running(Probe) as stage:
        before = stage.changes
        stage.plugin.state = {"n": 1}
        stage.plugin.host.save_soon()
        await until(lambda: stage.plugin.calls.count("save") == 2)
        await asyncio.sleep(0)
        assert stage.changes == before
        stage.plugin.state = {"n": 5}
        stage.plugin.host.save_soon()
        await until(lambda: stage.changes > before)


async def test_nothing_is_saved_after_the_stop() -> None:
    async with running(Probe) as stage:
        stage.plugin.host.save_soon()
        plugin = stage.plugin
    await asyncio.sleep(0)
    assert plugin.calls.index("stop deleted") > max(
        place for place, call in enumerate(plugin.calls) if call == "save"
    )


async def test_a_state_that_cannot_be_stored_is_said_and_stored_with_the_next_save() -> None:
    stored: list[Any] = []
    failing = [StoreError("the file system is full; nothing was changed")]

    async def keep(state: State | None) -> None:
        if failing:
            raise failing[0]
        stored.append(state)

    with capture_logs():
        async with running(Probe, keep=keep) as stage:
            stage.plugin.state = {"same": True}
            await stage.instance.set_properties({"probe/weight": 2})
            assert stage.causes == ["save"]
            assert stage.instance.saved_state == {"same": True}
            failing.clear()
            await stage.instance.set_properties({"probe/weight": 3})
            assert stage.causes == []
            assert stored == [{"same": True}]


async def test_a_state_that_did_not_change_is_not_stored_again() -> None:
    stored: list[Any] = []

    async def keep(state: State | None) -> None:
        stored.append(state)

    async with running(Probe, keep=keep) as stage:
        stage.plugin.state = {"same": True}
        await stage.instance.set_properties({"probe/weight": 2})
        await stage.instance.set_properties({"probe/weight": 3})
        await stage.instance.forget_state()
        assert stored == [{"n": 1}, {"same": True}, None, {"n": 1}]
