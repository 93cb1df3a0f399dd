"""Waiting for a condition, never for a time."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 15.0
"""Seconds after which what should have happened has not."""

_PAUSE: Final = 0.01
"""Seconds between two looks."""


def wait_for(what: str, condition: Callable[[], T], timeout: float = PATIENCE) -> T:
    """Look until `condition` returns something true, and return that.

    Args:
        what: what is waited for, for the message.
        condition: looked at about every hundredth of a second.
        timeout: seconds.

    Raises:
        AssertionError: it has not become true in time; the message has the last value.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}; it is {value!r}")
        pause.wait(_PAUSE)


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Let the event loop go on until `condition` holds.

    Raises:
        TimeoutError: it has not come true in `patience` seconds.
    """
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 - any condition, of code that has no event
            await asyncio.sleep(0.001)
