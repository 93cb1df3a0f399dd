"""Who is let in where only targets may send."""

import asyncio
from concurrent.futures import Future
from ipaddress import ip_address

import pytest

from support.linux_host import target
from varpd.datapath.linux.guard import admission as module
from varpd.datapath.linux.guard.admission import RECENT, Admission, addresses_of
from varpd.engine.commands import (
    AskUsage,
    DatapathCommand,
    Inject,
    Install,
    InstallReplicas,
    RemoveRows,
    Resend,
    SetDefaultTarget,
)
from varpd.net.addresses import IpAddress

B, C = ip_address("192.0.2.2"), ip_address("192.0.2.3")
MAC = b"\x02\x00\x5e\x00\x53\x01"


def install(ip: IpAddress) -> Install:
    return Install("blue", target(str(ip)), [MAC], [])


class Bench:
    """A kernel that is asked to let in addresses, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[tuple[frozenset[IpAddress], Future[None]]] = []
        self.done: list[DatapathCommand] = []
        self.admission = Admission(self.put, self.done.extend, lambda: self.now)

    def put(self, addresses: frozenset[IpAddress]) -> Future[None]:
        future: Future[None] = Future()
        self.asked.append((addresses, future))
        return future

    async def let_in(self) -> None:
        for _, future in self.asked:
            if not future.done():
                future.set_result(None)
        await asyncio.sleep(0)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_frames_to_a_new_address_wait_until_it_is_let_in(bench: Bench) -> None:
    first = install(B)
    assert bench.admission.hold(first)
    assert bench.asked[0][0] == {B}
    assert bench.done == []
    await bench.let_in()
    assert bench.done == [first]
    assert not bench.admission.hold(install(B))


async def test_what_comes_behind_stays_behind(bench: Bench) -> None:
    commands: list[DatapathCommand] = [install(B), RemoveRows("blue", [MAC]), install(C)]
    assert all(bench.admission.hold(command) for command in commands)
    bench.asked[0][1].set_result(None)
    await asyncio.sleep(0)
    assert bench.done == []
    await bench.let_in()
    assert bench.done == commands
    assert not bench.admission.hold(RemoveRows("blue", [MAC]))


async def test_who_is_no_target_any_more_is_let_in_no_more_but_recent_ones_are(
    bench: Bench,
) -> None:
    bench.admission.admit([B])
    bench.now += RECENT
    bench.admission.admit([C])
    bench.admission.follow(frozenset())
    assert bench.admission.addresses == {C}
    assert bench.asked[-1][0] == {C}
    bench.now += RECENT
    bench.admission.follow(frozenset([C]))
    assert bench.admission.addresses == {C}
    assert len(bench.asked) == 3
    bench.admission.follow(frozenset([B]))
    assert bench.admission.addresses == {B}


async def test_no_more_waits_than_there_is_room_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    assert [bench.admission.hold(install(B)) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("command", "addresses"),
    [
        (install(B), (B,)),
        (Resend("blue", target(str(B)), []), (B,)),
        (SetDefaultTarget("blue", target(str(B))), (B,)),
        (InstallReplicas("blue", MAC, (target(str(B)), target(str(C)))), (B, C)),
        (RemoveRows("blue", [MAC]), ()),
        (Inject("blue", []), ()),
        (AskUsage("blue", [MAC]), ()),
    ],
)
def test_the_addresses_of_a_command(
    command: DatapathCommand, addresses: tuple[IpAddress, ...]
) -> None:
    assert addresses_of(command) == addresses
