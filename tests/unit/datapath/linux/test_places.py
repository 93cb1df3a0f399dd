"""Stories of places that overlays share."""

from hypothesis import given
from hypothesis import strategies as st

from varpd.datapath.linux.places import Places


def fill(places: Places, owner: str) -> int:
    """Take all that an owner can have; return how many it got now."""
    got = 0
    while places.take(owner):
        got += 1
    return got


def test_one_that_takes_all_it_can_leaves_half() -> None:
    places = Places(100)
    assert fill(places, "loud") == 50
    assert places.taken == 50


def test_who_comes_late_is_not_shut_out_and_catches_up() -> None:
    places = Places(99)
    assert fill(places, "loud") == 50
    assert fill(places, "quiet") == 25
    for _ in range(25):
        places.give("loud")
    assert fill(places, "quiet") == 12
    assert fill(places, "loud") == 6


def test_what_is_given_back_may_be_taken_by_anybody() -> None:
    places = Places(2)
    assert places.take("one")
    assert not places.take("one")
    places.give("one")
    assert places.take("another")
    assert places.taken == 1


@given(
    st.integers(2, 50), st.lists(st.tuples(st.booleans(), st.sampled_from("abcd")), max_size=200)
)
def test_no_owner_ever_has_more_than_were_free_when_it_took_them(
    total: int, steps: list[tuple[bool, str]]
) -> None:
    places, has = Places(total), dict.fromkeys("abcd", 0)
    for takes, owner in steps:
        free = total - sum(has.values())
        if takes:
            took = places.take(owner)
            assert took == (has[owner] < free)
            has[owner] += took
        elif has[owner]:
            places.give(owner)
            has[owner] -= 1
        assert places.taken == sum(has.values())
