"""Calling a plugin's operations: a value or a known exception, whatever they do."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from support.owner import Listener
from support.waiting import until
from varpd.daemon.calls import Caller, OperationFailed
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.provider import Panic, Unsupported

LONG = 100.0


class Bench:
    def __init__(self, *, blocking: bool = False) -> None:
        self.owner = Listener()
        self.watchdog = Watchdog()
        self.tasks = Tasks()
        self.caller = Caller(self.tasks, self.watchdog, self.owner, self.owner, blocking=blocking)


@pytest.fixture(params=[False, True], ids=["on the loop", "in threads"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    made = Bench(blocking=request.param)
    yield made
    made.caller.end()
    await made.tasks.end()


def raising(error: BaseException) -> Callable[[], Any]:
    def operation() -> Any:
        raise error

    return operation


def raising_later(error: BaseException) -> Callable[[], Awaitable[Any]]:
    async def operation() -> Any:
        raise error

    return operation


async def test_a_value_comes_back_plainly_or_awaited(bench: Bench) -> None:
    async def later() -> int:
        await asyncio.sleep(0)
        return 7

    assert await bench.caller.run("save", lambda: 5, LONG) == 5
    assert await bench.caller.run("start", later, LONG) == 7
    assert bench.owner.goods == 2
    assert bench.owner.faults == []


@pytest.mark.parametrize("raise_", [raising, raising_later])
async def test_what_the_plugin_may_raise_goes_through(
    bench: Bench, raise_: Callable[[BaseException], Callable[[], Any]]
) -> None:
    with pytest.raises(Unsupported, match="not me"):
        await bench.caller.run("start", raise_(Unsupported("not me")), LONG)
    assert bench.owner.faults == []


@pytest.mark.parametrize("raise_", [raising, raising_later])
@pytest.mark.parametrize(
    "error", [RuntimeError("x"), SystemExit(1), asyncio.CancelledError("x")], ids=repr
)
async def test_anything_else_is_a_fault(
    bench: Bench,
    raise_: Callable[[BaseException], Callable[[], Any]],
    error: BaseException,
) -> None:
    with pytest.raises(OperationFailed, match=type(error).__name__):
        await bench.caller.run("start", raise_(error), LONG)
    assert len(bench.owner.faults) == 1


async def test_a_panic_is_no_fault_but_a_panic(bench: Bench) -> None:
    with pytest.raises(OperationFailed):
        await bench.caller.run("start", raising(Panic("enough")), LONG)
    assert [panic.message for panic in bench.owner.panics] == ["enough"]
    assert bench.owner.faults == []


async def test_what_takes_too_long_is_cancelled_and_a_fault(bench: Bench) -> None:
    ended: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(OperationFailed, match="took too long"):
        await bench.caller.run("start", hang, 0.01)
    await until(lambda: ended)
    assert bench.owner.faults == ["start took too long"]


async def test_abort_gives_up_what_is_in_progress_and_what_comes_but_not_what_is_final(
    bench: Bench,
) -> None:
    called: list[str] = []

    async def run() -> None:
        with pytest.raises(OperationFailed, match="given up"):
            await bench.caller.run("start", asyncio.Event().wait, LONG)

    async with asyncio.TaskGroup() as group:
        group.create_task(run())
        await asyncio.sleep(0)
        bench.caller.abort()
    with pytest.raises(OperationFailed, match="not called"):
        await bench.caller.run("save", lambda: called.append("save"), LONG)
    await bench.caller.run("close", lambda: called.append("close"), LONG, final=True)
    assert called == ["close"]
    assert bench.owner.faults == []


async def test_a_call_that_was_given_up_in_the_queue_is_never_made() -> None:
    bench = Bench(blocking=True)
    release = threading.Event()
    called: list[str] = []

    def hold() -> None:
        release.wait()

    assert bench.caller.workers is not None
    for _ in range(8):
        bench.caller.workers.submit(hold)
    with pytest.raises(OperationFailed, match="too long"):
        await bench.caller.run("save", lambda: called.append("save"), 0.01)
    bench.caller.workers.submit(lambda: called.append("last"))
    release.set()
    await until(lambda: called)
    bench.caller.end()
    assert called == ["last"]


async def test_the_watchdog_knows_whose_code_runs() -> None:
    bench = Bench()
    seen: list[object] = []
    bench.caller.plain("default", lambda: seen.append(bench.watchdog.running))
    assert seen == [bench.owner]
    assert bench.watchdog.running is None


async def test_a_coroutine_that_never_began_is_closed() -> None:
    async def never() -> None:
        await asyncio.sleep(0)

    bench = Bench()
    coroutine = never()
    bench.caller.start_task(bench.caller.watch("task", coroutine), "task", coroutine).cancel()
    await until(lambda: not len(bench.tasks))
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


async def test_what_leaves_a_watched_task_is_a_fault() -> None:
    bench = Bench()
    await bench.caller.watch("task poll", raising_later(RuntimeError("x"))())  # type: ignore[arg-type] # a coroutine
    assert bench.owner.faults == ["task poll raised RuntimeError: x"]


async def test_an_exception_without_a_text_is_a_fault_like_others() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    bench = Bench()
    with pytest.raises(OperationFailed, match="cannot be made"):
        bench.caller.plain("default", raising(MuteError()))
