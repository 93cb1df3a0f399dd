"""Asking questions: the fast path, what comes later, what is given up."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from support.instances import query
from support.owner import Listener
from support.probes import ONE, TWO, VXLAN, WEB, GoodProbe
from support.waiting import until
from varpd.daemon.calls import Caller
from varpd.daemon.guard import GIVEN_UP, STOPPED, Answered, Guard, Settled
from varpd.daemon.mailbox import Mailbox, PanicSaid
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.daemon.workers import Workers
from varpd.engine.events import DEFERRED, Failed
from varpd.provider import DROP, REFRESH, Target
from varpd.provider.judge import Judge, Operation


class Bench:
    """A guard around one function."""

    def __init__(
        self, lookup: Callable[[Any], object], *, blocking: bool = False, waiting: int = 10_000
    ) -> None:
        self.owner = Listener()
        self.tasks = Tasks()
        self.counts: Counter[str] = Counter()
        self.settled: list[Settled] = []
        self.mailbox = Mailbox(self.deliver, self.counts)
        self.judge = Judge(GoodProbe, VXLAN, 4, lambda _: None, self.counts)
        caller = Caller(self.tasks, Watchdog(), self.owner, self.owner, blocking=blocking)
        if blocking:
            caller.workers = Workers("probe", waiting=waiting)
        self.caller = caller
        self.guard = Guard(caller, self.judge, self.mailbox, self.owner, self.counts)
        self.guard.begin({Operation.LOOKUP: lookup, Operation.ARP: lookup})
        self.mailbox.open()

    def deliver(self) -> None:
        for thing in self.mailbox.take():
            assert isinstance(thing, Answered | Settled)
            settled = self.guard.settle(thing)
            if settled is not None:
                self.settled.append(settled)

    def ask(self, *questions: Any) -> list[Any]:
        return self.guard.ask(Operation.LOOKUP, questions)

    @property
    def answers(self) -> list[Any]:
        return [settled.answer for settled in self.settled]


async def test_a_target_once_found_good_is_handed_on_as_that_object() -> None:
    bench = Bench(lambda _: Target(ip=ONE.ip, port=4789))
    first, second = bench.ask(query(WEB), query(WEB))
    assert first is second


async def test_a_key_error_of_the_plugin_is_its_fault_and_not_an_unknown_target() -> None:
    bench = Bench(lambda question: {}[question.key])
    assert isinstance(bench.ask(query(WEB))[0], Failed)
    assert bench.owner.faults == [f"lookup raised KeyError: {WEB!r}"]


async def test_what_breaks_when_it_is_looked_at_is_a_fault() -> None:
    class Wild:
        __hash__ = None  # type: ignore[assignment] # what a bad plugin does

        def __getattribute__(self, name: str) -> Any:
            raise SystemExit(2)

    bench = Bench(lambda _: Wild())
    assert isinstance(bench.ask(query(WEB))[0], Failed)
    assert len(bench.owner.faults) == 1


async def test_a_good_target_is_still_no_answer_to_arp() -> None:
    bench = Bench(lambda _: ONE)
    assert bench.ask(query(WEB)) == [ONE]
    assert isinstance(bench.guard.ask(Operation.ARP, [query(WEB)])[0], Failed)


async def test_nothing_is_asked_that_is_not_defined_or_after_stop() -> None:
    bench = Bench(lambda _: ONE)
    assert bench.guard.ask(Operation.DHCP, [query(WEB)]) == [STOPPED]
    bench.guard.stop()
    assert bench.ask(query(WEB)) == [STOPPED]


async def test_what_is_outstanding_at_the_stop_is_named_once_and_answered_no_more() -> None:
    async def lookup(_: Any) -> object:
        await asyncio.Event().wait()
        return ONE

    bench = Bench(lookup)
    first, second = query(WEB), query(WEB)
    bench.ask(first, second)
    bench.guard.cancel([first])
    assert bench.guard.stop() == [(Operation.LOOKUP, first), (Operation.LOOKUP, second)]
    assert bench.guard.stop() == []
    await bench.tasks.end()
    assert bench.settled == []


async def test_answers_that_come_later_are_judged_like_others() -> None:
    async def lookup(question: Any) -> object:
        await asyncio.sleep(0)
        return TWO if question.cause is REFRESH else "junk"

    bench = Bench(lookup)
    assert bench.ask(query(WEB, REFRESH), query(WEB)) == [DEFERRED, DEFERRED]
    await until(lambda: len(bench.settled) == 2)
    assert bench.answers[0] == TWO
    assert isinstance(bench.answers[1], Failed)


async def test_an_awaitable_that_brings_an_awaitable_is_a_fault() -> None:
    async def inner() -> object:
        return ONE

    async def lookup(_: Any) -> object:
        return inner()

    bench = Bench(lookup)
    bench.ask(query(WEB))
    await until(lambda: bench.settled)
    assert isinstance(bench.answers[0], Failed)


async def test_a_thread_may_answer_with_something_to_be_awaited() -> None:
    threads: list[str] = []

    async def later() -> object:
        threads.append(threading.current_thread().name)
        return ONE

    def lookup(_: Any) -> object:
        threads.append(threading.current_thread().name)
        return later()

    bench = Bench(lookup, blocking=True)
    assert bench.ask(query(WEB)) == [DEFERRED]
    await until(lambda: bench.settled)
    assert bench.answers == [ONE]
    assert threads[0] != threads[1] == threading.current_thread().name
    bench.caller.end()


async def test_a_question_given_up_is_answered_once_and_its_task_cancelled() -> None:
    ended: list[str] = []

    async def lookup(_: Any) -> object:
        try:
            return await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    bench = Bench(lookup)
    question = query(WEB)
    bench.ask(question)
    await asyncio.sleep(0)
    bench.guard.cancel([question, query(WEB)])
    bench.guard.cancel([question])
    await until(lambda: bench.settled and ended)
    assert bench.answers == [GIVEN_UP]
    assert bench.owner.faults == []


async def test_a_future_is_never_cancelled_and_comes_too_late() -> None:
    future: Future[object] = Future()
    bench = Bench(lambda _: future)
    question = query(WEB)
    bench.ask(question)
    bench.guard.cancel([question])
    await until(lambda: bench.settled)
    future.set_result(ONE)
    await until(lambda: bench.counts["late_answers"])
    assert bench.answers == [GIVEN_UP]


async def test_a_future_that_the_plugin_cancels_is_a_fault() -> None:
    future: Future[object] = Future()
    bench = Bench(lambda _: future)
    bench.ask(query(WEB))
    future.cancel()
    await until(lambda: bench.settled)
    assert isinstance(bench.answers[0], Failed)
    assert len(bench.owner.faults) == 1


async def test_questions_that_wait_for_a_thread_are_bounded() -> None:
    release = threading.Event()

    def lookup(_: Any) -> object:
        release.wait()
        return DROP

    bench = Bench(lookup, blocking=True, waiting=100)
    answers = bench.ask(*(query(WEB) for _ in range(200)))
    assert 100 <= answers.count(DEFERRED) <= 108
    assert isinstance(answers[-1], Failed)
    release.set()
    await until(lambda: len(bench.settled) == answers.count(DEFERRED))
    bench.caller.end()


async def test_after_a_swallowed_panic_the_rest_of_the_batch_is_not_asked() -> None:
    asked: list[object] = []

    def lookup(question: Any) -> object:
        asked.append(question)
        bench.mailbox.put_panic(PanicSaid("enough", ""))
        return ONE

    bench = Bench(lookup)
    assert bench.ask(query(WEB), query(WEB)) == [ONE, STOPPED]
    assert len(asked) == 1
