"""How long the pauses between tries are."""

from varpd.plugins.svp.backoff import JITTER, LONGEST, Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(chance=lambda: 0.0)
    assert [backoff.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 32, 32]
    assert backoff.failures == 8


def test_chance_makes_them_longer_by_a_part() -> None:
    backoff = Backoff(chance=lambda: 1.0)
    assert backoff.failed() == 1 + JITTER
    for _ in range(2_000):
        last = backoff.failed()
    assert last == LONGEST * (1 + JITTER)


def test_after_a_success_they_begin_anew() -> None:
    backoff = Backoff(chance=lambda: 0.0)
    backoff.failed()
    backoff.failed()
    backoff.worked()
    assert (backoff.failures, backoff.failed()) == (0, 1)
