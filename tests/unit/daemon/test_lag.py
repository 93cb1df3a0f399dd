"""How late the event loop is."""

import asyncio
import time

from support.waiting import until
from varpd.daemon.lag import LoopLag


async def test_looks_are_counted_until_the_end() -> None:
    lag = LoopLag(0.001)
    lag.start()
    await until(lambda: lag.distribution.count >= 3)
    lag.stop()
    lag.stop()
    count = lag.distribution.count
    await asyncio.sleep(0.01)
    assert lag.distribution.count == count


async def test_a_loop_that_is_held_is_late() -> None:
    lag = LoopLag(0.001)
    lag.start()
    hold = time.perf_counter() + 0.06
    while time.perf_counter() < hold:
        pass
    await until(lambda: lag.distribution.count >= 1)
    lag.stop()
    assert lag.distribution.total >= 0.05
