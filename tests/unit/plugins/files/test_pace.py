"""Work in threads, called off or not."""

import asyncio
import threading

import pytest

from varpd.plugins.files.pace import Halted, Pace, Threads


def work_until_halted(pace: Pace) -> None:
    while True:
        pace()


def test_work_goes_on_until_it_is_called_off() -> None:
    pace = Pace()
    pace()
    pace.halt()
    pace.halt()

    with pytest.raises(Halted, match="the instance stops"):
        pace()


async def test_work_is_done_in_a_thread() -> None:
    assert await Threads().run(lambda _: threading.get_ident()) != threading.get_ident()


async def test_what_work_raises_comes_back() -> None:
    def work(_: Pace) -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        await Threads().run(work)


async def test_work_that_is_cancelled_ends() -> None:
    threads, begun, ended = Threads(), threading.Event(), threading.Event()

    def work(pace: Pace) -> None:
        begun.set()
        try:
            work_until_halted(pace)
        finally:
            ended.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(threads.run(work))
        assert await asyncio.to_thread(begun.wait, 30)
        task.cancel()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_a_halt_calls_off_what_is_done_and_what_comes() -> None:
    threads, begun = Threads(), threading.Event()

    def work(pace: Pace) -> None:
        begun.set()
        work_until_halted(pace)

    async def halt() -> None:
        assert await asyncio.to_thread(begun.wait, 30)
        threads.halt()

    outcome, _ = await asyncio.gather(threads.run(work), halt(), return_exceptions=True)
    assert isinstance(outcome, Halted)
    with pytest.raises(Halted):
        await threads.run(lambda _: None)
