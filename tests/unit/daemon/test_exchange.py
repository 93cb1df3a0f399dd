"""Questions and what comes back: one order, few events, a bounded lot a turn."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from support.instances import OVERLAY, query
from support.owner import Listener
from support.probes import ONE, TWO, VXLAN, WEB, WEB_IP, GoodProbe
from support.waiting import until
from varpd.daemon.calls import Caller
from varpd.daemon.exchange import Exchange
from varpd.daemon.guard import STOPPED, Guard
from varpd.daemon.mailbox import SLICE, EndpointTaken, Mailbox, PanicSaid
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.engine import commands
from varpd.engine.events import (
    DEFERRED,
    Announced,
    Event,
    Invalidated,
    LookupsAnswered,
    TargetSet,
)
from varpd.provider.judge import Judge, Operation

ANNOUNCED = Announced(OVERLAY, WEB, WEB_IP, None, None)


class Bench:
    def __init__(self, lookup: Callable[[Any], object], limit: int = 10_000) -> None:
        counts: Counter[str] = Counter()
        self.owner = Listener()
        self.mailbox = Mailbox(lambda: self.exchange.deliver(), counts, limit)
        caller = Caller(Tasks(), Watchdog(), self.owner, self.owner, blocking=False)
        judge = Judge(GoodProbe, VXLAN, 4, lambda _: None, counts)
        guard = Guard(caller, judge, self.mailbox, self.owner, counts)
        guard.begin({Operation.LOOKUP: lookup})
        self.exchange = Exchange(OVERLAY, self.mailbox, guard, self.owner, counts)
        self.mailbox.open()

    def ask(self, *questions: Any) -> list[Event]:
        return self.exchange.ask(commands.StartLookups(OVERLAY, list(questions)))


async def test_what_was_said_comes_first_then_one_event_with_all_answers() -> None:
    def lookup(question: Any) -> object:
        bench.mailbox.put_pair(WEB, TWO)
        bench.mailbox.put(ANNOUNCED)
        bench.mailbox.put_pair(WEB, None)
        return ONE

    bench = Bench(lookup)
    questions = [query(WEB)]
    told = bench.ask(*questions)
    assert told[:3] == [TargetSet(OVERLAY, WEB, TWO), ANNOUNCED, Invalidated(OVERLAY, WEB)]
    assert isinstance(told[3], LookupsAnswered)
    assert told[3].answers == [ONE]
    assert bench.owner.goods == 1


async def test_when_too_much_was_said_for_a_turn_the_answers_come_behind_it() -> None:
    def lookup(question: Any) -> object:
        for _ in range(2 * SLICE):
            bench.mailbox.put(ANNOUNCED)
        return ONE

    bench = Bench(lookup)
    question = query(WEB)
    told = bench.ask(question)
    assert len(told) == SLICE + 1
    assert isinstance(told[-1], LookupsAnswered)
    assert told[-1].answers == [DEFERRED]
    await until(lambda: len(bench.owner.events) > SLICE)
    last = bench.owner.events[-1]
    assert isinstance(last, LookupsAnswered)
    assert (last.queries, last.answers) == ([question], [ONE])
    assert bench.owner.events[:-1] == [ANNOUNCED] * SLICE


async def test_answers_that_come_together_share_one_event() -> None:
    go = asyncio.Event()

    async def lookup(_: Any) -> object:
        await go.wait()
        return ONE

    bench = Bench(lookup)
    questions = [query(WEB) for _ in range(5)]
    bench.ask(*questions)
    await asyncio.sleep(0)
    go.set()
    await until(lambda: bench.owner.events)
    assert len(bench.owner.events) == 1
    answered = bench.owner.events[0]
    assert isinstance(answered, LookupsAnswered)
    assert answered.queries == questions


async def test_answers_share_no_event_with_something_between_them() -> None:
    futures: list[Future[object]] = []

    def lookup(_: Any) -> object:
        futures.append(Future())
        return futures[-1]

    bench = Bench(lookup)
    bench.ask(query(WEB), query(WEB))

    def answer() -> None:
        futures[0].set_result(ONE)
        bench.mailbox.put(ANNOUNCED)
        futures[1].set_result(TWO)

    thread = threading.Thread(target=answer)
    thread.start()
    await until(lambda: len(bench.owner.events) == 3)
    assert bench.owner.events[1] == ANNOUNCED


async def test_conditions_and_wishes_reach_the_owner() -> None:
    bench = Bench(lambda _: ONE)
    bench.mailbox.put_condition("bad")
    bench.mailbox.put_save()
    await until(lambda: bench.owner.saves)
    assert bench.owner.conditions == ["bad"]
    assert bench.owner.saves == 1


async def test_what_found_no_place_is_one_fault_a_turn() -> None:
    bench = Bench(lambda _: ONE, limit=2)
    for _ in range(10):
        bench.mailbox.put(ANNOUNCED)
    await until(lambda: bench.owner.faults)
    assert len(bench.owner.events) == 2
    assert len(bench.owner.faults) == 1


async def test_a_panic_is_told_within_the_question_and_when_it_is_delivered() -> None:
    def lookup(_: Any) -> object:
        bench.mailbox.put_panic(PanicSaid("enough", ""))
        return ONE

    bench = Bench(lookup)
    bench.ask(query(WEB))
    assert bench.owner.panics == [PanicSaid("enough", "")]
    await until(lambda: len(bench.owner.panics) == 2)


async def test_what_is_outstanding_at_the_stop_is_answered_by_one_event() -> None:
    bench = Bench(lambda _: Future())
    questions = [query(WEB), query(WEB)]
    bench.ask(*questions)
    (told,) = bench.exchange.stop()
    assert isinstance(told, LookupsAnswered)
    assert told.queries == questions
    assert told.answers == [STOPPED, STOPPED]
    assert bench.exchange.stop() == []


async def test_macs_of_which_something_is_said_are_noted_for_who_wants_it() -> None:
    bench = Bench(lambda _: ONE)
    bench.mailbox.put_pair(WEB, None)
    with bench.exchange.noting() as noted, bench.exchange.noting() as other:
        await asyncio.sleep(0)
        assert noted == other == {WEB}
    bench.mailbox.put_pair(bytes(6), ONE)
    await asyncio.sleep(0)
    assert noted == {WEB}


async def test_that_another_host_took_a_guest_is_told_to_who_keeps_the_endpoints() -> None:
    bench = Bench(lambda _: ONE)
    bench.mailbox.put(EndpointTaken(WEB, "host-b has it"))
    await until(lambda: bench.owner.taken_macs)
    assert bench.owner.taken_macs == [(WEB, "host-b has it")]
    assert bench.owner.events == []
