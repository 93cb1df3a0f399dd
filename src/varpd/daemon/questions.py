"""The engine's commands that ask a plugin something, and the events that answer them."""

from typing import Any

from varpd.engine import commands, events
from varpd.engine.events import Event, Failed
from varpd.provider.judge import Operation

Questions = commands.StartLookups | commands.StartNeighbours | commands.StartDhcp
"""The commands that ask a plugin something."""


def asked(command: Questions) -> tuple[Operation, list[Any]]:
    """Return which operation a command asks for, and the questions."""
    match command:
        case commands.StartLookups():
            return Operation.LOOKUP, command.queries
        case commands.StartNeighbours():
            return Operation.ARP, command.questions
        case commands.StartDhcp():
            return Operation.DHCP, command.queries


def answered(overlay: str, operation: Operation, questions: list[Any], answers: list[Any]) -> Event:
    """Return the event that answers questions of one operation, with an answer for each."""
    match operation:
        case Operation.LOOKUP:
            return events.LookupsAnswered(overlay, questions, answers)
        case Operation.ARP:
            return events.NeighboursAnswered(overlay, questions, answers)
        case Operation.DHCP:
            return events.DhcpAnswered(overlay, questions, answers)


def failed(command: Questions, failure: Failed) -> Event:
    """Return the event that answers all questions of a command with `failure`."""
    operation, questions = asked(command)
    return answered(command.overlay, operation, questions, [failure] * len(questions))
