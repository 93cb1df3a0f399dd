"""Calling operations: on the loop, in threads, and waiting for what they return."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from support.probes import GoodProbe, ThreadedProbe
from varpd.provider.errors import Panic
from varpd.provider.testing.calls import Calls, thread_name


def where() -> str:
    return threading.current_thread().name


async def later() -> str:
    await asyncio.sleep(0)
    return where()


async def test_plain_operations_run_on_the_loop_unless_the_plugin_blocks() -> None:
    assert await Calls(GoodProbe).call(where) == where()
    assert await Calls(ThreadedProbe).call(where) == thread_name(ThreadedProbe)


@pytest.mark.parametrize("plugin", [GoodProbe, ThreadedProbe])
async def test_coroutines_run_on_the_loop_in_any_case(plugin: type[GoodProbe]) -> None:
    assert await Calls(plugin).call(later) == where()


async def test_a_future_of_threads_is_waited_for_and_never_cancelled() -> None:
    future: Future[str] = Future()
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(Calls(GoodProbe).call(lambda: future))
        abandoned = group.create_task(Calls(GoodProbe).call(lambda: future))
        await asyncio.sleep(0)
        abandoned.cancel()
        await asyncio.sleep(0)
        assert not future.cancelled()
        future.set_result("done")
    assert asked.result() == "done"


async def test_what_has_to_be_plain_is_not_waited_for() -> None:
    result: Any = await Calls(GoodProbe).call(later, plain=True)
    assert asyncio.iscoroutine(result)


async def test_a_future_of_another_loop_is_refused() -> None:
    other = asyncio.new_event_loop()
    with pytest.raises(TypeError, match="another event loop"):
        await Calls(GoodProbe).call(other.create_future)
    other.close()


def panics() -> None:
    raise Panic("enough")


def divides() -> float:
    return 1 / 0


@pytest.mark.parametrize("plugin", [GoodProbe, ThreadedProbe])
@pytest.mark.parametrize(("operation", "error"), [(panics, Panic), (divides, ZeroDivisionError)])
async def test_what_an_operation_raises_comes_to_the_caller(
    plugin: type[GoodProbe], operation: Callable[[], object], error: type[BaseException]
) -> None:
    with pytest.raises(error):
        await Calls(plugin).call(operation)
