"""The pace of the round through all rows, on a clock that the tests set."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any, cast

from varpd.daemon.sweeper import HASTE, IDLE, LATE, LEISURE, PATIENCE, PERIOD, SLICE, Sweeper
from varpd.engine.events import CheckDue


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop of nothing but timers, which come `late`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.late = 0.0
        self._timers: list[tuple[float, int, Timer, Callable[[], None]]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, call: Callable[[], None]) -> Timer:
        self._count += 1
        timer = Timer()
        heapq.heappush(self._timers, (due, self._count, timer, call))
        return timer

    def run(self, seconds: float) -> int:
        """Let time pass; return how many timers came."""
        end, came = self.now + seconds, 0
        while self._timers and self._timers[0][0] <= end:
            due, _, timer, call = heapq.heappop(self._timers)
            self.now = max(self.now, due + self.late)
            if not timer.cancelled:
                came += 1
                call()
        self.now = max(self.now, end)
        return came


class Rows:
    """A round of so many slices."""

    def __init__(self, slices: int) -> None:
        self.in_doubt = False
        self.running = False
        self.slices = slices
        self.left = slices
        self.checked = 0

    def take(self, event: CheckDue) -> None:
        assert event.count == SLICE
        if not self.running:
            self.running, self.left = True, self.slices
        if self.left == 0:
            self.running = self.in_doubt = False
        else:
            self.left -= 1
            self.checked += 1


def begun(slices: int) -> tuple[Loop, Rows, Sweeper]:
    loop, rows = Loop(), Rows(slices)
    sweeper = Sweeper(rows, rows.take, cast(Any, loop))
    sweeper.start()
    return loop, rows, sweeper


def test_a_round_begins_every_so_often_and_not_more_often() -> None:
    loop, rows, _ = begun(3)
    loop.run(PERIOD - IDLE)
    assert rows.checked == 0
    loop.run(PERIOD)
    assert rows.checked == 3
    loop.run(20 * PERIOD)
    # A round begins when somebody looks whether it is time, so up to `IDLE` late.
    assert 20 * PERIOD / (PERIOD + IDLE) - 1 <= (rows.checked - 3) / 3 <= 20


def test_a_long_round_goes_at_leisure() -> None:
    loop, rows, _ = begun(1_000_000)
    loop.run(PERIOD + 10)
    assert 0.9 * 10 * LEISURE <= rows.checked * SLICE <= 1.05 * 10 * LEISURE


def test_doubt_makes_haste_at_once() -> None:
    loop, rows, _ = begun(1_000_000)
    rows.in_doubt = True
    loop.run(IDLE)
    loop.run(10)
    assert 0.9 * 10 * HASTE <= rows.checked * SLICE <= 1.05 * 10 * HASTE


def test_while_nothing_is_to_be_done_the_loop_is_hardly_woken() -> None:
    loop, _, _ = begun(0)
    assert loop.run(PERIOD) <= PERIOD / IDLE + 1


def test_a_busy_loop_is_left_alone_but_not_for_ever() -> None:
    loop, rows, _ = begun(1_000_000)
    loop.run(PERIOD + 1)
    loop.late, before = 2 * LATE, rows.checked
    ticks = loop.run(30)
    assert rows.checked - before == ticks // (PATIENCE + 1)
    assert rows.checked > before


def test_after_the_end_nothing_comes() -> None:
    loop, rows, sweeper = begun(3)
    loop.run(PERIOD + 1)
    before = rows.checked
    sweeper.stop()
    assert loop.run(10 * PERIOD) == 0
    assert rows.checked == before


async def test_it_works_on_a_real_loop() -> None:
    loop = asyncio.get_running_loop()
    rows, seen = Rows(1), asyncio.Event()
    rows.in_doubt = True

    def feed(event: CheckDue) -> None:
        rows.take(event)
        seen.set()

    sweeper = Sweeper(rows, feed, loop)
    sweeper.start()
    async with asyncio.timeout(10):
        await seen.wait()
    sweeper.stop()
