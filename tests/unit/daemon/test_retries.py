"""Attempts again and again, with time that passes when the test says so."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from support.overlays import Clock
from support.stores import overlay
from support.waiting import until
from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon.backoff import Backoff
from varpd.daemon.retries import Retries
from varpd.daemon.tasks import Tasks
from varpd.daemon.turn import Turn
from varpd.daemon.waiting import Waiting


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


class Stage:
    """An overlay that waits, and attempts that fail with what is in `errors`."""

    def __init__(self) -> None:
        self.waiting = Waiting(overlay("blue"), Turn("blue"))
        self.errors: list[Exception] = []
        self.tries = 0
        self.clock = Clock()
        self.tasks = Tasks()
        self.retries = Retries(
            self.attempt,
            self.tasks,
            self.clock.sleep,
            lambda: Backoff(uniform=lambda low, _high: low),
        )

    async def attempt(self, waiting: Waiting) -> None:
        assert waiting is self.waiting
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)

    async def asleep(self, times: int) -> None:
        """Wait until there have been this many pauses."""
        await until(lambda: len(self.clock.pauses) == times)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    try:
        yield made
    finally:
        await made.retries.end()
        assert len(made.tasks) == 0


def refusal(why: str) -> ControlError:
    return ControlError(ErrorCode.FAILED, why)


async def test_what_succeeds_is_tried_once() -> None:
    async with stage() as made:
        made.retries.start(made.waiting, now=True)
        await made.waiting.tried.wait()
        await until(lambda: len(made.tasks) == 0)
        assert (made.tries, made.clock.pauses) == (1, [])


async def test_what_fails_is_tried_again_after_longer_and_longer_pauses() -> None:
    async with stage() as made:
        made.errors = [refusal("first"), refusal("second"), refusal("second")]
        made.retries.start(made.waiting, now=True)
        for pauses, why in ((1, "first"), (2, "second"), (3, "second")):
            await made.asleep(pauses)
            assert made.waiting.why == why
            made.clock.pass_time()
        await until(lambda: len(made.tasks) == 0)
        assert (made.tries, made.clock.pauses) == (4, [1, 2, 4])


async def test_the_first_attempt_can_come_after_a_pause() -> None:
    async with stage() as made:
        made.retries.start(made.waiting, now=False)
        await made.asleep(1)
        assert made.tries == 0


async def test_a_fault_of_ours_is_a_reason_to_try_again() -> None:
    async with stage() as made:
        made.errors = [LookupError("strange")]
        made.retries.start(made.waiting, now=True)
        await made.asleep(1)
        assert made.waiting.why == "LookupError: strange"


async def test_an_overlay_that_was_deleted_meanwhile_is_not_tried() -> None:
    async with stage() as made:
        made.waiting.turn.gone = True
        made.retries.start(made.waiting, now=True)
        await until(lambda: len(made.tasks) == 0)
        assert made.tries == 0


async def test_who_stops_the_attempts_finds_the_last_one_over() -> None:
    async with stage() as made:
        made.errors = [refusal("first")]
        made.retries.start(made.waiting, now=True)
        made.retries.start(made.waiting, now=True)  # one loop is enough
        await made.asleep(1)
        await made.retries.stop("blue")
        await made.retries.stop("blue")
        assert len(made.tasks) == 0
        made.retries.start(made.waiting, now=True)
        await until(lambda: made.tries == 2)


async def test_a_reason_is_logged_when_it_changes_and_not_each_time() -> None:
    async with stage() as made:
        made.errors = [refusal("same"), refusal("same"), refusal("other")]
        with capture_logs() as lines:
            made.retries.start(made.waiting, now=True)
            for pauses in (1, 2, 3):
                await made.asleep(pauses)
                made.clock.pass_time()
            await until(lambda: len(made.tasks) == 0)
        assert [line["why"] for line in lines] == ["same", "other"]
