"""Causes of degradation: gravity, idempotence, and the fault that clears by itself."""

from varpd.daemon.degradation import FAULT_QUIET, Cause, CauseKind, Degradation


def kinds(degradation: Degradation) -> list[CauseKind]:
    return [cause.cause for cause in degradation.causes]


def test_the_gravest_cause_comes_first_whatever_came_first() -> None:
    degradation = Degradation()
    degradation.fault("no idea", 1.0, 100.0)
    degradation.set(CauseKind.PLUGIN, "no server", 101.0)
    degradation.set(CauseKind.PANIC, "gave up", 102.0)
    assert kinds(degradation) == [CauseKind.PANIC, CauseKind.PLUGIN, CauseKind.FAULT]


def test_the_last_message_counts_and_the_first_time() -> None:
    degradation = Degradation()
    assert degradation.set(CauseKind.PLUGIN, "slow", 100.0)
    assert not degradation.set(CauseKind.PLUGIN, "slow", 101.0)
    assert degradation.set(CauseKind.PLUGIN, "slower", 102.0)
    assert degradation.causes == (Cause(CauseKind.PLUGIN, "slower", 100.0),)


def test_a_cause_is_cleared_alone_and_once() -> None:
    degradation = Degradation()
    degradation.set(CauseKind.PLUGIN, "slow", 100.0)
    degradation.set(CauseKind.SAVE, "disk", 100.0)
    assert degradation.clear(CauseKind.PLUGIN)
    assert not degradation.clear(CauseKind.PLUGIN)
    assert kinds(degradation) == [CauseKind.SAVE]


def test_a_fault_clears_ten_seconds_after_the_last_one_if_something_went_well() -> None:
    degradation = Degradation()
    degradation.fault("no idea", 5.0, 100.0)
    assert degradation.waits_for_good
    degradation.good()
    assert degradation.next_deadline() == 5.0 + FAULT_QUIET
    assert not degradation.advance(5.0 + FAULT_QUIET - 0.001)
    assert degradation.advance(5.0 + FAULT_QUIET)
    assert degradation.causes == ()


def test_a_fault_stays_while_nothing_goes_well() -> None:
    degradation = Degradation()
    degradation.fault("no idea", 5.0, 100.0)
    assert degradation.next_deadline() is None
    assert not degradation.advance(1_000.0)
    degradation.good()
    assert degradation.advance(1_000.0)


def test_another_fault_begins_the_quiet_time_anew() -> None:
    degradation = Degradation()
    degradation.fault("no idea", 5.0, 100.0)
    degradation.good()
    degradation.fault("none again", 12.0, 107.0)
    assert degradation.waits_for_good
    assert not degradation.advance(1_000.0)
    degradation.good()
    assert not degradation.advance(5.0 + FAULT_QUIET)
    assert degradation.advance(12.0 + FAULT_QUIET)
