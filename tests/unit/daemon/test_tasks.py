"""Tasks have a name, an owner and an end."""

import asyncio

from structlog.testing import capture_logs

from support.waiting import until
from varpd.daemon.tasks import Tasks


async def test_a_task_has_its_name_and_is_kept_until_it_ends() -> None:
    tasks = Tasks()
    go = asyncio.Event()
    task = tasks.start(go.wait(), "blue wait")
    assert task.get_name() == "blue wait"
    assert len(tasks) == 1
    go.set()
    assert await task is True
    await until(lambda: not len(tasks))


async def test_what_leaves_a_task_is_logged() -> None:
    async def fail() -> None:
        raise RuntimeError("no idea")

    tasks = Tasks()
    with capture_logs() as logs:
        tasks.start(fail(), "blue fail")
        await until(lambda: logs)
    assert logs[0]["event"] == "task failed"
    assert logs[0]["task"] == "blue fail"
    assert str(logs[0]["exc_info"]) == "no idea"


async def test_the_end_cancels_all_tasks_and_those_that_they_start_meanwhile() -> None:
    tasks = Tasks()
    cancelled: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(name)
            if name == "first":
                tasks.start(wait("second"), "second")

    tasks.start(wait("first"), "first")
    await asyncio.sleep(0)
    await tasks.end()
    assert len(tasks) == 0
    assert cancelled[0] == "first"


async def test_a_task_that_refuses_to_end_is_left_behind_and_named() -> None:
    tasks = Tasks()
    go = asyncio.Event()

    async def refuse() -> None:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    task = tasks.start(refuse(), "stubborn")
    await asyncio.sleep(0)
    with capture_logs() as logs:
        await tasks.end(timeout=0.01)
    assert logs[-1]["tasks"] == ["stubborn"]
    go.set()
    await task
