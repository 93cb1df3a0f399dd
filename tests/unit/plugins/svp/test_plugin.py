"""The `svp` plugin: its answers, and what it says unasked."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from support.portolan import Portolan
from support.waiting import until
from varpd.net.addresses import BROADCAST, MacAddress
from varpd.net.ethernet import EtherType
from varpd.plugins.svp import SvpPlugin
from varpd.plugins.svp import log as log_module
from varpd.plugins.svp.messages import Shootdown
from varpd.plugins.svp.plugin import ServerError
from varpd.plugins.svp.wire import serialize
from varpd.provider import (
    DROP,
    PROXY_ARP,
    PROXY_NDP,
    DestinationKind,
    PropertyInvalid,
    PropertyMissing,
    StopReason,
    Target,
    Unsupported,
    Value,
)
from varpd.provider.testing import (
    Announced,
    FakeHost,
    Invalidated,
    PluginConformance,
    TargetSet,
    frame_query,
)

VXLAN = DestinationKind.IP | DestinationKind.PORT
VNETID = 100
WEB = MacAddress.parse("02:00:5e:10:00:01")
SIX = MacAddress.parse("02:00:5e:10:00:02")
STRANGER = MacAddress.parse("02:00:5e:10:00:99")
WEB_IP, WEB_IP6 = ip_address("10.77.0.1"), ip_address("fd00:77::1")
HOST, HOST6 = ip_address("198.51.100.11"), ip_address("2001:db8:9::3")
OTHER = ip_address("198.51.100.12")
WEB_AT, SIX_AT = Target(ip=HOST, port=4789), Target(ip=HOST6, port=4790)
ELSEWHERE = Target(ip=OTHER, port=4789)
UNDERLAY = ip_address("198.51.100.1")
LOCAL = Target(ip=UNDERLAY, port=4789)
SOLICITED = "33:33:ff:00:00:01"


def portolan() -> Portolan:
    return Portolan(
        macs={(VNETID, bytes(WEB)): (HOST, 4789), (VNETID, bytes(SIX)): (HOST6, 4790)},
        addresses={(VNETID, WEB_IP): bytes(WEB), (VNETID, WEB_IP6): bytes(WEB)},
        logs={UNDERLAY: []},
    )


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that lives longer than the loops of the suite."""
    found: list[int] = []
    started, loop, fake = threading.Event(), asyncio.new_event_loop(), portolan()

    def run() -> None:
        found.append(loop.run_until_complete(fake.start()))
        started.set()
        loop.run_forever()
        loop.run_until_complete(fake.stop())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    yield found[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


class TestConformance(PluginConformance):
    plugin = SvpPlugin
    answers = (
        (WEB, WEB_AT),
        (SIX, SIX_AT),
        (frame_query(BROADCAST, ethertype=EtherType.ARP), PROXY_ARP),
        (frame_query(WEB, ethertype=EtherType.ARP), WEB_AT),
        (frame_query(SOLICITED, ethertype=EtherType.IPV6), PROXY_NDP),
    )
    neighbours = (
        (WEB_IP, WEB),
        (WEB_IP6, WEB),
        (ip_address("10.77.0.4"), DROP),
        (ip_address("fd00:77::4"), DROP),
    )
    unknown = (
        STRANGER,
        frame_query(BROADCAST),
        frame_query(BROADCAST, ethertype=EtherType.IPV6),
        frame_query("01:00:5e:00:00:fb"),
    )
    refused = (("svp/host", "two words"),)

    @pytest.fixture(autouse=True)
    def server(self, port: int) -> None:
        self.values = {
            "svp/host": "127.0.0.1",
            "svp/port": port,
            "svp/underlay_ip": UNDERLAY,
        }


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "IDLE", 0.02)
    monkeypatch.setattr(log_module, "BUSY", 0.0)
    monkeypatch.setattr("varpd.plugins.svp.backoff.SHORTEST", 0.02)


@pytest.fixture
async def server() -> AsyncIterator[Portolan]:
    fake = portolan()
    yield fake
    await fake.stop()


@asynccontextmanager
async def started(server: Portolan, **values: Value) -> AsyncIterator[tuple[SvpPlugin, FakeHost]]:
    """An instance at work; keywords are its properties without the plugin's name."""
    host = FakeHost(vnetid=VNETID, local=LOCAL)
    instance = SvpPlugin(host, VXLAN)
    given = {"host": "127.0.0.1", "port": await server.start(), **values}
    for name, value in given.items():
        instance.set_property(f"svp/{name}", value)
    host.run(asyncio.get_running_loop())
    await instance.start()
    host.started()
    try:
        yield instance, host
        assert host.faults == []
    finally:
        await instance.stop(StopReason.DELETED)
        await host.stopped()
        instance.close()
        host.closed()


