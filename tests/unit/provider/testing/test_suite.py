"""Tests of the suite as authors use it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from support.probes import (
    KNOWN,
    NEIGHBOURS,
    ONE,
    PROXIED,
    ROUTER,
    VALUES,
    WEB,
    AwaitableProbe,
    GoodProbe,
    PointProbe,
    SleepingThreadProbe,
    ThreadedProbe,
)
from varpd.net.addresses import BROADCAST
from varpd.provider import PROXY_DHCP, Answer
from varpd.provider.testing import suite
from varpd.provider.testing.case import Case, Question
from varpd.provider.testing.frames import frame_query
from varpd.provider.testing.guard import FakeGuard
from varpd.provider.testing.suite import PluginConformance, conformance, run

ANSWERS: list[tuple[Question, Answer]] = [
    *((frame_query(mac), target) for mac, target in KNOWN.items()),
    *((frame_query(BROADCAST, ethertype=kind), answer) for kind, answer in PROXIED.items()),
    (BROADCAST, PROXY_DHCP),
]
REFUSED = [("probe/site", "nowhere")]


class TestOfAClass(PluginConformance):
    plugin = GoodProbe
    values = VALUES
    refused = REFUSED
    answers = ANSWERS
    neighbours = tuple(NEIGHBOURS.items())
    dhcp = ((BROADCAST, ROUTER),)


class TestWithAFixture(PluginConformance):
    plugin = GoodProbe

    @pytest.fixture(autouse=True)
    def site(self) -> None:
        self.values = VALUES
        self.answers = ANSWERS


TestOfAwaitables = conformance(AwaitableProbe, values=VALUES, answers=ANSWERS)

TestOfThreads = conformance(ThreadedProbe, values=VALUES, answers=ANSWERS)

TestOfAPointPlugin = conformance(PointProbe, default=ONE)


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError):
        conformance(GoodProbe, anwsers=[])


def test_there_is_a_test_for_every_check() -> None:
    names = {name for name in vars(PluginConformance) if name.startswith("test_")}

    assert len(names) == 16


async def hang(_: Case) -> None:
    await asyncio.Event().wait()


def test_a_plugin_that_hangs_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "PATIENCE", 0.02)

    with pytest.raises(AssertionError, match="hangs"):
        run(hang, Case(plugin=GoodProbe))


@pytest.fixture
def end() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_thread_that_is_left_fails(monkeypatch: pytest.MonkeyPatch, end: threading.Event) -> None:
    monkeypatch.setattr("varpd.provider.testing.watch.GRACE", 0.02)

    async def leave(_: Case) -> None:
        threading.Thread(target=end.wait, name="straggler").start()

    with pytest.raises(AssertionError, match="straggler"):
        run(leave, Case(plugin=GoodProbe))


def test_a_thread_of_ours_that_the_plugin_keeps_is_not_its_own(
    monkeypatch: pytest.MonkeyPatch, end: threading.Event
) -> None:
    monkeypatch.setattr("varpd.provider.testing.watch.GRACE", 0.02)

    class Waiting(SleepingThreadProbe):
        api_version = 1

        def where(self, query: object) -> Answer:
            return ONE

    async def ask(case: Case) -> None:
        host = case.make_host()
        instance = case.plugin(host, case.destination)
        assert isinstance(instance, SleepingThreadProbe)
        instance.release = end
        guard = FakeGuard(instance, host, timeout=0.02)
        for name, value in VALUES.items():
            await guard.set_property(name, value)
        await guard.start()
        await guard.lookup(frame_query(WEB))
        await guard.stop()

    run(ask, Case(plugin=Waiting))
