"""Drift under load: what varpd writes itself is never taken for it, and no flood hides it for long.

One process: the engine, the runner and the kernel's datapath, without plugins. What plugins and
administrators would say is fed as events.
"""

import asyncio
import random
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from support.linux_host import make_link, run, show_link
from support.namespaces import Namespace, connect
from support.script import settings
from support.waiting import until
from varpd.daemon.runner import Runner
from varpd.daemon.sweeper import Sweeper
from varpd.datapath.linux import drift_monitor, tables
from varpd.datapath.linux.datapath import LinuxDatapath
from varpd.engine import events
from varpd.engine.engine import Engine
from varpd.engine.events import Event
from varpd.provider.answers import Target

pytestmark = pytest.mark.integration

FOREIGN = 50_000
"""Rows that somebody else writes at once."""

PATIENCE = 60.0
MEMORY = 200 << 20
"""Bytes that a process may grow by; entries and buffers for so many rows would be more."""

OWN = 500
TARGETS = [Target(IPv4Address(f"192.0.2.{number}"), 4789) for number in range(2, 12)]


def mac(number: int) -> bytes:
    return b"\x02\x00" + number.to_bytes(4, "big")


def foreign(number: int) -> bytes:
    return b"\x06\x00" + number.to_bytes(4, "big")


def group(number: int) -> bytes:
    return b"\x01\x00\x5e\x01\x02" + bytes([number])


class Stage:
    """A host with overlays `blue` and `red`."""

    def __init__(self, host: Namespace, guest: Namespace) -> None:
        self.host, self.guest = host, guest
        self.engine = Engine()
        loop = asyncio.get_running_loop()
        self.runner = Runner(self.engine, LinuxDatapath, loop)
        self.sweeper = Sweeper(self.engine.sweep, self.runner.feed, loop)
        self.linux = self.runner.datapath

    async def open(self, name: str, number: int) -> None:
        self.runner.feed(events.OverlayAdded(name, settings(vnetid=number)))
        self.runner.feed(events.InstanceStarted(name))
        await self.linux.open(make_link(name, vnetid=number, number=number))

    def feed(self, *what: Event) -> None:
        for event in what:
            self.runner.feed(event)

    def drift(self, overlay: str) -> dict[str, int]:
        """Return what was counted as drift, or repaired."""
        counters = self.engine.counters(overlay)
        names = ("drift.missing", "drift.wrong", "drift.extra", "drift.links", "repaired")
        return {name: counters[name] for name in names if counters.get(name)}

    def wanted(self, overlay: str) -> dict[bytes, set[Target]]:
        return {
            view.mac: set(view.targets) for view in self.engine.entries(overlay) if view.targets
        }

    async def there(self, overlay: str) -> dict[bytes, set[Target]]:
        return {row.mac: set(row.targets) for row in await self.linux.dump(overlay)}

    async def checked(self) -> None:
        """Wait until each row has been looked at once more."""
        self.feed(events.TablesDoubted())
        await until(lambda: not self.engine.sweep.in_doubt, PATIENCE)
        await self.linux.settle()


@pytest.fixture
def namespaces() -> Iterator[tuple[Namespace, Namespace]]:
    """The host, in whose namespace the test is, and a guest with a port `tap0` there."""
    with Namespace("host") as host, Namespace("guest") as guest:
        connect(guest, "eth0", host, "tap0")
        host.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
        with host.entered():
            yield host, guest


