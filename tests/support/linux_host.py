"""What tests of the kernel's datapath say over and over."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final

from support.namespaces import Namespace
from varpd.datapath.base import Link
from varpd.datapath.linux.datapath import LinuxDatapath
from varpd.engine.events import Event
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

PATIENCE: Final = 10.0
"""Seconds until a condition counts as never coming true."""

POLL: Final = 0.01


def make_link(name: str = "blue", listen_ip: str = "192.0.2.1", **changes: Any) -> Link:
    """Return a DYNAMIC overlay, but for `changes`."""
    values: dict[str, Any] = {
        "vnetid": 42,
        "encapsulation": "vxlan",
        "mode": Mode.DYNAMIC,
        "number": 7,
        "listen_port": 4789,
    } | changes
    return Link(name=name, listen_ip=ip_address(listen_ip), **values)


def target(ip: str, port: int = 4789) -> Target:
    """Return a destination."""
    return Target(ip=ip_address(ip), port=port)


class Recorder:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def running(sink: Recorder) -> AsyncIterator[LinuxDatapath]:
    """A datapath at work in the namespace of this thread."""
    datapath = LinuxDatapath(sink)
    await datapath.start()
    try:
        yield datapath
    finally:
        await datapath.stop()


async def run(host: Namespace, *command: str) -> str:
    """Run a command beside the event loop and return what it printed."""
    return (await asyncio.to_thread(host.run, *command)).stdout


async def show_link(host: Namespace, name: str) -> dict[str, Any]:
    """Return what `ip` says of a link."""
    shown = json.loads(await run(host, "ip", "-details", "-json", "link", "show", "dev", name))
    assert isinstance(shown, list)
    found = shown[0]
    assert isinstance(found, dict)
    return found


async def link_names(host: Namespace) -> set[str]:
    """Return the names of all links."""
    shown = json.loads(await run(host, "ip", "-json", "link", "show"))
    return {item["ifname"] for item in shown}


async def show_fdb(host: Namespace, name: str) -> list[dict[str, Any]]:
    """Return what `bridge` says of the rows on a device."""
    shown: list[dict[str, Any]] = json.loads(
        await run(host, "bridge", "-json", "fdb", "show", "dev", name)
    )
    return shown


async def defaults(host: Namespace, name: str) -> list[str]:
    """Return where a tunnel device sends what it has no row for."""
    rows = await show_fdb(host, name)
    return [row["dst"] for row in rows if row["mac"] == "00:00:00:00:00:00"]
