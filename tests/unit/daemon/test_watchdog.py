"""The watchdog: sees a blocked loop, and who blocks it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from support.waiting import until
from varpd.daemon.watchdog import Watchdog

LIMIT = 0.1


class Suspect:
    def __init__(self) -> None:
        self.blamed: list[float] = []

    def blocked_loop(self, seconds: float) -> None:
        self.blamed.append(seconds)


@pytest.fixture
async def watchdog(blockbuster: Any) -> AsyncIterator[Watchdog]:
    blockbuster.functions["time.sleep"].can_block_in("test_watchdog.py", {"block"})
    made = Watchdog(LIMIT)
    made.start()
    yield made
    made.stop()


def block() -> None:
    time.sleep(5 * LIMIT)


async def test_who_runs_a_plain_operation_is_blamed_once_with_the_stack(
    watchdog: Watchdog,
) -> None:
    suspect = Suspect()
    with capture_logs() as logs:
        await asyncio.sleep(0)
        watchdog.running = suspect
        block()
        watchdog.running = None
        await until(lambda: suspect.blamed)
    assert len(suspect.blamed) == 1
    assert suspect.blamed[0] > LIMIT
    assert "in block" in logs[0]["stack"]


async def test_who_owns_the_running_task_is_blamed(watchdog: Watchdog) -> None:
    suspect = Suspect()

    async def operation() -> None:
        block()

    with capture_logs():
        async with asyncio.TaskGroup() as group:
            watchdog.owns(group.create_task(operation()), suspect)
        await until(lambda: suspect.blamed)


async def test_nobody_is_blamed_for_what_nobody_owns(watchdog: Watchdog) -> None:
    suspect = Suspect()
    with capture_logs() as logs:
        watchdog.running = suspect
        watchdog.running = None
        block()
        await until(lambda: logs)
    assert suspect.blamed == []
    assert logs[0]["by"] == "None"


async def test_a_loop_that_turns_is_left_alone(watchdog: Watchdog) -> None:
    suspect = Suspect()
    watchdog.running = suspect
    with capture_logs() as logs:
        for _ in range(30):
            await asyncio.sleep(LIMIT / 20)
    assert [line for line in logs if line["event"] == "event loop blocked"] == []
    assert suspect.blamed == []


async def test_after_stop_nothing_is_watched(watchdog: Watchdog) -> None:
    suspect = Suspect()
    watchdog.stop()
    watchdog.running = suspect
    with capture_logs() as logs:
        block()
        await asyncio.sleep(LIMIT)
    assert logs == []
    assert suspect.blamed == []
