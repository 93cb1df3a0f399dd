"""Tests of the watchdog, and of the search for what was left behind."""

import asyncio
import threading
import time

import pytest
from blockbuster import BlockBuster, BlockingError

from varpd.provider.testing.watch import Watchdog, no_blocking_calls, tasks_left, threads_left

DEADLINE = 30.0
"""Seconds after which a test gives up waiting for what is sure to come."""


async def test_a_loop_that_stands_still_is_seen_with_its_stack() -> None:
    deadline = time.monotonic() + DEADLINE
    with Watchdog(limit=0.02) as watchdog:
        await asyncio.sleep(0)
        while not watchdog.stacks and time.monotonic() < deadline:
            pass

    assert "test_a_loop_that_stands_still_is_seen_with_its_stack" in watchdog.stacks[0]


async def test_a_loop_that_waits_is_not_blocked() -> None:
    with Watchdog(limit=DEADLINE) as watchdog:
        for _ in range(100):
            await asyncio.sleep(0)

    assert watchdog.stacks == []


async def test_a_call_that_blocks_raises(blockbuster: BlockBuster) -> None:
    blockbuster.deactivate()
    with no_blocking_calls(), pytest.raises(BlockingError):
        time.sleep(0)  # noqa: ASYNC251 - the very thing


def test_a_thread_that_stays_is_named() -> None:
    end = threading.Event()
    with threads_left(grace=0.02) as left:
        threading.Thread(target=end.wait, name="straggler").start()
    end.set()

    assert left == ["straggler"]


def test_a_thread_that_ends_soon_is_not_left() -> None:
    end = threading.Event()
    with threads_left(grace=DEADLINE) as left:
        threading.Thread(target=end.wait).start()
        end.set()

    assert left == []


async def test_a_task_that_stays_is_named() -> None:
    before = asyncio.all_tasks()
    end = asyncio.Event()

    async def stay() -> None:
        await end.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(stay(), name="straggler")
        await asyncio.sleep(0)
        assert tasks_left(before) == ["straggler"]
        end.set()

    assert tasks_left(before) == []
