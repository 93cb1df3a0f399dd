"""The real host: arguments checked in the caller, words in the mailbox."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from ipaddress import IPv6Address
from typing import Any

import pytest

from support.instances import LOCAL, OVERLAY
from support.probes import ONE, ROUTER, VXLAN, WEB, WEB_IP, GoodProbe, PointProbe
from support.waiting import until
from varpd.daemon.host import InstanceHost, Place
from varpd.daemon.mailbox import EndpointTaken, Mailbox
from varpd.daemon.shared import SharedObjects
from varpd.engine.events import Announced
from varpd.provider import Host, Panic, Plugin, Target, TargetInvalid, Unsupported


class Thing:
    def close(self) -> None:
        """Nothing to let go of."""


class Bench:
    def __init__(
        self, plugin: type[Plugin] = GoodProbe, shared: SharedObjects | None = None
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.said: list[object] = []
        self.tasks: list[str] = []
        self.box = Mailbox(self.deliver, self.counts)
        place = Place(plugin, OVERLAY, 77, "vxlan", VXLAN, LOCAL)
        self.real = InstanceHost(
            place, self.box, SharedObjects() if shared is None else shared, self.spawn
        )
        self.host: Host = self.real
        self.box.open()

    def deliver(self) -> None:
        self.said += self.box.take()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        coroutine.close()
        self.tasks.append(name)


async def test_it_knows_what_it_works_for() -> None:
    host = Bench().host
    assert (host.overlay, host.vnetid, host.encapsulation, host.local) == (
        OVERLAY,
        77,
        "vxlan",
        LOCAL,
    )
    assert host.log is not None


async def test_words_go_into_the_mailbox_in_their_normal_form() -> None:
    bench = Bench()
    mapped = Target(ip=IPv6Address("::ffff:192.0.2.1"), port=4789)
    bench.host.set_target(WEB, mapped)
    bench.host.invalidate(b"\xff" * 6)
    bench.host.inject_arp(WEB, WEB_IP, vlan=7, destination=bytes(ROUTER))
    bench.host.endpoint_taken(WEB, "x" * 300)
    await until(lambda: len(bench.said) == 4)
    assert bench.said == [
        (WEB, ONE),
        (b"\xff" * 6, None),
        Announced(OVERLAY, WEB, WEB_IP, 7, ROUTER),
        EndpointTaken(WEB, "x" * 255),
    ]


BAD: list[Callable[[Host], object]] = [
    lambda host: host.set_target(b"five!", ONE),
    lambda host: host.set_target(b"\x01" * 6, ONE),
    lambda host: host.invalidate(b""),
    lambda host: host.inject_arp(WEB, WEB_IP, vlan=0),
    lambda host: host.endpoint_taken(b"\x01" * 6, "host-b has it"),
    lambda host: host.endpoint_taken(WEB, ""),
    lambda host: host.degrade(""),
    lambda host: host.panic(""),
    lambda host: host.start_task("no coroutine", "poll"),  # type: ignore[arg-type] # junk
    lambda host: host.shared("", Thing),
]


@pytest.mark.parametrize("bad", BAD)
async def test_bad_arguments_raise_in_the_caller_and_say_nothing(
    bad: Callable[[Host], object],
) -> None:
    bench = Bench()
    with pytest.raises(ValueError):  # noqa: PT011 - the type is what is promised
        bad(bench.host)
    await asyncio.sleep(0)
    assert bench.said == []
    assert bench.box.panic is None


async def test_a_target_of_the_other_family_raises_in_the_caller() -> None:
    with pytest.raises(TargetInvalid, match="IPv6"):
        Bench().host.set_target(WEB, Target(ip=IPv6Address("2001:db8::1"), port=4789))


async def test_a_point_instance_has_no_targets_to_set() -> None:
    host = Bench(PointProbe).host
    with pytest.raises(Unsupported):
        host.set_target(WEB, ONE)
    with pytest.raises(Unsupported):
        host.invalidate(WEB)


async def test_a_panic_is_raised_in_the_calling_thread_and_kept_with_its_stack() -> None:
    bench = Bench()
    caught: list[BaseException] = []

    def give_up() -> None:
        try:
            bench.host.panic("enough")
        except Panic as exc:
            caught.append(exc)

    thread = threading.Thread(target=give_up)
    thread.start()
    await until(lambda: caught)
    assert bench.box.panic is not None
    assert bench.box.panic.message == "enough"
    assert "give_up" in bench.box.panic.stack


async def test_tasks_begin_on_the_loop_from_whatever_thread() -> None:
    bench = Bench()

    async def nap() -> None:
        await asyncio.sleep(0)

    bench.host.start_task(nap(), "here")
    thread = threading.Thread(target=lambda: bench.host.start_task(nap(), "there"))
    thread.start()
    await until(lambda: len(bench.tasks) == 2)
    bench.box.close()
    bench.host.start_task(nap(), "late")
    assert bench.tasks == ["here", "there"]
    assert bench.counts["ignored"] == 1
    with pytest.raises(ValueError, match="name"):
        bench.host.start_task(nap(), "")


async def test_shared_objects_are_released_once_however_often_they_were_asked_for() -> None:
    shared = SharedObjects()
    one, two = Bench(shared=shared), Bench(shared=shared)
    thing = one.host.shared("etcd", Thing)
    assert one.host.shared("etcd", Thing) is thing
    assert two.host.shared("etcd", Thing) is thing
    assert one.real.release() == []
    assert two.real.release() == [thing]
    assert two.real.release() == []


async def test_a_closed_instance_shares_nothing() -> None:
    bench = Bench()
    bench.box.close()
    with pytest.raises(Unsupported):
        bench.host.shared("etcd", Thing)
