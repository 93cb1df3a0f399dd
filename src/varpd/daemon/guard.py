"""The one place that calls plugins.

Whatever an operation does, the caller gets an answer or an `OperationFailed`, and the fault is
reported. An answer that is given plainly on the event loop takes the fast path: a target that was
found to be good before is looked up, nothing more. Everything else is judged.

    plain value ────────────────────────────────────────────► judge ─► answer
    awaitable ─► task of its own ──┐
    Future ─► its own thread ──────┼─► mailbox ─► settle ────► judge ─► answer in a later event
    blocking ─► worker thread ─────┘
"""

import asyncio
import concurrent.futures
import inspect
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from varpd.daemon import lookups
from varpd.daemon.calls import Caller, Outcome, Report, call, outcome_of
from varpd.daemon.lookups import Meter
from varpd.daemon.mailbox import Mailbox
from varpd.engine.events import DEFERRED, Deferred, Failed, Question
from varpd.provider.answers import Answer, DhcpAnswer, NeighbourAnswer, Target
from varpd.provider.judge import AnswerFault, Judge, Operation
from varpd.provider.query import REFRESH, Query

Given = Answer | NeighbourAnswer | DhcpAnswer | Deferred | Failed
"""What a question can be answered with."""

STOPPED: Final = Failed("the instance is not at work")
GIVEN_UP: Final = Failed("no answer in time")
_FULL: Final = Failed("too many questions wait for a thread")
_NONE: Final[dict[Target, Target]] = {}


class _Late:
    """A question whose answer comes later."""

    __slots__ = ("began", "operation", "plain", "question", "task")

    def __init__(self, operation: Operation, question: Question, *, plain: bool = False) -> None:
        self.began = time.perf_counter()
        self.operation = operation
        self.question = question
        self.plain = plain
        """Whether the answer is the first that the operation gave, and may be awaitable."""
        self.task: asyncio.Task[None] | None = None


class Answered(Struct, frozen=True):
    """What came later, on its way through the mailbox."""

    late: _Late
    outcome: Outcome


class Settled(Struct, frozen=True):
    """A question and its answer, of which no other comes."""

    operation: Operation
    question: Question
    answer: Given


