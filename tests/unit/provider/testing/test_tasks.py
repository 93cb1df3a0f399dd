"""Tasks of an instance on a fake host."""

import asyncio
import threading

from support.waiting import until
from varpd.provider.testing.tasks import FakeTasks


class Work:
    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0

    async def run(self) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def fail(self) -> None:
        self.begun += 1
        raise RuntimeError("no idea")


async def test_tasks_wait_for_a_loop_and_are_ended_with_it() -> None:
    work, tasks = Work(), FakeTasks()
    assert tasks.start(work.run(), "early")
    await asyncio.sleep(0)
    assert work.begun == 0

    tasks.run(asyncio.get_running_loop())
    thread = threading.Thread(target=lambda: tasks.start(work.run(), "from a thread"))
    thread.start()
    await until(lambda: work.begun == 2)
    await until(lambda: not thread.is_alive())
    assert tasks.start(work.run(), "just before the end")
    await tasks.end()
    assert work.cancelled == work.begun
    assert tasks.faults == []


async def test_nothing_is_started_after_the_end() -> None:
    work, tasks = Work(), FakeTasks()
    tasks.run(asyncio.get_running_loop())
    await tasks.end()
    assert not tasks.start(work.run(), "late")
    await asyncio.sleep(0)
    assert work.begun == 0


async def test_what_waits_for_a_loop_that_never_comes_is_let_go() -> None:
    work, tasks = Work(), FakeTasks()
    tasks.start(work.run(), "early")
    tasks.refuse()
    tasks.run(asyncio.get_running_loop())
    await asyncio.sleep(0)
    assert work.begun == 0


async def test_what_leaves_a_task_is_kept() -> None:
    work, tasks = Work(), FakeTasks()
    tasks.run(asyncio.get_running_loop())
    tasks.start(work.fail(), "work")
    await until(lambda: tasks.faults)
    assert [str(fault) for fault in tasks.faults] == ["no idea"]
    await tasks.end()
