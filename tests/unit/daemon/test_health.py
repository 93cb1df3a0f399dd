"""The health of an instance: causes, the log and its bound."""

import asyncio

from structlog.testing import capture_logs

from varpd.daemon.degradation import CauseKind
from varpd.daemon.health import Health


class Watched:
    def __init__(self) -> None:
        self.changes = 0
        self.health = Health("blue", "probe", self.changed)

    def changed(self) -> None:
        self.changes += 1

    @property
    def causes(self) -> list[CauseKind]:
        return [cause.cause for cause in self.health.causes]


async def test_a_fault_is_counted_logged_with_its_traceback_and_degrades() -> None:
    watched = Watched()
    error = RuntimeError("x")
    with capture_logs() as logs:
        watched.health.fault("lookup raised RuntimeError: x", error)
    assert watched.health.faults == 1
    assert watched.causes == [CauseKind.FAULT]
    assert watched.changes == 1
    assert logs[0]["exc_info"] is error
    assert (logs[0]["overlay"], logs[0]["plugin"]) == ("blue", "probe")


async def test_a_plugin_that_fails_for_every_frame_does_not_fill_the_log() -> None:
    watched = Watched()
    with capture_logs() as logs:
        for _ in range(1_000):
            watched.health.fault("no idea")
    assert watched.health.faults == 1_000
    assert len(logs) == 10
    assert logs[-1]["further"] == "counted only"
    assert watched.changes == 1


async def test_a_fault_is_cleared_by_the_clock_of_the_loop_alone() -> None:
    watched = Watched()
    loop = asyncio.get_running_loop()
    with capture_logs():
        watched.health.fault("no idea")
    timers: list[float] = []
    real = loop.call_at

    def call_at(when: float, callback: object, *args: object, **kept: object) -> object:
        timers.append(when - loop.time())
        return real(loop.time(), callback, *args, **kept)  # type: ignore[arg-type] # passed through

    loop.call_at = call_at  # type: ignore[method-assign,assignment] # a clock for this test
    try:
        watched.health.good()
        watched.health.good()
    finally:
        del loop.call_at
    assert len(timers) == 1
    assert 9.0 < timers[0] <= 10.0
    await asyncio.sleep(0)
    assert watched.causes == [CauseKind.FAULT]
    watched.health.end()


async def test_what_the_plugin_says_of_itself_is_taken_back_by_it() -> None:
    watched = Watched()
    with capture_logs():
        watched.health.condition("no server")
        watched.health.condition("no server")
        assert watched.causes == [CauseKind.PLUGIN]
        watched.health.degrade(CauseKind.SAVE, "disk")
        watched.health.condition(None)
    assert watched.causes == [CauseKind.SAVE]
    assert watched.changes == 3


async def test_causes_are_cleared_together_and_told_once() -> None:
    watched = Watched()
    with capture_logs() as logs:
        watched.health.degrade(CauseKind.PANIC, "gave up")
        watched.health.degrade(CauseKind.RESTORE, "no file")
        watched.health.clear(CauseKind.PANIC, CauseKind.RESTORE, CauseKind.START)
        watched.health.clear(CauseKind.PANIC)
    assert watched.causes == []
    assert watched.changes == 3
    assert logs[-1]["causes"] == ["panic", "restore"]


async def test_the_last_things_are_kept_for_a_report() -> None:
    watched = Watched()
    with capture_logs():
        for number in range(100):
            watched.health.note(f"note {number}")
    assert watched.health.recent[-1] == "note 99"
    assert len(watched.health.recent) == 32