class Guard:
    """Asks one object of a plugin; every method is for the event loop."""

    def __init__(
        self,
        caller: Caller,
        judge: Judge,
        mailbox: Mailbox,
        report: Report,
        counts: Counter[str],
        meter: Meter | None = None,
    ) -> None:
        """Take what the calls need; `begin` brings the operations.

        ``late_answers`` counts answers that came after their question had been given up. The
        `meter` counts all others.
        """
        self._counts = counts
        self._meter = meter or Meter()
        self._caller = caller
        self._loop = caller.loop
        self._workers = caller.workers
        self._judge = judge
        self._mailbox = mailbox
        self._report = report
        self._calls: dict[Operation, Callable[[Any], object]] = {}
        self._late: dict[Question, _Late] = {}

    def begin(self, calls: dict[Operation, Callable[[Any], object]]) -> None:
        """Take questions from now on, for the operations in `calls`."""
        self._calls = calls

    def stop(self) -> list[tuple[Operation, Question]]:
        """Take no more questions; return those that are outstanding, and drop them."""
        self._calls = {}
        late, self._late = self._late, {}
        for item in late.values():
            if item.task is not None:
                item.task.cancel()
        return [(item.operation, item.question) for item in late.values()]

    def ask(self, operation: Operation, questions: Sequence[Question]) -> list[Given]:
        """Ask questions; `DEFERRED` is the answer to those whose answer comes to `settle`."""
        operate = self._calls.get(operation)
        if operate is None:
            return [STOPPED] * len(questions)
        if self._workers is not None:
            return [self._submit(operation, operate, question) for question in questions]
        answers: list[Given] = []
        add = answers.append
        odd: list[Given] = []
        began = time.perf_counter()
        # Only a lookup is answered by a target.
        good = self._judge.good if operation is Operation.LOOKUP else _NONE
        mailbox = self._mailbox
        self._caller.enter()
        try:
            for question in questions:
                if mailbox.panic is not None:
                    odd.append(STOPPED)
                    add(STOPPED)
                    continue
                try:
                    value = operate(question)
                except KeyboardInterrupt:
                    raise
                except BaseException as exc:  # SystemExit of a plugin is a fault
                    odd.append(self._raised(operation, exc))
                    add(odd[-1])
                    continue
                try:
                    add(good[value])  # type: ignore[index] # may be anything, or unhashable
                except KeyboardInterrupt:
                    raise
                except BaseException:  # a stranger's __hash__ runs here
                    odd.append(self._judged(operation, question, value))
                    add(odd[-1])
        finally:
            self._caller.leave()
        seconds = time.perf_counter() - began
        if odd or operation is not Operation.LOOKUP:
            self._meter.answered(operation, len(answers) - len(odd), odd, seconds)
        else:
            self._meter.plain(len(answers), seconds)
        return answers

    def cancel(self, questions: Sequence[Question]) -> None:
        """Give up questions; `settle` will say so of those that are still open."""
        for question in questions:
            late = self._late.get(question)
            if late is None:
                continue
            if late.task is not None:
                late.task.cancel()
            self._mailbox.put(Settled(late.operation, question, GIVEN_UP), always=True)

    def hold(self, settled: Settled) -> None:
        """Send an answer that is there already through the mailbox, behind what was said."""
        self._late[settled.question] = _Late(settled.operation, settled.question)
        self._mailbox.put(settled, always=True)

    def settle(self, arrived: Answered | Settled) -> Settled | None:
        """Take what came out of the mailbox; return the answer, if it still counts and is one."""
        if isinstance(arrived, Settled):
            late = self._late.pop(arrived.question, None)
            if late is not None and arrived.answer is GIVEN_UP:
                self._meter.unanswered(late.operation, lookups.GIVEN_UP)
            return None if late is None else arrived
        late = arrived.late
        if self._late.get(late.question) is not late:
            self._counts["late_answers"] += 1
            return None
        if arrived.outcome.error is not None:
            answer: Given = self._raised(late.operation, arrived.outcome.error)
        else:
            answer = self._judged(
                late.operation, late.question, arrived.outcome.value, plain=late.plain
            )
        if answer is DEFERRED:
            return None
        self._late.pop(late.question, None)
        seconds = time.perf_counter() - late.began
        self._meter.answered(late.operation, 0, [answer], seconds)
        return Settled(late.operation, late.question, answer)

    def _submit(
        self, operation: Operation, operate: Callable[[Any], object], question: Question
    ) -> Given:
        assert self._workers is not None  # noqa: S101 - the caller looked, said to the type checker
        late = _Late(operation, question, plain=True)
        self._late[question] = late

        def job() -> None:
            if self._late.get(question) is late:
                outcome = call(lambda: operate(question))
                self._mailbox.put(Answered(late, outcome), always=True)

        if self._workers.submit(job):
            return DEFERRED
        del self._late[question]
        self._report.fault(f"{operation.value}: {_FULL.reason}")
        self._meter.unanswered(operation, lookups.FAILED)
        return _FULL

    def _judged(
        self, operation: Operation, question: Question, value: object, *, plain: bool = True
    ) -> Given:
        """Return what an answer is worth; only one that was given `plain` may come later still."""
        try:
            if isinstance(value, concurrent.futures.Future):
                return self._await_future(operation, question, value, plain=plain)
            if inspect.isawaitable(value):
                return self._await(operation, question, value, plain=plain)
            if not isinstance(question, Query):
                return self._judge.answer(operation, value)
            refresh, group = question.cause is REFRESH, bool(question.key[0] & 1)
            return self._judge.answer(operation, value, refresh=refresh, group=group)
        except AnswerFault as exc:
            self._report.fault(str(exc))
            return Failed(str(exc))
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # code of a stranger's object runs here
            return self._raised(operation, exc)

    def _await(
        self, operation: Operation, question: Question, value: Awaitable[object], *, plain: bool
    ) -> Given:
        if asyncio.isfuture(value) and value.get_loop() is not self._loop:
            raise AnswerFault(f"{operation.value} answered a future of another event loop")
        if not plain:
            if inspect.iscoroutine(value):
                value.close()
            raise AnswerFault(f"{operation.value} answered an awaitable after it was awaited")
        late = _Late(operation, question)
        self._late[question] = late
        late.task = self._caller.start_task(self._finish(late, value), operation.value, value)
        return DEFERRED

    async def _finish(self, late: _Late, value: Awaitable[object]) -> None:
        self._mailbox.put(Answered(late, await outcome_of(value)), always=True)

    def _await_future(
        self,
        operation: Operation,
        question: Question,
        future: concurrent.futures.Future[object],
        *,
        plain: bool,
    ) -> Given:
        if not plain:
            raise AnswerFault(f"{operation.value} answered a Future after it was awaited")
        late = _Late(operation, question)
        self._late[question] = late

        def arrived(done: concurrent.futures.Future[object]) -> None:
            answered = Answered(late, call(done.result))
            if self._mailbox.on_loop:
                # Not within the call that returned the Future: its answer comes after DEFERRED.
                self._loop.call_soon(self._arrive, answered)
            else:
                self._arrive(answered)

        future.add_done_callback(arrived)
        return DEFERRED

    def _arrive(self, answered: Answered) -> None:
        self._mailbox.put(answered, always=True)

    def _raised(self, operation: Operation, exc: BaseException) -> Failed:
        return Failed(self._caller.raised(operation.value, exc, self._mailbox.panic))
