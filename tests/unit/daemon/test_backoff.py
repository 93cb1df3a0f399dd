"""Waiting times: from 1 s to 32 s, twice as long each time, never all at once."""

import random

import pytest

from varpd.daemon.backoff import JITTER, MAX, MIN, Backoff


def test_each_time_is_twice_the_one_before_up_to_the_longest() -> None:
    pauses = Backoff(uniform=lambda low, _high: low)
    times = [pauses.next() for _ in range(8)]
    assert times == [1, 2, 4, 8, 16, *[pytest.approx(MAX / JITTER)] * 3]


def test_after_a_success_it_begins_anew() -> None:
    pauses = Backoff(uniform=lambda low, _high: low)
    assert [pauses.next(), pauses.next()] == [1, 2]
    pauses.reset()
    assert pauses.next() == 1


def test_chance_spreads_the_times_and_keeps_them_within_their_bounds() -> None:
    chance = random.Random(1)
    first, late = set(), set()
    for _ in range(200):
        pauses = Backoff(uniform=chance.uniform)
        times = [pauses.next() for _ in range(10)]
        assert all(MIN <= time <= MAX for time in times)
        first.add(times[0])
        late.add(times[-1])
    assert len(first) == len(late) == 200
