"""Tests of the fake host."""

import asyncio
import threading
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from support.probes import ONE, TWO, WEB
from varpd.net.addresses import BROADCAST, ZERO
from varpd.provider import DestinationKind, Host, Panic, Target, TargetInvalid, Unsupported
from varpd.provider.testing.host import (
    Announced,
    Degraded,
    EndpointTaken,
    FakeHost,
    Invalidated,
    Panicked,
    Restored,
    SaveAsked,
    TargetSet,
)


def started() -> FakeHost:
    host = FakeHost()
    host.started()
    return host


def test_it_is_a_host() -> None:
    host: Host = FakeHost(overlay="blue", vnetid=7, encapsulation="nvgre", local=ONE)

    assert (host.overlay, host.vnetid, host.encapsulation, host.local) == ("blue", 7, "nvgre", ONE)


def test_it_keeps_what_is_said_in_order() -> None:
    host = started()
    host.set_target(WEB, ONE)
    host.invalidate(WEB)
    host.inject_arp(WEB, IPv4Address("10.0.0.1"), vlan=5)
    host.degrade("slow")
    host.restore()
    host.save_soon()

    assert host.said == [
        TargetSet(WEB, ONE),
        Invalidated(WEB),
        Announced(WEB, IPv4Address("10.0.0.1"), 5),
        Degraded("slow"),
        Restored(),
        SaveAsked(),
    ]


def test_what_is_said_before_the_start_takes_effect_with_it() -> None:
    host = FakeHost()
    host.set_target(WEB, ONE)
    assert host.said == []
    assert host.rows == {}

    host.started()
    assert host.said == [TargetSet(WEB, ONE)]
    assert host.rows == {WEB: ONE}


def test_what_is_said_after_the_close_is_ignored_and_counted() -> None:
    host = started()
    host.closed()
    host.set_target(WEB, ONE)
    host.degrade("slow")

    assert host.said == []
    assert host.ignored == 2


@pytest.mark.parametrize("mac", [b"", b"12345", bytes(7), BROADCAST, ZERO, "02:00:5e:00:53:11"])
def test_a_target_is_set_for_one_station_only(mac: bytes) -> None:
    with pytest.raises(ValueError, match="MAC address"):
        started().set_target(mac, ONE)


def test_a_target_that_does_not_fit_is_refused_in_the_caller() -> None:
    host = FakeHost(destination=DestinationKind.IP)

    with pytest.raises(TargetInvalid):
        host.set_target(WEB, ONE)


def test_a_target_of_the_other_family_than_the_hosts_is_refused() -> None:
    host = FakeHost(local=Target(ip=IPv6Address("2001:db8::1"), port=4789))

    with pytest.raises(TargetInvalid, match="IPv4"):
        host.set_target(WEB, ONE)


def test_a_point_instance_cannot_speak_of_macs() -> None:
    host = FakeHost(point=True)

    with pytest.raises(Unsupported):
        host.set_target(WEB, ONE)
    with pytest.raises(Unsupported):
        host.invalidate(WEB)


def test_any_mac_can_be_invalidated() -> None:
    host = started()
    host.invalidate(BROADCAST)

    assert host.said == [Invalidated(BROADCAST)]


def test_a_panic_is_kept_and_raised_in_its_thread() -> None:
    host = started()
    with pytest.raises(Panic, match="the end"):
        host.panic("the end")

    assert host.said == [Panicked("the end")]


def test_the_last_word_says_whether_it_is_degraded() -> None:
    host = started()
    assert host.degraded is None
    host.degrade("slow")
    host.degrade("slower")
    assert host.degraded == "slower"
    host.restore()
    assert host.degraded is None


def test_a_later_answer_does_not_replace_what_was_said_meanwhile() -> None:
    host = started()
    changes = host.changes(WEB)
    host.set_target(WEB, TWO)

    assert host.install(WEB, ONE, changes) == TWO
    assert host.rows == {WEB: TWO}


def test_an_answer_from_before_an_invalidation_is_not_installed() -> None:
    host = started()
    changes = host.changes(WEB)
    host.invalidate(WEB)

    assert host.install(WEB, ONE, changes) is None
    assert host.rows == {}


def test_it_may_be_spoken_to_from_any_thread() -> None:
    host = started()

    def speak() -> None:
        for _ in range(500):
            host.invalidate(WEB)

    threads = [threading.Thread(target=speak) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(host.said) == 8 * 500
    assert host.changes(WEB) == 8 * 500


async def test_a_task_runs_from_before_the_start_until_the_stop() -> None:
    host = FakeHost()
    begun = asyncio.Event()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    host.start_task(work(), "work")
    host.run(asyncio.get_running_loop())
    await begun.wait()
    assert not ended.is_set()

    await host.stopped()
    assert ended.is_set()
    assert host.faults == []


async def test_a_task_can_be_started_from_a_thread() -> None:
    host = FakeHost()
    host.run(asyncio.get_running_loop())
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    threading.Thread(target=lambda: host.start_task(work(), "work")).start()
    await done.wait()
    await host.stopped()


async def test_what_leaves_a_task_is_a_fault() -> None:
    host = FakeHost()
    host.run(asyncio.get_running_loop())

    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        raise RuntimeError("lost")

    host.start_task(work(), "work")
    await begun.wait()
    await host.stopped()

    assert [str(fault) for fault in host.faults] == ["lost"]


async def test_after_the_stop_no_task_begins() -> None:
    host = FakeHost()
    host.run(asyncio.get_running_loop())
    await host.stopped()

    async def work() -> None:
        raise AssertionError

    host.start_task(work(), "work")

    assert host.ignored == 1


class Connection:
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_what_is_shared_is_made_once_and_closed_at_the_end() -> None:
    host = FakeHost()
    one = host.shared("server", Connection)
    assert host.shared("server", Connection) is one
    assert host.shared("another", Connection) is not one

    host.closed()
    assert one.closed == 1
    with pytest.raises(Unsupported):
        host.shared("server", Connection)


def test_what_is_shared_needs_a_key() -> None:
    with pytest.raises(ValueError, match="key"):
        FakeHost().shared("", Connection)


def test_a_task_is_a_coroutine_with_a_name() -> None:
    async def work() -> None:
        raise AssertionError

    no_coroutine: Any = work
    with pytest.raises(ValueError, match="not a coroutine"):
        FakeHost().start_task(no_coroutine, "work")
    with pytest.raises(ValueError, match="name"):
        FakeHost().start_task(work(), "")


def test_the_log_keeps_its_lines() -> None:
    host: FakeHost = FakeHost()
    host.log.debug("a")
    host.log.info("b", n=1)
    host.log.warning("c")
    host.log.error("d")

    assert [line[0] for line in host.log.lines] == ["debug", "info", "warning", "error"]
    assert host.log.lines[1] == ("info", "b", {"n": 1})


def test_it_hears_that_another_host_took_a_guest() -> None:
    host = started()
    host.endpoint_taken(WEB, "host-b has it")
    assert host.said == [EndpointTaken(WEB, "host-b has it")]
    with pytest.raises(ValueError, match="one station"):
        host.endpoint_taken(BROADCAST, "host-b has it")
