"""Questions to an instance and what comes back: in order, as events, a bounded lot a turn."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from msgspec import UNSET

from varpd.daemon.calls import Report
from varpd.daemon.guard import STOPPED, Answered, Given, Guard, Settled
from varpd.daemon.mailbox import EndpointTaken, Mailbox
from varpd.daemon.questions import Questions, answered, asked
from varpd.engine import events
from varpd.engine.events import DEFERRED, Deferred, Event, Failed
from varpd.provider.answers import Target
from varpd.provider.judge import Operation


class Owner(Report, Protocol):
    """Who hears of an instance's life."""

    def emit(self, event: Event) -> None:
        """Take what the instance says unasked."""

    def condition(self, message: str | None) -> None:
        """Hear from the plugin that it works badly, or well."""

    def save_wanted(self) -> None:
        """Hear that the plugin wants to be saved."""

    def taken(self, mac: bytes, message: str) -> None:
        """Hear that another host has taken over a guest."""

    def note(self, text: str, **values: object) -> None:
        """Hear something that an operator may want to know."""


class Exchange:
    """Turns what an instance says and answers into events for the engine."""

    def __init__(
        self, overlay: str, mailbox: Mailbox, guard: Guard, owner: Owner, counts: Counter[str]
    ) -> None:
        """Take whose words these are, and who takes those that nobody asked for."""
        self.overlay = overlay
        """Name of the overlay."""
        self._mailbox = mailbox
        self._guard = guard
        self._owner = owner
        self._counts = counts
        self._lost = counts["lost"]
        self._noting: list[set[bytes]] = []

    def ask(self, command: Questions) -> list[Event]:
        """Ask the plugin; return what it said meanwhile, then the answers."""
        operation, questions = asked(command)
        answers = self._guard.ask(operation, questions)
        said = self._events(self._mailbox.take_here())
        if self._mailbox.said_here:
            # It said more than one turn can take; its answers come behind that.
            for question, answer in zip(questions, answers, strict=True):
                if answer is not DEFERRED:
                    self._guard.hold(Settled(operation, question, answer))
            answers = [DEFERRED] * len(questions)
        said.append(answered(command.overlay, operation, questions, answers))
        if any(type(answer) not in (Failed, Deferred) for answer in answers):
            self._owner.good()
        if self._mailbox.panic is not None:
            self._owner.panicked(self._mailbox.panic)
        return said

    def stop(self) -> list[Event]:
        """Take no more questions; return the answers to the outstanding ones: that none comes."""
        dropped: dict[Operation, list[Any]] = {}
        for operation, question in self._guard.stop():
            dropped.setdefault(operation, []).append(question)
        return [
            answered(self.overlay, operation, questions, [STOPPED] * len(questions))
            for operation, questions in dropped.items()
        ]

    @contextmanager
    def noting(self) -> Iterator[set[bytes]]:
        """Note, within the ``with`` block, about which MACs something is said unasked."""
        noted: set[bytes] = set()
        self._noting.append(noted)
        try:
            yield noted
        finally:
            self._noting = [other for other in self._noting if other is not noted]

    def deliver(self) -> None:
        """Take what was said; called by the mailbox, on the loop."""
        panic = self._mailbox.panic
        if panic is not None:
            self._owner.panicked(panic)
        if not self._mailbox.opened:
            return
        for event in self._events(self._mailbox.take()):
            self._owner.emit(event)
        condition, save = self._mailbox.take_wishes()
        if condition is not UNSET:
            self._owner.condition(condition)
        if save:
            self._owner.save_wanted()
        if self._counts["lost"] > self._lost:
            self._lost = self._counts["lost"]
            self._owner.fault("it said more than varpd could take in; what was too much is lost")

    def _events(self, said: list[object]) -> list[Event]:
        """Return what was said as events; answers next to each other share one."""
        overlay = self.overlay
        out: list[Event] = []
        last: Operation | None = None
        questions: list[Any] = []
        answers: list[Given] = []
        for thing in said:
            if isinstance(thing, Answered | Settled):
                settled = self._guard.settle(thing)
                if settled is None:
                    continue
                if settled.operation is not last:
                    last, questions, answers = settled.operation, [], []
                    out.append(answered(overlay, last, questions, answers))
                questions.append(settled.question)
                answers.append(settled.answer)
                if type(settled.answer) is not Failed:
                    self._owner.good()
                continue
            last = None
            match thing:
                case (bytes() as mac, None):
                    self._note(mac)
                    out.append(events.Invalidated(overlay, mac))
                case (bytes() as mac, Target() as target):
                    self._note(mac)
                    out.append(events.TargetSet(overlay, mac, target))
                case events.Announced():
                    out.append(thing)
                case EndpointTaken(mac, message):
                    self._owner.taken(mac, message)
                case _:
                    # Nothing else is ever put there.
                    continue
        return out

    def _note(self, mac: bytes) -> None:
        for noted in self._noting:
            noted.add(mac)
