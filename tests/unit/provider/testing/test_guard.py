"""Tests of the fake guard, by probes that go wrong in every way."""

import asyncio
import threading
from collections.abc import Awaitable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from support.probes import (
    JUNK,
    KNOWN,
    ONE,
    ROUTER,
    ROUTER_IP,
    TWO,
    WEB,
    WEB_IP,
    AwaitableProbe,
    FailingStartProbe,
    FutureProbe,
    GoodProbe,
    HangingProbe,
    LateProbe,
    OtherLoopProbe,
    PanickingProbe,
    PanickingThreadProbe,
    PointProbe,
    RaisingProbe,
    SleepingThreadProbe,
    StubbornProbe,
    ThreadedProbe,
    junk_probe,
    make,
)
from varpd.net.addresses import BROADCAST
from varpd.provider import (
    DROP,
    PROXY_ARP,
    Answer,
    DestinationKind,
    Drop,
    DynamicPlugin,
    Later,
    Neighbour,
    Property,
    PropertyInvalid,
    PropertyType,
    Query,
    Replicate,
    StopReason,
    Target,
    Value,
)
from varpd.provider.state import MAX_STATE
from varpd.provider.testing.calls import MAX_THREADS
from varpd.provider.testing.frames import frame_query, refresh_query
from varpd.provider.testing.guard import FakeGuard
from varpd.provider.testing.host import FakeHost, Panicked, TargetSet

SHORT = 0.02
"""Seconds to wait for what never comes."""


async def at_work(
    plugin: type[GoodProbe], *, timeout: float = 30.0
) -> tuple[FakeGuard, Any, FakeHost]:
    host = FakeHost()
    instance = make(plugin, host)
    guard = FakeGuard(instance, host, timeout=timeout)
    await guard.start()
    return guard, instance, host


@pytest.mark.parametrize("plugin", [GoodProbe, AwaitableProbe, ThreadedProbe])
async def test_however_it_answers_the_answer_arrives(plugin: type[GoodProbe]) -> None:
    guard, _, host = await at_work(plugin)

    assert await guard.lookup(frame_query(WEB)) == ONE
    assert await guard.lookup(refresh_query(ROUTER)) == TWO
    assert await guard.arp(ROUTER_IP) == Neighbour(ROUTER, router=True)
    assert await guard.dhcp(frame_query(BROADCAST)) == ROUTER
    assert await guard.enumerate() == list(KNOWN.items())
    await guard.stop()
    assert guard.faults == []
    assert host.rows == KNOWN


