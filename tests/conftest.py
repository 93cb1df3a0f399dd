"""What holds for every test: no blocked loop, no thread left, the same examples again in CI."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Final

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

# No deadlines: how long an example takes must not decide a test.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "default")

THREAD_GRACE: Final = 5.0
"""Seconds that a thread which was told to end may take to do so."""

ALLOWED_TO_BLOCK: Final[list[tuple[str, str, set[str]]]] = []
"""Known offenders: what blocks (blockbuster's name for it), the end of the name of the file that
calls it, and the functions there. Only for code that is not ours; each with its reason."""


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fail whoever blocks a running event loop: sleeps, files, blocking sockets, locks."""
    with blockbuster_ctx() as active:
        for blocker, file, functions in ALLOWED_TO_BLOCK:
            active.functions[blocker].can_block_in(file, functions)
        yield active


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_GRACE
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    alive = [thread.name for thread in left if thread.is_alive()]
    assert not alive, f"threads left behind: {alive}"
