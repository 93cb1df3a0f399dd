"""Looking after links, with kernel's threads whose answers the tests give."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any, cast

import pytest

from support.linux_host import Recorder, make_link
from support.waiting import until
from varpd.datapath.linux.caretaker import Caretaker
from varpd.datapath.linux.link_check import Examined, Port
from varpd.datapath.linux.links import Pair
from varpd.datapath.linux.opening import Made
from varpd.datapath.linux.patience import AT_ONCE
from varpd.engine.events import LinksDrifted, LinksWrong, PortsSeen, TableLost

PAIR, NEW = Pair(6, 7, adopted=False), Pair(16, 17, adopted=False)
DOWN = "vx-blue was down"
GONE = "the bridge blue was gone"


class Kernel:
    """Both threads: what is asked is answered from `answers`, or that all is well."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.jobs: list[str] = []
        self.tables = self

    def submit(self, job: Callable[..., Any], *arguments: Any) -> Future[Any]:
        name = job.__name__
        self.jobs.append(name)
        future: Future[Any] = Future()
        waiting = self.answers.get(name)
        usual = {"examine": Examined([], ports=[]), "repair": PAIR, "put_back": []}
        answer = waiting.pop(0) if waiting else usual[name]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future


class Follower:
    """The row writer and the monitor."""

    def __init__(self) -> None:
        self.moves: list[tuple[Any, ...]] = []

    def open(self, *what: Any, **more: Any) -> None:
        self.moves.append(("rows", *what))

    def move(self, *what: Any) -> None:
        self.moves.append(("guests", *what))


class Bench:
    def __init__(self) -> None:
        self.kernel, self.sink, self.follower = Kernel(), Recorder(), Follower()
        follower = cast(Any, self.follower)
        self.caretaker = Caretaker(cast(Any, self.kernel), self.sink, follower, follower)

    async def look(self, *examined: Examined, repair: bool = True) -> None:
        """Begin to look after an overlay that is found to be so, and see it through."""
        self.kernel.answers["examine"] = list(examined)
        self.caretaker.care(make_link(repair=repair), Made(PAIR, None, None))
        await until(lambda: not self.kernel.answers["examine"])
        await self.settle()

    async def settle(self) -> None:
        cared = self.caretaker.cared["blue"]
        await until(lambda: not cared.busy)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.caretaker.leave("blue")


async def test_where_all_is_well_nothing_is_told(bench: Bench) -> None:
    await bench.look(Examined([], ports=[]))
    assert bench.sink.events == []
    assert "repair" not in bench.kernel.jobs


async def test_what_was_changed_is_put_right_and_told(bench: Bench) -> None:
    await bench.look(Examined([DOWN], ports=[]), Examined([], ports=[]))
    assert bench.sink.events == [LinksDrifted("blue", [DOWN], repaired=True)]
    assert bench.kernel.jobs == ["examine", "repair", "examine"]
    assert bench.follower.moves == []


async def test_rows_that_went_are_asked_for(bench: Bench) -> None:
    await bench.look(Examined(["x"], lost=True, ports=[]))
    await until(lambda: bool(bench.sink.of(TableLost)))


async def test_new_links_are_followed_and_get_the_ports_back(bench: Bench) -> None:
    port = Port("tap0", 9)
    bench.kernel.answers["repair"] = [NEW]
    bench.kernel.answers["put_back"] = [["tap0"]]
    await bench.look(
        Examined([], ports=[port]),
    )
    bench.kernel.answers["examine"] = [Examined([GONE], lost=True, rebuild=True)]
    bench.caretaker.look_in(bench.caretaker.cared["blue"], 0.0)
    await until(lambda: "put_back" in bench.kernel.jobs)
    await bench.settle()
    assert bench.follower.moves == [("rows", "blue", 17), ("guests", "blue", 16, 17)]
    assert bench.sink.events == [
        PortsSeen("blue", ("tap0",)),
        LinksDrifted("blue", [GONE], repaired=True),
        TableLost("blue"),
        LinksDrifted("blue", ["tap0 had lost the bridge blue"], repaired=True),
    ]
    assert bench.caretaker.cared["blue"].made.pair == NEW


async def test_with_report_differences_are_told_once_and_while_they_last(bench: Bench) -> None:
    wrong = Examined([DOWN], ports=[])
    await bench.look(wrong, repair=False)
    for _ in range(2):
        bench.kernel.answers["examine"] = [wrong]
        bench.caretaker.look_in(bench.caretaker.cared["blue"], 0.0)
        await until(lambda: not bench.kernel.answers["examine"])
        await bench.settle()
    assert bench.sink.events == [
        LinksDrifted("blue", [DOWN], repaired=False),
        LinksWrong("blue", DOWN),
    ]
    bench.caretaker.look_in(bench.caretaker.cared["blue"], 0.0)
    await until(lambda: len(bench.sink.events) == 3)
    assert bench.sink.events[2] == LinksWrong("blue", None)
    assert "repair" not in bench.kernel.jobs


async def test_what_cannot_be_put_right_is_told_and_tried_again(bench: Bench) -> None:
    bench.kernel.answers["repair"] = [OSError(1, "no")]
    await bench.look(Examined([DOWN], ports=[]))
    await until(lambda: bool(bench.sink.events))
    assert bench.sink.events == [
        LinksWrong("blue", "links cannot be put right: [Errno 1] no"),
    ]
    cared = bench.caretaker.cared["blue"]
    assert 0.5 < cared.due - asyncio.get_running_loop().time() <= 1.0


async def test_what_is_changed_again_and_again_is_put_right_later(bench: Bench) -> None:
    wrong = Examined([DOWN], ports=[])
    await bench.look(*[wrong] * (AT_ONCE + 2))
    assert len(bench.sink.of(LinksDrifted)) == AT_ONCE + 1
    told = bench.sink.of(LinksWrong)
    assert told[-1].message.startswith("somebody keeps changing links")


async def test_what_varpd_changes_itself_is_left_alone_meanwhile(bench: Bench) -> None:
    await bench.look(Examined([], ports=[]))
    before = len(bench.kernel.jobs)
    bench.caretaker.pause("blue")
    bench.caretaker.look_in(bench.caretaker.cared["blue"], 0.0)
    await until(lambda: bench.caretaker.cared["blue"].again)
    assert len(bench.kernel.jobs) == before
    bench.caretaker.resume("blue", make_link(mtu=1400))
    await until(lambda: len(bench.kernel.jobs) > before)
    assert bench.caretaker.cared["blue"].link.mtu == 1400


async def test_an_overlay_that_is_left_is_told_nothing_about(bench: Bench) -> None:
    bench.kernel.answers["examine"] = [Examined([DOWN], ports=[])]
    bench.caretaker.care(make_link(), Made(PAIR, None, None))
    bench.caretaker.leave("blue")
    await asyncio.sleep(0)
    assert bench.sink.events == []
    assert bench.kernel.jobs == []


class Table:
    """What was read, which may be large."""


async def test_what_was_read_goes_with_whoever_took_it(bench: Bench) -> None:
    await bench.look()
    cared = bench.caretaker.cared["blue"]
    taken: list[weakref.ref[Table]] = []
    future: Future[Table] = Future()
    bench.caretaker.submit(
        cared, future, lambda _, table: taken.append(weakref.ref(cast(Table, table)))
    )
    gc.disable()
    try:
        future.set_result(Table())
        del future
        await until(lambda: taken and taken[0]() is None)
    finally:
        gc.enable()
