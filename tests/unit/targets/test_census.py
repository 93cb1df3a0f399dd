"""How many entries are in each state."""

from ipaddress import IPv4Address

from msgspec import structs

from varpd.provider.answers import Target
from varpd.provider.query import Query
from varpd.targets.census import ROWS, STATES, census
from varpd.targets.entries import Blocked, Entry, Negative, Pending, Refreshing, Valid, Waiting

VALID = Valid((Target(IPv4Address("192.0.2.2"), 4789),), 1.0, 2.0)
LOCAL = structs.replace(VALID, local=True)
QUERY = Query(b"\2\0\0\0\0\1", 7)

EVERY: list[Entry] = [
    VALID,
    VALID,
    LOCAL,
    structs.replace(VALID, stale=True),
    Refreshing(VALID, QUERY),
    Refreshing(LOCAL, QUERY),
    Blocked(1.0),
    Negative(()),
    Pending(QUERY, Waiting([], 0)),
]


def test_every_entry_is_counted_by_its_state() -> None:
    found = census(EVERY)
    assert {state: found[state] for state in STATES} == {
        "valid": 3,
        "stale": 1,
        "refreshing": 2,
        "blocked": 1,
        "negative": 1,
        "pending": 1,
    }
    assert sum(found[state] for state in STATES) == len(EVERY)


def test_rows_are_wanted_for_remote_targets_in_force() -> None:
    assert census(EVERY)[ROWS] == 4


def test_an_empty_table_has_none() -> None:
    assert census([]) == {}