async def lookup(instance: SvpPlugin, mac: MacAddress) -> Any:
    answer = instance.lookup(frame_query(mac, vnetid=VNETID))
    return answer if isinstance(answer, Target) else await answer  # type: ignore[misc]


async def arp(instance: SvpPlugin, address: Any) -> Any:
    answer = instance.arp(address)
    return answer if isinstance(answer, MacAddress) else await answer  # type: ignore[misc]


async def test_an_answer_about_an_address_brings_its_target_before_it(server: Portolan) -> None:
    async with started(server) as (instance, host):
        assert await arp(instance, WEB_IP) == WEB
        assert host.said == [TargetSet(WEB, WEB_AT)]
        # So the frame that follows needs no question.
        assert instance.lookup(frame_query(WEB, vnetid=VNETID)) == WEB_AT
        assert [kind for kind, _ in server.asked if kind in (3, 5)] == [5]


async def test_answers_are_given_again_for_a_time(server: Portolan) -> None:
    async with started(server, cache_time=1_000) as (instance, _):
        assert await lookup(instance, WEB) == WEB_AT
        server.macs.clear()
        assert await lookup(instance, WEB) == WEB_AT
        await instance.reload()
        assert await lookup(instance, WEB) == DROP


async def test_with_no_time_for_answers_each_is_asked_for(server: Portolan) -> None:
    async with started(server, cache_time=0) as (instance, _):
        assert await lookup(instance, WEB) == WEB_AT
        assert await lookup(instance, WEB) == WEB_AT
        assert [kind for kind, _ in server.asked].count(3) == 2
        instance.set_property("svp/cache_time", 60)
        assert await lookup(instance, WEB) == WEB_AT
        assert [kind for kind, _ in server.asked].count(3) == 2


async def test_while_no_server_is_there_old_answers_are_good_enough(server: Portolan) -> None:
    async with started(server, cache_time=0) as (instance, _):
        assert await lookup(instance, WEB) == WEB_AT
        assert await arp(instance, WEB_IP) == WEB
        await server.stop()
        remote = instance.servers()
        await until(lambda: not remote.is_healthy)
        assert await lookup(instance, WEB) == WEB_AT
        assert await arp(instance, WEB_IP) == WEB


async def test_a_mac_that_moved_is_asked_for_anew(server: Portolan) -> None:
    async with started(server) as (instance, host):
        assert await lookup(instance, WEB) == WEB_AT
        server.move(VNETID, bytes(WEB), OTHER)
        await until(lambda: server.logs[UNDERLAY] == [])
        assert host.said == [Invalidated(WEB)]
        assert await lookup(instance, WEB) == ELSEWHERE


@pytest.mark.parametrize("address", [WEB_IP, WEB_IP6])
@pytest.mark.parametrize(("vlan", "told"), [(0, None), (5, 5), (4095, None)])
async def test_guests_are_told_who_has_an_address_now(
    server: Portolan, address: Any, vlan: int, told: int | None
) -> None:
    async with started(server) as (instance, host):
        assert await arp(instance, address) == WEB
        server.give(VNETID, address, bytes(SIX), vlan)
        server.macs[VNETID, bytes(SIX)] = (OTHER, 4789)
        await until(lambda: server.logs[UNDERLAY] == [])
        moved = [TargetSet(SIX, ELSEWHERE), Announced(SIX, address, told, None)]
        assert host.said[1:] == moved
        assert await arp(instance, address) == SIX


