"""What the engine can be told: a closed union of values."""

import inspect
from ipaddress import IPv4Address
from typing import get_args

import pytest
from msgspec import Struct

from support.script import OVERLAY, mac
from varpd.engine import events
from varpd.engine.engine import Engine
from varpd.engine.events import (
    DEFERRED,
    CheckDue,
    DeadlinePassed,
    Deferred,
    Event,
    Failed,
    FoundRow,
    LocalAddressesChanged,
    NeighbourQuestion,
    TablesDoubted,
)

ANSWERS = {Deferred, Failed, FoundRow, NeighbourQuestion}
"""What stands in events and is none itself."""

OF_NO_OVERLAY = {CheckDue, DeadlinePassed, LocalAddressesChanged, TablesDoubted}

STRUCTS = {
    value
    for _, value in inspect.getmembers(events, inspect.isclass)
    if issubclass(value, Struct) and value.__module__ == events.__name__
}


def test_every_event_is_in_the_union_and_nothing_else() -> None:
    assert set(get_args(Event)) == STRUCTS - ANSWERS


@pytest.mark.parametrize("kind", sorted(STRUCTS, key=str))
def test_what_happened_cannot_be_changed(kind: type[Struct]) -> None:
    assert kind.__struct_config__.frozen


@pytest.mark.parametrize("kind", sorted(get_args(Event), key=str))
def test_an_event_says_first_which_overlay_it_is_about(kind: type[Struct]) -> None:
    assert (kind.__struct_fields__[:1] == ("overlay",)) is (kind not in OF_NO_OVERLAY)


@pytest.mark.parametrize(
    "event",
    [DeadlinePassed(), LocalAddressesChanged(frozenset({IPv4Address("192.0.2.1")}))],
)
def test_an_engine_without_overlays_takes_what_is_about_none(event: Event) -> None:
    assert Engine().handle(event, 0.0) == []


def test_two_questions_are_never_equal_whoever_is_asked_about() -> None:
    address = IPv4Address("10.0.0.1")
    assert NeighbourQuestion(address) != NeighbourQuestion(address)


def test_an_answer_that_comes_later_is_like_any_other_such() -> None:
    assert Deferred() == DEFERRED
    assert Failed("raised") == Failed("raised")


def test_events_of_equal_content_are_equal() -> None:
    assert events.Invalidated(OVERLAY, mac(1)) == events.Invalidated(OVERLAY, bytes(mac(1)))
