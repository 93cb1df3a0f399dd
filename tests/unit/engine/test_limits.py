"""Token buckets, against one that is counted out frame by frame."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from support.script import mac
from varpd.engine.limits import SOURCES, Bucket, Sources
from varpd.engine.settings import Rate

SECRET = b"0123456789abcdef"
A = bytes(mac(1))

# How long after the one before, in sixteenths of a second, and how many frames.
arrivals = st.lists(st.tuples(st.integers(0, 64), st.integers(0, 30)), max_size=30)
# Powers of two, so that a float holds every time exactly and rounding decides nothing.
rates = st.sampled_from([0.25, 1, 4, 64])
bursts = st.integers(1, 20)


class Tokens:
    """The bucket of a textbook: filled up with time, one token a frame."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = Fraction(rate)
        self.burst = Fraction(burst)
        self.tokens = self.burst
        self.at = Fraction(0)

    def take(self, count: int, now: float) -> int:
        self.tokens = min(self.burst, self.tokens + (Fraction(now) - self.at) * self.rate)
        self.at = Fraction(now)
        taken = min(count, int(self.tokens))
        self.tokens -= taken
        return taken


def test_a_burst_comes_through_at_once_and_then_so_many_a_second() -> None:
    bucket = Bucket(Rate(10, 3))
    assert bucket.take(5, 100.0) == 3
    assert bucket.take(1, 100.09) == 0
    assert bucket.take(1, 100.1) == 1
    assert bucket.take(5, 100.3) == 2


def test_quiet_time_saves_up_a_burst_and_no_more() -> None:
    bucket = Bucket(Rate(10, 3))
    assert bucket.take(3, 0.0) == 3
    assert bucket.take(100, 1_000.0) == 3


def test_a_rate_of_zero_is_no_limit() -> None:
    assert Bucket(Rate(0, 0)).take(1_000_000, 0.0) == 1_000_000
    sources = Sources(Rate(0, 0), SECRET)
    assert not sources.is_limited
    assert all(sources.conforms(A, 0.0) for _ in range(100))


def test_no_frame_takes_nothing() -> None:
    bucket = Bucket(Rate(1, 1))
    assert bucket.take(0, 0.0) == 0
    assert bucket.take(1, 0.0) == 1
    assert bucket.take(0, 0.0) == 0


@given(rate=rates, burst=bursts, arrivals=arrivals)
def test_a_bucket_takes_what_the_textbook_takes(
    rate: float, burst: int, arrivals: list[tuple[int, int]]
) -> None:
    bucket, tokens = Bucket(Rate(rate, burst)), Tokens(rate, burst)
    now = 0.0
    for later, count in arrivals:
        now += later / 16
        assert bucket.take(count, now) == tokens.take(count, now)


@given(rate=rates, burst=bursts, arrivals=arrivals)
def test_one_source_is_limited_as_by_a_bucket_of_its_own(
    rate: float, burst: int, arrivals: list[tuple[int, int]]
) -> None:
    sources, tokens = Sources(Rate(rate, burst), SECRET), Tokens(rate, burst)
    assert sources.is_limited
    now = 0.0
    for later, count in arrivals:
        now += later / 16
        taken = sum(sources.conforms(A, now) for _ in range(count))
        assert taken == tokens.take(count, now)


@given(rate=st.floats(0.1, 100_000), count=st.integers(1, 500), now=st.floats(0, 1e8))
def test_rounding_costs_no_more_than_one_frame_in_a_hundred_however_long_the_host_is_up(
    rate: float, count: int, now: float
) -> None:
    least = count - 1 - count // 100
    assert least <= Bucket(Rate(rate, count)).take(count + 1, now) <= count
    sources = Sources(Rate(rate, count), SECRET)
    assert least <= sum(sources.conforms(A, now) for _ in range(count + 1)) <= count


def test_one_source_does_not_use_up_what_another_may_send() -> None:
    sources = Sources(Rate(1, 2), SECRET)
    # Two sources may share a bucket; not so many.
    others = [bytes(mac(number)) for number in range(2, 100)]
    while sources.conforms(A, 0.0):
        pass
    assert sum(sources.conforms(other, 0.0) for other in others) > len(others) // 2


def test_any_number_of_sources_together_is_bounded_by_the_fixed_table() -> None:
    sources = Sources(Rate(1, 1), SECRET)
    conforming = sum(sources.conforms(bytes(mac(number)), 0.0) for number in range(5 * SOURCES))
    assert SOURCES // 2 < conforming <= SOURCES


def test_who_shares_a_bucket_depends_on_the_secret() -> None:
    def sharing(secret: bytes) -> list[int]:
        sources = Sources(Rate(1, 1), secret)
        return [number for number in range(4000) if not sources.conforms(bytes(mac(number)), 0.0)]

    assert sharing(SECRET) == sharing(SECRET)
    assert sharing(SECRET) != sharing(SECRET[::-1])


def test_copies_are_as_full_and_leave_the_originals_alone() -> None:
    bucket = Bucket(Rate(1, 2))
    assert bucket.take(1, 0.0) == 1
    assert bucket.copy().take(5, 0.0) == 1
    assert bucket.take(5, 0.0) == 1

    sources = Sources(Rate(1, 1), b"secret")
    assert sources.conforms(b"guest1", 0.0)
    copied = sources.copy()
    assert not copied.conforms(b"guest1", 0.0)
    assert copied.conforms(b"guest2", 0.0)
    assert sources.conforms(b"guest2", 0.0)
