"""What happens to the guard when overlays come, change and go."""

import asyncio
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from typing import Any, cast

import pytest

from support.fake_kernel import FakeKernel
from support.fake_nftables import FakeNftables
from support.linux_host import make_link
from support.waiting import until
from varpd.datapath.linux import netlink, tables
from varpd.datapath.linux.detours import Detour
from varpd.datapath.linux.guard import layout, snapshot
from varpd.datapath.linux.guard import protection as module
from varpd.datapath.linux.guard.guard import Guard
from varpd.datapath.linux.guard.layout import INET
from varpd.datapath.linux.guard.protection import Protection, guarded
from varpd.datapath.linux.links import Pair
from varpd.datapath.linux.netlink import FdbRow
from varpd.datapath.linux.opening import Made
from varpd.datapath.linux.threads import KernelThreads
from varpd.engine.commands import Install
from varpd.engine.events import GuardReported
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

PAIR = Pair(3, 4, adopted=False)
MAC = b"\x02\x00\x5e\x00\x53\x01"
ELSEWHERE_IP = ip_address("192.0.2.3")
HERE = Target(ip=ip_address("192.0.2.2"), port=4789)
ELSEWHERE = Target(ip=ELSEWHERE_IP, port=4789)


class Bench:
    """A protection over a kernel that is none."""

    def __init__(self) -> None:
        self.there = FakeNftables()
        self.told: list[GuardReported] = []
        self.kernel = FakeKernel()
        self.protection = Protection(KernelThreads(), self.told.append)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()
    monkeypatch.setattr(module, "Guard", lambda tell: Guard(tell, bench.there.session))
    bench.protection = Protection(KernelThreads(), bench.told.append)
    port = bench.kernel.put("port", "veth")
    monkeypatch.setattr(tables, "open_ports", lambda bridge, mask: {port.index})
    return bench


def test_links_are_guarded_and_their_ports_closed(bench: Bench) -> None:
    bench.protection.protect(bench.kernel, make_link(), PAIR)
    assert "host-blue" in bench.there.names()
    assert bench.kernel.done == ["forwards 4 port"]
    assert bench.told == []


def test_what_cannot_be_had_is_told_and_no_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.kernel.refusals["forwards 4 port"] = 22
    bench.protection.protect(bench.kernel, make_link(), PAIR)
    assert "01:80:c2:00:00:02" in (bench.told[-1].message or "")

    def unreadable(*_: object) -> set[int]:
        raise OSError("no")

    monkeypatch.setattr(tables, "open_ports", unreadable)
    bench.protection.protect(bench.kernel, make_link(), PAIR)
    assert "cannot be read" in (bench.told[-1].message or "")


def test_an_overlay_that_could_not_be_opened_leaves_no_rules(bench: Bench) -> None:
    with ExitStack() as undo:
        bench.protection.protecting(undo)(bench.kernel, make_link(), PAIR)
        assert "host-blue" in bench.there.names()
    assert bench.there.names() == []


def test_links_that_were_there_before_stay_guarded_when_they_cannot_be_taken_over(
    bench: Bench,
) -> None:
    with ExitStack() as undo:
        adopted = Pair(3, 4, adopted=True)
        bench.protection.protecting(undo)(bench.kernel, make_link(), adopted)
    assert "host-blue" in bench.there.names()


def test_the_guard_knows_an_overlay_by_its_link() -> None:
    link = make_link(host_access=True, underlay=("eth0",), sources=(ip_network("192.0.2.0/24"),))
    item = guarded(link, PAIR, None, link.sources)
    assert (item.overlay, item.vnetid, item.listen_port) == ("blue", 42, 4789)
    assert item.listen_ip == ip_address("192.0.2.1")
    assert (item.bridge, item.device) == (3, 4)
    assert item.host_access
    assert (item.underlay, item.sources) == (link.underlay, link.sources)
    assert item.punt_ports == (789,)


def test_a_point_overlay_hands_nothing_to_varpd() -> None:
    assert guarded(make_link(mode=Mode.POINT), PAIR, None, None).punt_ports == ()


def test_a_detour_is_known_by_its_port() -> None:
    target = Target(ip=ip_address("192.0.2.1"), port=801)
    made = Made(PAIR, None, target, Detour(None, target))  # type: ignore[arg-type]
    assert guarded(make_link(), PAIR, made, None).punt_ports == (789, 801)


@pytest.mark.parametrize("adopted", [True, False])
def test_before_targets_are_known_nobody_is_let_in(bench: Bench, *, adopted: bool) -> None:
    pair = Pair(3, 4, adopted=adopted)
    bench.protection.protect(bench.kernel, make_link(only_targets=True), pair)
    assert "from an address outside of allow_from" in bench.there.comments("wrapped-blue")


async def test_whom_the_rows_of_an_earlier_daemon_name_is_let_in_from_the_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        FdbRow(4, 0, netlink.NTF_SELF, MAC, ELSEWHERE_IP.packed, None, 0, 0),
        FdbRow(4, 0, netlink.NTF_SELF, bytes(6), b"\x7f\x56\x00\x01", 789, 0, 0),
        FdbRow(4, 0, netlink.NTF_MASTER, MAC, b"", None, 3, 0),
    ]
    device = bench.kernel.put("vx-blue", "vxlan")
    monkeypatch.setattr(module, "find", lambda kernel, overlay: (None, device))
    monkeypatch.setattr(tables, "whole_fdb", lambda index: iter(rows))
    threads = KernelThreads()
    bench.protection = Protection(threads, bench.told.append)
    await threads.start()
    try:
        link = make_link(only_targets=True)
        await bench.protection.prepare(link)
        pair = Pair(3, 4, adopted=True)
        await asyncio.to_thread(bench.protection.protect, bench.kernel, link, pair)
        parts = snapshot.read(bench.there.session())["blue"][INET]
        let_in = [each.key for each in parts.elements if each.set == layout.from_set("blue")]
        assert let_in == [ELSEWHERE_IP.packed]
    finally:
        await bench.protection.stop()
        await threads.stop()


async def test_targets_are_let_in_and_no_longer(bench: Bench) -> None:
    threads = KernelThreads()
    done: list[object] = []
    bench.protection = Protection(threads, bench.told.append)
    await threads.start()
    link, made = make_link(only_targets=True, mode=Mode.POINT), Made(PAIR, None, None)
    try:
        bench.protection.start(cast(Any, None), cast(Any, None), done.extend)
        bench.protection.opened(link, made, lambda packets, arrived: None, [(MAC, (HERE,))])
        command = Install("blue", ELSEWHERE, [MAC], [])
        assert bench.protection.holds(command)
        await until(lambda: done == [command])
        assert not bench.protection.holds(command)
        bench.protection.follow("blue", frozenset([ELSEWHERE_IP]))

        await bench.protection.change(make_link(mode=Mode.POINT), made)
        assert not bench.protection.holds(Install("blue", HERE, [MAC], []))
        assert "from an address outside of allow_from" not in bench.there.comments("wrapped-blue")
    finally:
        await bench.protection.let_go("blue")
        await bench.protection.stop()
        await threads.stop()
