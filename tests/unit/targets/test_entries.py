"""The states of an entry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.script import mac, target
from varpd.provider.query import Query
from varpd.targets.entries import (
    MAX_HOLDS,
    TRANSITIONS,
    Blocked,
    Entry,
    Holds,
    Negative,
    Origin,
    Pending,
    Refreshing,
    State,
    Valid,
    Waiting,
    active,
    held,
    hold,
    is_administrators,
    is_adopted,
    origin_of,
    state_of,
    ticket_of,
    valid_of,
    with_valid,
)

TICKET = Query(bytes(mac(1)), 42)
VALID = Valid((target(2),), since=10.0, rows_at=11.0)
ADMINISTRATORS = Valid((target(2),), since=10.0, rows_at=11.0, origin=Origin.ADMINISTRATOR)
ADOPTED = Valid((target(2),), since=10.0, rows_at=11.0, origin=Origin.ADOPTED)
PENDING = Pending(TICKET, Waiting([], 0))
REFRESHING = Refreshing(VALID, TICKET)
NEGATIVE = Negative(())
OVERDUE = Negative((), TICKET)
BLOCKED = Blocked(10.0)

IPV4, IPV6, TAGGED = (0x0800, None), (0x86DD, None), (0x0800, 7)
shapes = st.tuples(st.sampled_from([None, 0x0800, 0x0806, 0x86DD, 0x88B5]), st.none() | st.just(7))


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        (PENDING, State.PENDING),
        (VALID, State.VALID),
        (REFRESHING, State.REFRESHING),
        (NEGATIVE, State.NEGATIVE),
        (BLOCKED, State.BLOCKED),
    ],
)
def test_every_entry_is_in_one_state(entry: Entry, state: State) -> None:
    assert state_of(entry) is state


def test_every_state_has_its_moves_and_may_be_left_and_come_to() -> None:
    assert set(TRANSITIONS) == {None, *State}
    reached = set[State | None]().union(*TRANSITIONS.values())
    assert reached == {None, *State}
    for state in State:
        assert None in TRANSITIONS[state]


def test_the_administrator_may_say_his_word_in_every_state() -> None:
    for moves in TRANSITIONS.values():
        assert {State.BLOCKED, State.VALID} <= moves


def test_only_a_target_in_force_is_refreshed() -> None:
    before = {state for state, moves in TRANSITIONS.items() if State.REFRESHING in moves}
    assert before <= {State.VALID, State.REFRESHING}


def test_a_blocked_mac_is_never_asked_about() -> None:
    assert TRANSITIONS[State.BLOCKED].isdisjoint({State.PENDING, State.REFRESHING, State.NEGATIVE})


@pytest.mark.parametrize(
    ("entry", "ticket"),
    [
        (None, None),
        (PENDING, TICKET),
        (VALID, None),
        (REFRESHING, TICKET),
        (NEGATIVE, None),
        (OVERDUE, TICKET),
        (BLOCKED, None),
    ],
)
def test_an_entry_with_a_lookup_holds_its_ticket(entry: Entry | None, ticket: Query | None) -> None:
    assert ticket_of(entry) is ticket


@pytest.mark.parametrize(
    ("entry", "valid"),
    [
        (None, None),
        (PENDING, None),
        (VALID, VALID),
        (REFRESHING, VALID),
        (NEGATIVE, None),
        (BLOCKED, None),
    ],
)
def test_a_target_is_in_force_while_it_is_valid_or_refreshed(
    entry: Entry | None, valid: Valid | None
) -> None:
    assert valid_of(entry) is valid


def test_another_target_in_force_leaves_a_refresh_its_ticket() -> None:
    other = Valid((target(3),), since=12.0, rows_at=13.0)
    assert with_valid(VALID, other) is other
    refreshed = with_valid(REFRESHING, other)
    assert valid_of(refreshed) is other
    assert ticket_of(refreshed) is TICKET


@pytest.mark.parametrize("entry", [VALID, REFRESHING])
def test_changing_the_target_in_force_is_a_move_that_the_table_has(entry: Entry) -> None:
    state = state_of(entry)
    assert state_of(with_valid(entry, VALID)) is state
    assert state in TRANSITIONS[state]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (None, False),
        (PENDING, False),
        (VALID, False),
        (ADMINISTRATORS, True),
        (REFRESHING, False),
        (NEGATIVE, False),
        (BLOCKED, True),
    ],
)
def test_an_entry_says_whose_it_is(entry: Entry | None, expected: bool) -> None:
    assert is_administrators(entry) is expected


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        (PENDING, Origin.PLUGIN),
        (VALID, Origin.PLUGIN),
        (ADOPTED, Origin.ADOPTED),
        (Refreshing(ADOPTED, TICKET), Origin.ADOPTED),
        (ADMINISTRATORS, Origin.ADMINISTRATOR),
        (BLOCKED, Origin.ADMINISTRATOR),
    ],
)
def test_an_entry_has_an_origin(entry: Entry, origin: Origin) -> None:
    assert origin_of(entry) is origin
    assert is_adopted(entry) is (origin is Origin.ADOPTED)


def test_nothing_is_not_adopted() -> None:
    assert not is_adopted(None)


def test_equal_entries_are_not_one() -> None:
    assert Valid(VALID.targets, VALID.since, VALID.rows_at) != VALID
    assert Pending(TICKET, PENDING.waiting) != PENDING


def test_frames_wait_in_their_order_and_are_weighed() -> None:
    waiting = Waiting([b"first"], 5)
    waiting.add(b"second")
    assert waiting.packets == [b"first", b"second"]
    assert waiting.size == 11


def test_a_shape_is_held_until_its_time_and_no_longer() -> None:
    holds = hold((), IPV4, until=20.0, now=10.0)
    assert held(holds, IPV4, 19.9)
    assert not held(holds, IPV4, 20.0)


@pytest.mark.parametrize("other", [IPV6, TAGGED, (None, None)])
def test_a_hold_is_for_one_ethertype_and_vlan(other: tuple[int | None, int | None]) -> None:
    assert not held(hold((), IPV4, until=20.0, now=10.0), other, 15.0)


def test_a_shape_that_is_held_again_has_the_new_end() -> None:
    once = hold((), IPV4, until=20.0, now=10.0)
    again = hold(once, IPV4, until=15.0, now=11.0)
    assert again == ((IPV4, 15.0),)


def test_holds_that_have_ended_are_left_out() -> None:
    both = hold(hold((), IPV4, until=20.0, now=10.0), IPV6, until=30.0, now=10.0)
    assert active(both, 20.0) == ((IPV6, 30.0),)
    assert hold(both, TAGGED, until=40.0, now=20.0) == ((IPV6, 30.0), (TAGGED, 40.0))


def test_the_oldest_hold_goes_when_there_are_too_many() -> None:
    holds: Holds = ()
    for vlan in range(1, MAX_HOLDS + 2):
        holds = hold(holds, (0x0800, vlan), until=20.0, now=10.0)
    assert [shape[1] for shape, _ in holds] == list(range(2, MAX_HOLDS + 2))


@given(st.lists(st.tuples(shapes, st.integers(0, 10), st.integers(0, 3)), max_size=30))
def test_holds_are_bounded_and_the_newest_is_always_among_them(
    said: list[tuple[tuple[int | None, int | None], int, int]],
) -> None:
    holds: Holds = ()
    now = 0
    for shape, later, seconds in said:
        now += later
        holds = hold(holds, shape, now + seconds, now)
        assert len(holds) <= MAX_HOLDS
        assert len({item for item, _ in holds}) == len(holds)
        assert held(holds, shape, now) is (seconds > 0)
