"""How long things took, in buckets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.engine.histogram import BOUNDS, Distribution, Histogram

SECONDS = st.floats(0, BOUNDS[-1])


def counted(*observed: tuple[float, int]) -> Distribution:
    histogram = Histogram()
    for seconds, count in observed:
        histogram.observe(seconds, count)
    return histogram.distribution


def test_the_bounds_rise_from_50_microseconds_to_30_seconds() -> None:
    assert (BOUNDS[0], BOUNDS[-1]) == (50e-6, 30.0)
    assert all(low < high <= 3 * low for low, high in pairwise(BOUNDS))


def test_a_batch_counts_for_each_of_its_things() -> None:
    found = counted((0.0002, 64), (0.004, 1))
    assert found.count == 65
    assert found.total == pytest.approx(64 * 0.0002 + 0.004)
    assert found.counts[BOUNDS.index(250e-6)] == 64
    assert found.counts[BOUNDS.index(5e-3)] == 1


def test_what_takes_exactly_a_bound_is_in_its_bucket() -> None:
    assert counted((1e-3, 1)).counts[BOUNDS.index(1e-3)] == 1


def test_what_takes_longer_than_all_bounds_is_counted_all_the_same() -> None:
    found = counted((1000.0, 2))
    assert found.counts[-1] == 2
    assert found.quantile(0.5) == BOUNDS[-1]


def test_a_clock_that_goes_back_counts_as_no_time() -> None:
    found = counted((-5.0, 1))
    assert (found.counts[0], found.total) == (1, 0.0)


def test_nothing_has_no_percentile() -> None:
    assert Distribution().quantile(0.99) is None


def test_a_percentile_is_within_its_bucket() -> None:
    found = counted((0.0002, 98), (2.0, 2))
    half, most = found.quantile(0.5), found.quantile(0.99)
    assert half is not None
    assert most is not None
    assert 100e-6 < half <= 250e-6
    assert 1.0 < most <= 2.5


def test_two_add_up_and_what_came_since_is_their_difference() -> None:
    early, late = counted((0.1, 1)), counted((0.1, 1), (0.2, 3))
    since = late - early
    assert since.count == 3
    assert since.total == pytest.approx(0.6)
    assert (early + since).counts == late.counts


@given(st.lists(SECONDS, min_size=1), st.floats(0, 1))
def test_a_percentile_is_as_exact_as_a_bucket(all_seconds: list[float], part: float) -> None:
    found = counted(*((seconds, 1) for seconds in all_seconds)).quantile(part)
    assert found is not None
    high = min(bound for bound in BOUNDS if bound >= found)
    low = max(edge for edge in (-1.0, *BOUNDS) if edge < found)
    rank = part * len(all_seconds)
    # Within a bucket a float cannot tell the least ranks apart.
    assert sum(seconds <= high for seconds in all_seconds) >= rank - 1e-6
    assert sum(seconds <= low for seconds in all_seconds) <= rank + 1e-6
