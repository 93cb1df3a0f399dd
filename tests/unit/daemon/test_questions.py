"""Questions and the events that answer them."""

import pytest

from support.instances import OVERLAY, query
from support.probes import WEB, WEB_IP
from varpd.daemon.questions import Questions, answered, asked, failed
from varpd.engine.commands import StartDhcp, StartLookups, StartNeighbours
from varpd.engine.events import (
    DhcpAnswered,
    Failed,
    LookupsAnswered,
    NeighbourQuestion,
    NeighboursAnswered,
)
from varpd.provider.judge import Operation

FAILURE = Failed("nobody is there")
QUERIES = [query(WEB), query(WEB)]
WHO = [NeighbourQuestion(WEB_IP)]


@pytest.mark.parametrize(
    ("command", "operation", "questions"),
    [
        (StartLookups(OVERLAY, QUERIES), Operation.LOOKUP, QUERIES),
        (StartNeighbours(OVERLAY, WHO), Operation.ARP, WHO),
        (StartDhcp(OVERLAY, QUERIES), Operation.DHCP, QUERIES),
    ],
)
def test_a_command_asks_for_one_operation(
    command: Questions, operation: Operation, questions: list[object]
) -> None:
    assert asked(command) == (operation, questions)


@pytest.mark.parametrize(
    ("operation", "event"),
    [
        (Operation.LOOKUP, LookupsAnswered),
        (Operation.ARP, NeighboursAnswered),
        (Operation.DHCP, DhcpAnswered),
    ],
)
def test_each_operation_has_its_event(operation: Operation, event: type) -> None:
    told = answered(OVERLAY, operation, [], [])
    assert type(told) is event
    assert told.overlay == OVERLAY  # type: ignore[union-attr] # all three have one


def test_questions_to_nobody_fail_one_by_one() -> None:
    told = failed(StartLookups(OVERLAY, QUERIES), FAILURE)
    assert isinstance(told, LookupsAnswered)
    assert told.queries == QUERIES
    assert told.answers == [FAILURE, FAILURE]
    other = failed(StartNeighbours(OVERLAY, WHO), FAILURE)
    assert isinstance(other, NeighboursAnswered)
    assert other.answers == [FAILURE]