async def test_a_future_of_a_thread_is_an_answer() -> None:
    guard, instance, _ = await at_work(FutureProbe)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(guard.lookup(frame_query(WEB)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        instance.release()

    assert asked.result() == ONE
    await guard.stop()


async def test_a_blocking_plugin_is_asked_in_a_thread() -> None:
    guard, instance, _ = await at_work(ThreadedProbe)
    await guard.lookup(frame_query(WEB))
    await guard.stop()

    assert "operation of probe" in instance.calls


@pytest.mark.parametrize(
    ("plugin", "fault"),
    [
        (RaisingProbe, "lookup: RuntimeError: no idea"),
        (PanickingProbe, "lookup: Panic: lookup gives up"),
        (OtherLoopProbe, "lookup: TypeError: its answer is a future of another event loop"),
    ],
)
async def test_a_fault_is_noted_and_the_frame_dropped(plugin: type[GoodProbe], fault: str) -> None:
    guard, _, _ = await at_work(plugin)

    assert await guard.lookup(frame_query(WEB)) == DROP
    assert guard.faults == [fault]
    await guard.stop()
    assert guard.faults == [fault]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
async def test_junk_is_a_fault(junk: object) -> None:
    guard, _, _ = await at_work(junk_probe(junk))

    assert await guard.lookup(frame_query(WEB)) == DROP
    assert await guard.arp(WEB_IP) == DROP
    assert await guard.dhcp(frame_query(BROADCAST)) == DROP
    assert len(guard.faults) == 3
    await guard.stop()


@pytest.mark.parametrize("answer", [PROXY_ARP, Replicate.to(ONE)])
async def test_varpds_own_question_is_answered_by_a_target_or_drop(answer: Answer) -> None:
    guard, _, _ = await at_work(junk_probe(answer))

    assert await guard.lookup(frame_query(WEB)) == answer
    assert await guard.lookup(refresh_query(WEB)) == DROP
    assert len(guard.faults) == 1
    await guard.stop()


async def test_a_bad_target_among_several_is_a_fault() -> None:
    guard, _, _ = await at_work(junk_probe(Replicate((ONE, Target(ip=ONE.ip)))))

    assert await guard.lookup(frame_query(BROADCAST)) == DROP
    assert len(guard.faults) == 1
    await guard.stop()


async def test_a_proxy_answer_without_its_operation_is_a_fault() -> None:
    class Bare(DynamicPlugin):
        api_version = 1
        name = "bare"

        def lookup(self, query: Query) -> Later[Answer]:
            return PROXY_ARP

    host = FakeHost()
    guard = FakeGuard(Bare(host, DestinationKind.IP), host)
    await guard.start()

    assert await guard.lookup(frame_query(BROADCAST)) == DROP
    assert "without defining arp()" in guard.faults[0]
    await guard.stop()


@pytest.mark.parametrize(
    "answer",
    [bytes(WEB), Neighbour(WEB, router=1), Drop(hold=-1)],  # type: ignore[arg-type] # junk
    ids=["plain bytes", "router=1", "negative hold"],
)
async def test_what_varpd_would_not_take_is_not_taken_here(answer: object) -> None:
    guard, _, _ = await at_work(junk_probe(answer))

    assert await guard.arp(WEB_IP) == DROP
    assert len(guard.faults) == 1
    await guard.stop()


async def test_a_target_of_the_other_family_is_dropped_and_no_fault() -> None:
    far = Target(ip=IPv6Address("2001:db8::1"), port=4789)
    host = FakeHost(local=Target(ip=IPv4Address("192.0.2.9"), port=4789))
    guard = FakeGuard(make(junk_probe(far), host), host)
    await guard.start()

    assert await guard.lookup(frame_query(WEB)) == DROP
    assert guard.faults == []
    assert host.log.lines[-1][2] == {"target": str(far)}
    await guard.stop()


async def test_no_answer_in_time_is_a_fault() -> None:
    guard, _, _ = await at_work(HangingProbe, timeout=SHORT)

    assert await guard.lookup(frame_query(WEB)) == DROP
    assert guard.faults == [f"lookup: no answer after {SHORT} s"]
    await guard.stop()


async def test_a_thread_that_sleeps_for_ever_holds_up_nothing() -> None:
    guard, instance, _ = await at_work(SleepingThreadProbe, timeout=SHORT)

    assert await guard.lookup(frame_query(WEB)) == DROP
    await guard.stop()
    instance.release.set()


async def test_a_blocking_plugin_is_asked_eight_times_at_once_and_no_more() -> None:
    guard, instance, _ = await at_work(SleepingThreadProbe)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(guard.lookup(frame_query(WEB))) for _ in range(2 * MAX_THREADS)]
        for _ in range(3):
            await asyncio.sleep(0)
        names = [thread.name for thread in threading.enumerate()]
        instance.release.set()

    assert names.count("operation of probe") == MAX_THREADS
    assert [answer.result() for answer in asked] == [ONE] * (2 * MAX_THREADS)
    await guard.stop()


async def test_open_questions_are_dropped_at_the_stop_and_no_fault() -> None:
    guard, _, _ = await at_work(HangingProbe)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(guard.lookup(frame_query(WEB)))
        await asyncio.sleep(0)
        await guard.stop()

    assert asked.result() == DROP
    assert guard.faults == []


async def test_an_answer_given_after_the_stop_does_not_count() -> None:
    guard, _, host = await at_work(StubbornProbe)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(guard.lookup(frame_query(WEB)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await guard.stop()

    assert asked.result() == DROP
    assert host.rows == {}


async def test_nothing_is_asked_before_the_start_and_after_the_stop() -> None:
    host = FakeHost()
    instance = make(GoodProbe, host)
    guard = FakeGuard(instance, host)
    instance.calls.clear()

    async def ask() -> None:
        assert await guard.lookup(frame_query(WEB)) == DROP
        assert await guard.arp(WEB_IP) == DROP
        assert await guard.dhcp(frame_query(BROADCAST)) == DROP
        assert await guard.enumerate() == []
        assert await guard.save() is None
        await guard.reload()

    await ask()
    await guard.start()
    await guard.stop(StopReason.SHUTDOWN)
    await ask()

    assert instance.calls == ["start", "stop shutdown", "close"]


async def test_a_failed_start_is_followed_by_close_and_not_by_stop() -> None:
    host = FakeHost()
    instance = make(FailingStartProbe, host)
    guard = FakeGuard(instance, host)
    with pytest.raises(ConnectionError):
        await guard.start()

    assert instance.calls[-2:] == ["start", "close"]


async def test_close_comes_once() -> None:
    guard, instance, _ = await at_work(GoodProbe)
    await guard.stop()
    await guard.stop()
    guard.close()

    assert instance.calls.count("close") == 1
    assert instance.calls.count("stop deleted") == 1


async def test_a_panic_in_a_thread_is_heard() -> None:
    guard, _, host = await at_work(PanickingThreadProbe)
    await guard.lookup(frame_query(WEB))
    await guard.stop()

    assert host.said == [Panicked("a thread gives up")]


async def test_an_answer_asked_for_before_an_invalidation_is_not_installed() -> None:
    guard, instance, host = await at_work(LateProbe)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(guard.lookup(frame_query(WEB)))
        await asyncio.sleep(0)
        host.invalidate(WEB)
        instance.release.set()

    assert asked.result() == DROP
    assert host.rows == {}
    await guard.stop()


async def test_what_was_said_in_an_operation_takes_effect_before_its_answer() -> None:
    class Speaking(GoodProbe):
        api_version = 1

        def arp(self, address: object) -> Any:
            self.host.set_target(WEB, TWO)
            return WEB

    guard, _, host = await at_work(Speaking)

    assert await guard.arp(WEB_IP) == WEB
    assert host.said == [TargetSet(WEB, TWO)]
    await guard.stop()


async def test_a_point_plugin_is_asked_for_its_default() -> None:
    host = FakeHost(point=True)
    guard = FakeGuard(PointProbe(host, DestinationKind.IP | DestinationKind.PORT), host)
    await guard.start()

    assert await guard.default() == ONE
    with pytest.raises(TypeError):
        await guard.lookup(frame_query(WEB))
    await guard.stop()


@pytest.mark.parametrize(
    "state",
    [None, [1], {"a": b"x"}, {"a": (1,)}, {1: 2}, {"a": float("inf")}, {"a": "x" * MAX_STATE}],
    ids=["none", "list", "bytes", "tuple", "number as key", "infinite", "large"],
)
async def test_a_state_that_is_no_small_json_object_is_a_fault(state: Any) -> None:
    class Forgetful(GoodProbe):
        api_version = 1

        def save(self) -> Any:
            return state

    guard, _, _ = await at_work(Forgetful)

    assert await guard.save() is None
    assert len(guard.faults) == 1
    await guard.stop()


async def test_save_and_default_have_to_answer_plainly() -> None:
    async def state() -> dict[str, object]:
        return {}

    class Slow(GoodProbe):
        api_version = 1

        def save(self) -> Any:
            return state()

    guard, _, _ = await at_work(Slow)

    assert await guard.save() is None
    assert guard.faults == ["save: TypeError: save returned coroutine, not a JSON object"]
    await guard.stop()


async def test_values_are_checked_by_the_declaration_first() -> None:
    guard, instance, _ = await at_work(GoodProbe)
    instance.calls.clear()

    with pytest.raises(PropertyInvalid):
        await guard.set_property("probe/weight", 101)
    assert instance.calls == []
    await guard.stop()


async def test_several_values_are_set_all_or_none() -> None:
    class Picky(GoodProbe):
        api_version = 1

        @classmethod
        def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
            return (
                *super().properties(destination),
                Property("probe/last", PropertyType.STRING),
            )

        def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
            if name == "probe/last":
                raise PropertyInvalid(name, value, "never")
            return super().set_property(name, value)

    guard, instance, _ = await at_work(Picky)
    with pytest.raises(PropertyInvalid):
        await guard.set_properties({"probe/weight": 5, "probe/shard": 8, "probe/last": "x"})

    assert instance.get_property("probe/weight") == 1
    assert instance.get_property("probe/shard") == 7
    await guard.stop()
