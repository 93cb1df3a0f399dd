"""The monitor in the real kernel: this host's addresses, guests' MACs, floods of both."""

import asyncio
import socket
from pathlib import Path

import pytest

from support.linux_host import Recorder, make_link, run, running, target
from support.namespaces import Namespace
from support.waiting import until
from varpd.datapath.linux import monitor
from varpd.datapath.linux.learned import MACS_MAX
from varpd.engine.commands import Install
from varpd.engine.events import LocalAddressesChanged, MacsForgotten, MacsLearned

pytestmark = pytest.mark.integration

GUEST = "02:00:00:00:00:aa"
GUEST_MAC = bytes.fromhex(GUEST.replace(":", ""))


def local(sink: Recorder) -> set[str]:
    return {str(address) for address in sink.of(LocalAddressesChanged)[-1].addresses}


def learned(sink: Recorder) -> set[bytes]:
    """Return the MACs that were learned and not forgotten since."""
    found: set[bytes] = set()
    for event in sink.events:
        if isinstance(event, MacsLearned):
            found.update(event.macs)
        elif isinstance(event, MacsForgotten):
            found.difference_update(event.macs)
    return found


async def attach(host: Namespace, name: str = "port") -> None:
    await run(
        host,
        *("ip", "link", "add", name, "type", "veth"),
        *("peer", "name", f"{name}-guest", "address", GUEST),
    )
    await run(host, "ip", "link", "set", name, "master", "blue", "up")
    await run(host, "ip", "link", "set", f"{name}-guest", "up")


def say_something(interface: str) -> None:
    """Send one frame with the interface's MAC as its source, with no protocol in it."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((interface, 0))
        sender.send(b"\x02\x00\x00\x00\x00\x01" + GUEST_MAC + b"\x88\xb5" + bytes(46))


async def test_addresses_are_told_at_the_start_and_as_they_change(host: Namespace) -> None:
    sink = Recorder()
    async with running(sink):
        assert local(sink) == {"127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"}

        await run(host, "ip", "address", "add", "192.0.2.5/32", "dev", "lo")
        await until(lambda: "192.0.2.5" in local(sink))
        await run(host, "ip", "address", "del", "192.0.2.5/32", "dev", "lo")
        await until(lambda: "192.0.2.5" not in local(sink))


async def test_an_address_on_two_interfaces_is_local_until_the_second_is_gone(
    host: Namespace,
) -> None:
    sink = Recorder()
    await run(host, "ip", "link", "add", "port", "type", "veth", "peer", "name", "far")
    await run(host, "ip", "address", "add", "192.0.2.1/32", "dev", "port")
    async with running(sink):
        await run(host, "ip", "address", "del", "192.0.2.1/32", "dev", "lo")
        await run(host, "ip", "address", "add", "192.0.2.5/32", "dev", "lo")
        await until(lambda: "192.0.2.5" in local(sink))
        assert "192.0.2.1" in local(sink)
        await run(host, "ip", "address", "del", "192.0.2.1/32", "dev", "port")
        await until(lambda: "192.0.2.1" not in local(sink))


async def test_a_guest_is_learned_and_forgotten_with_its_port(host: Namespace) -> None:
    sink = Recorder()
    async with running(sink) as datapath:
        await datapath.open(make_link())
        await attach(host)
        await asyncio.to_thread(say_something, "port-guest")
        await until(lambda: GUEST_MAC in learned(sink))

        await run(host, "ip", "link", "del", "port")
        await until(lambda: not learned(sink))


async def test_guests_that_were_there_before_are_learned_at_once(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
        await attach(host)
        await asyncio.to_thread(say_something, "port-guest")
    sink = Recorder()
    async with running(sink) as datapath:
        await datapath.open(make_link())
        assert GUEST_MAC in learned(sink)


async def test_a_guest_that_is_installed_as_remote_is_forgotten(host: Namespace) -> None:
    sink = Recorder()
    async with running(sink) as datapath:
        await datapath.open(make_link())
        await attach(host)
        await asyncio.to_thread(say_something, "port-guest")
        await until(lambda: GUEST_MAC in learned(sink))

        datapath.apply([Install("blue", target("198.51.100.1"), [GUEST_MAC], [])])
        assert GUEST_MAC in learned(sink), "nothing is told from inside apply"
        await until(lambda: GUEST_MAC not in learned(sink))


async def test_other_bridges_and_own_rows_are_not_told(host: Namespace) -> None:
    sink = Recorder()
    async with running(sink) as datapath:
        await datapath.open(make_link())
        await run(host, "ip", "link", "add", "foreign", "type", "bridge")
        await run(host, "ip", "link", "add", "other", "type", "veth", "peer", "name", "far")
        await run(host, "ip", "link", "set", "other", "master", "foreign", "up")
        datapath.apply([Install("blue", target("198.51.100.1"), [b"\x02" + bytes(5)], [])])
        await datapath.settle()
        await attach(host)
        await asyncio.to_thread(say_something, "port-guest")
        await until(lambda: GUEST_MAC in learned(sink))
        assert len(learned(sink)) == 2, "the guest and its port"


async def test_fifty_thousand_rows_on_a_guests_port_are_bounded(
    host: Namespace, tmp_path: Path
) -> None:
    sink = Recorder()
    batch = tmp_path / "rows"
    await asyncio.to_thread(
        batch.write_text,
        "".join(
            f"fdb add 06:00:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x} "
            "dev port master static\n"
            for number in range(50_000)
        ),
    )
    async with running(sink) as datapath:
        await datapath.open(make_link())
        await attach(host)
        await run(host, "bridge", "-batch", str(batch))
        await until(lambda: len(learned(sink)) == MACS_MAX)
        assert datapath.monitor.passed_over > 0

        await run(host, "ip", "link", "del", "port")
        await until(lambda: not learned(sink))


async def test_an_overflow_loses_nothing(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "BUFFER", 4096)
    sink = Recorder()
    batch = tmp_path / "addresses"
    addresses = [f"10.9.{number >> 8}.{number & 255}" for number in range(5_000)]
    await asyncio.to_thread(
        batch.write_text, "".join(f"address add {address}/32 dev lo\n" for address in addresses)
    )
    async with running(sink) as datapath:
        await datapath.open(make_link())
        await attach(host)
        await asyncio.to_thread(say_something, "port-guest")
        await until(lambda: GUEST_MAC in learned(sink))

        await run(host, "ip", "-batch", str(batch))
        await run(host, "ip", "link", "del", "port")

        await until(lambda: local(sink) >= set(addresses) and not learned(sink))
        assert datapath.monitor.overflows > 0
        # It goes on as before.
        await run(host, "ip", "address", "del", "192.0.2.1/32", "dev", "lo")
        await until(lambda: "192.0.2.1" not in local(sink))
