"""Totals that overlays share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.targets.budget import Budget, Share

# Which share, whether it takes or gives, and how much it would like to.
moves = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 120)), max_size=40)


def reserved(budget: Budget, shares: list[Share]) -> int:
    """Return what is set aside for each of `shares`, by the rule and not by the code."""
    return budget.total // 2 // len(shares)


def test_a_share_alone_may_use_the_whole_total() -> None:
    assert Budget(100).open(1000).room() == 100


def test_a_share_never_gets_more_than_its_own_limit() -> None:
    share = Budget(100).open(30)
    share.take(20)
    assert share.room() == 10


def test_what_is_given_back_can_be_taken_again() -> None:
    share = Budget(100).open(1000)
    share.take(100)
    assert share.room() == 0
    share.give(40)
    assert (share.used, share.room()) == (60, 40)


def test_the_reserved_part_of_one_share_cannot_be_taken_by_another() -> None:
    budget = Budget(100)
    greedy, quiet = budget.open(1000), budget.open(1000)
    greedy.take(greedy.room())
    assert greedy.used == 75
    assert quiet.room() == 25


def test_what_is_above_the_reserved_parts_is_first_come() -> None:
    budget = Budget(100)
    first, second = budget.open(1000), budget.open(1000)
    first.take(35)
    assert second.room() == 65
    second.take(65)
    assert (first.room(), second.room()) == (0, 0)


def test_a_new_share_has_its_part_at_once_though_the_total_is_used_up() -> None:
    budget = Budget(100)
    greedy = budget.open(1000)
    greedy.take(100)
    assert budget.open(1000).room() == 25
    assert greedy.room() == 0


def test_a_share_that_is_closed_leaves_the_others_all_that_it_used() -> None:
    budget = Budget(100)
    stays, goes = budget.open(1000), budget.open(1000)
    goes.take(75)
    stays.take(25)
    goes.close()
    assert stays.room() == 75


def test_a_budget_without_shares_can_be_opened_again() -> None:
    budget = Budget(100)
    budget.open(1000).close()
    assert budget.open(1000).room() == 100


def test_a_limit_that_is_lowered_below_what_is_used_leaves_no_room() -> None:
    share = Budget(100).open(1000)
    share.take(50)
    share.limit = 10
    assert share.room() == 0


@pytest.mark.parametrize("total", [0, 1, 3])
def test_a_total_smaller_than_the_shares_is_never_exceeded(total: int) -> None:
    budget = Budget(total)
    shares = [budget.open(1000) for _ in range(4)]
    for share in shares:
        share.take(share.room())
    assert sum(share.used for share in shares) == total


@given(total=st.integers(0, 300), limit=st.integers(0, 300), moves=moves)
def test_whatever_is_taken_the_total_holds_and_each_share_keeps_its_part(
    total: int, limit: int, moves: list[tuple[int, bool, int]]
) -> None:
    budget = Budget(total)
    shares = [budget.open(limit) for _ in range(4)]
    for number, takes, amount in moves:
        share = shares[number]
        if takes:
            share.take(min(amount, share.room()))
        else:
            share.give(min(amount, share.used))
        used = sum(item.used for item in shares)
        assert used <= total
        part = reserved(budget, shares)
        for item in shares:
            assert item.room() >= min(part, limit) - item.used
            assert item.used + item.room() <= limit
            assert used + item.room() <= total


@given(total=st.integers(0, 300), moves=moves)
def test_shares_that_open_and_close_leave_nothing_behind(
    total: int, moves: list[tuple[int, bool, int]]
) -> None:
    budget = Budget(total)
    shares: list[Share] = []
    for number, opens, amount in moves:
        if opens:
            shares.append(budget.open(1000))
            shares[-1].take(min(amount, shares[-1].room()))
        elif number < len(shares):
            shares.pop(number).close()
    for share in shares:
        share.close()
    assert budget.open(1000).room() == total