async def test_what_a_server_says_from_its_cache_is_not_believed_for_ever(
    server: Portolan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real one repeats for ten seconds what it said, whatever its own log says."""
    monkeypatch.setattr("varpd.plugins.svp.doubts.STALE", 0.6)
    server.stale = 0.5
    async with started(server) as (instance, host):
        assert await lookup(instance, WEB) == WEB_AT
        assert await arp(instance, WEB_IP) == WEB
        server.move(VNETID, bytes(WEB), OTHER)
        server.give(VNETID, WEB_IP6, bytes(SIX))
        await until(lambda: server.logs[UNDERLAY] == [])
        assert await lookup(instance, WEB) == WEB_AT  # which is old
        await until(lambda: host.said.count(Invalidated(WEB)) == 2)
        assert await lookup(instance, WEB) == ELSEWHERE


async def test_an_address_that_nobody_has_any_more_is_forgotten(server: Portolan) -> None:
    async with started(server) as (instance, host):
        assert await arp(instance, WEB_IP) == WEB
        server.give(VNETID, WEB_IP, bytes(STRANGER))
        await until(lambda: server.logs[UNDERLAY] == [])
        assert host.said == [TargetSet(WEB, WEB_AT)]
        assert await arp(instance, WEB_IP) == DROP


@pytest.mark.parametrize(
    ("mac", "where"),
    [
        (bytes.fromhex("01005e000001"), (HOST, 4789)),
        (bytes(6), (HOST, 4789)),
        (bytes(WEB), (HOST, 0)),
    ],
)
async def test_an_answer_that_cannot_be_is_a_fault_and_no_row(
    server: Portolan, mac: bytes, where: Any
) -> None:
    async with started(server) as (instance, host):
        server.macs[VNETID, mac] = where
        server.addresses[VNETID, WEB_IP] = mac
        with pytest.raises(ServerError):
            await arp(instance, WEB_IP)
        server.give(VNETID, WEB_IP, mac)
        await until(lambda: server.logs[UNDERLAY] == [])
        assert host.rows == {}


async def test_a_server_that_cannot_answer_is_a_fault_or_the_old_answer_holds(
    server: Portolan,
) -> None:
    async with started(server, cache_time=0) as (instance, _):
        assert await lookup(instance, WEB) == WEB_AT
        assert await arp(instance, WEB_IP) == WEB
        server.fatal = True
        assert await lookup(instance, WEB) == WEB_AT
        assert await arp(instance, WEB_IP) == WEB
        with pytest.raises(ServerError, match=f"{STRANGER}: FATAL"):
            await lookup(instance, STRANGER)
        with pytest.raises(ServerError, match=r"10\.77\.0\.9: FATAL"):
            await arp(instance, ip_address("10.77.0.9"))


@pytest.mark.parametrize(("sender", "heeded"), [("127.0.0.1", True), ("127.0.0.2", False)])
async def test_a_host_may_say_of_itself_that_a_mac_is_not_there(
    server: Portolan, sender: str, heeded: bool
) -> None:
    here = ip_address("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server.macs[VNETID, bytes(WEB)] = (here, 4789)
    values: dict[str, Value] = {"shootdown": "listen", "underlay_ip": here, "underlay_port": port}
    async with started(server, **values) as (instance, host):
        await lookup(instance, WEB)
        await lookup(instance, SIX)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            other.bind((sender, 0))
            for mac in (SIX, WEB):
                other.sendto(serialize(1, Shootdown(mac, VNETID)), ("127.0.0.1", port))
            listener = instance._listener
            assert listener is not None
            await until(lambda: listener._heeded == 2)
        assert host.said == ([Invalidated(WEB)] if heeded else [])


async def test_what_is_wrong_with_the_servers_degrades_the_overlay(server: Portolan) -> None:
    async with started(server, host="no-such-host.invalid") as (_, host):
        await until(lambda: host.degraded is not None)
        assert host.degraded == (
            "failed to resolve or find entries for hostname no-such-host.invalid"
        )


async def test_it_needs_an_address_of_this_host() -> None:
    instance = SvpPlugin(FakeHost(), VXLAN)
    instance.set_property("svp/host", "127.0.0.1")
    with pytest.raises(PropertyMissing, match="svp/underlay_ip"):
        await instance.start()


async def test_a_port_for_shootdowns_that_is_taken_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        instance = SvpPlugin(FakeHost(), VXLAN)
        for name, value in (
            ("host", "127.0.0.1"),
            ("underlay_ip", ip_address("127.0.0.1")),
            ("shootdown", "listen"),
            ("underlay_port", taken.getsockname()[1]),
        ):
            instance.set_property(f"svp/{name}", value)
        with pytest.raises(PropertyInvalid, match="in use"):
            await instance.start()


def test_it_supplies_addresses_with_ports_and_nothing_else() -> None:
    for kinds in (DestinationKind.IP, DestinationKind.ETHERNET):
        with pytest.raises(Unsupported):
            SvpPlugin(FakeHost(destination=kinds), kinds)