@pytest.fixture
async def stage(
    namespaces: tuple[Namespace, Namespace], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    # So small that foreign rows overflow it however quick the machine is.
    monkeypatch.setattr(drift_monitor, "BUFFER", 4096)
    async with AsyncExitStack() as stack:
        made = Stage(*namespaces)
        await made.linux.start()
        stack.push_async_callback(made.linux.stop)
        stack.callback(made.runner.close)
        made.sweeper.start()
        stack.callback(made.sweeper.stop)
        await made.open("blue", 1)
        await made.open("red", 2)
        for name in ("blue", "red"):
            for number in range(OWN):
                made.feed(events.TargetSet(name, mac(number), TARGETS[number % 10]))
        yield made


def something(choice: random.Random) -> Event:
    """Return something that plugins and administrators say all the time."""
    which = mac(choice.randrange(OWN)) if choice.random() < 0.9 else group(choice.randrange(8))
    target = choice.choice(TARGETS)
    match choice.randrange(8):
        case 0 | 1 | 2:
            return events.TargetSet("blue", which, target)
        case 3 | 4:
            return events.Invalidated("blue", which)
        case 5:
            return events.EntrySet("blue", which, target if choice.random() < 0.7 else None)
        case 6:
            return events.EntryDeleted("blue", which)
        case _:
            if choice.random() < 0.02:
                return events.TableFlushed("blue")
            return events.RowsTouched("blue", [which], [mac(choice.randrange(OWN))])


async def test_what_varpd_does_itself_is_no_drift(stage: Stage) -> None:
    """A flood of changes, each of which may meet a look at its row at any point of its way."""
    choice = random.Random(86)
    for round_number in range(300):
        stage.engine.sweep.doubt()
        stage.feed(*(something(choice) for _ in range(choice.randrange(1, 200))))
        stage.feed(events.CheckDue(choice.randrange(1, 512)))
        # Sometimes the writer comes to it, sometimes the next changes come first.
        await asyncio.sleep(0 if round_number % 3 else 0.005)
    await stage.checked()
    await until(lambda: not stage.engine.sweep.in_doubt, PATIENCE)
    assert stage.drift("blue") == {}
    assert stage.drift("red") == {}
    assert await stage.there("blue") == stage.wanted("blue")


async def test_removing_a_large_table_is_no_drift(stage: Stage) -> None:
    for start in range(0, 20_000, 500):
        stage.feed(
            *(events.TargetSet("blue", mac(start + at), TARGETS[at % 10]) for at in range(500))
        )
        await asyncio.sleep(0)
    await stage.linux.settle()
    stage.feed(events.TableFlushed("blue"))
    stage.feed(*(events.TargetSet("blue", mac(at), TARGETS[0]) for at in range(0, 20_000, 7)))
    await stage.checked()
    assert stage.drift("blue") == stage.drift("red") == {}
    assert await stage.there("blue") == stage.wanted("blue")


def used() -> tuple[float, int]:
    """Return the seconds of processor that this process has used, and its most bytes."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def write_batch(batch: Path) -> None:
    """Write what somebody does: very many rows added, and half of varpd's removed."""
    lines = [
        f"fdb add {foreign(n).hex(':')} dev vx-blue dst 192.0.2.99 self" for n in range(FOREIGN)
    ]
    lines += [f"fdb del {mac(n).hex(':')} dev vx-blue self" for n in range(0, OWN, 2)]
    batch.write_text("\n".join(lines) + "\n", encoding="ascii")


async def test_an_overflow_by_foreign_rows_is_seen_to(stage: Stage, tmp_path: Path) -> None:
    batch = tmp_path / "batch"
    await asyncio.to_thread(write_batch, batch)
    await stage.linux.settle()
    _, memory = used()
    await run(stage.host, "bridge", "-batch", str(batch))
    linux = stage.linux
    assert isinstance(linux, LinuxDatapath)
    await until(lambda: linux.caretaker.monitor.overflows > 0, PATIENCE)

    device = (await show_link(stage.host, "vx-blue"))["ifindex"]

    def strangers() -> int:
        return sum(row.mac[0] == 6 for row in tables.fdb_rows(device))

    deadline = time.monotonic() + 2 * PATIENCE
    while await asyncio.to_thread(strangers):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    await stage.checked()
    assert await stage.there("blue") == stage.wanted("blue")
    assert await stage.there("red") == stage.wanted("red")
    assert stage.drift("blue")["drift.extra"] == FOREIGN
    assert stage.drift("blue")["drift.missing"] == OWN / 2
    assert stage.drift("red") == {}
    assert used()[1] - memory < MEMORY


@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=pytest.mark.long)])
async def test_a_guest_with_very_many_macs_is_no_drift(stage: Stage, count: int) -> None:
    await run(stage.host, "ip", "link", "set", "tap0", "master", "blue", "up")
    _, memory = used()
    with stage.guest.entered():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with sender:
        sender.setblocking(False)
        sender.bind(("eth0", 0x88B5))
        for number in range(count):
            with suppress(BlockingIOError):
                sender.send(mac(1) + foreign(number) + b"\x88\xb5" + bytes(46))
            if number % 100 == 0:
                await asyncio.sleep(0)
    await stage.checked()
    assert stage.drift("blue") == stage.drift("red") == {}
    assert used()[1] - memory < MEMORY
    assert (await stage.there("blue"))[mac(1)] == {TARGETS[1]}


async def test_what_is_idle_costs_nothing_to_speak_of(stage: Stage) -> None:
    await stage.checked()
    before, began = used()[0], time.monotonic()
    await asyncio.sleep(3)
    assert (used()[0] - before) / (time.monotonic() - began) < 0.2


async def test_destinations_of_a_group_are_put_right(stage: Stage) -> None:
    which = group(1)
    stage.feed(events.TargetSet("blue", which, TARGETS[0]))
    await stage.linux.settle()
    row = (which.hex(":"), "dev", "vx-blue", "self")
    await run(stage.host, "bridge", "fdb", "append", *row, "dst", "192.0.2.99")
    await until(lambda: stage.drift("blue").get("repaired") == 1, PATIENCE)
    await stage.linux.settle()
    assert (await stage.there("blue"))[which] == {TARGETS[0]}
    await run(stage.host, "bridge", "fdb", "del", *row)
    await until(lambda: stage.drift("blue").get("repaired") == 2, PATIENCE)
    await stage.linux.settle()
    assert (await stage.there("blue"))[which] == {TARGETS[0]}
