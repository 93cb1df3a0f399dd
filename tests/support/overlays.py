"""The parts of the daemon that serve overlays, put together on a datapath that only remembers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Address
from typing import ClassVar, Final

from msgspec import structs
from structlog.testing import capture_logs

from support.probes import GoodProbe, PointProbe
from varpd.control.messages import CreateOverlay
from varpd.daemon import catalogue
from varpd.daemon.backoff import Backoff
from varpd.daemon.creation import Surroundings
from varpd.daemon.instance import Instance
from varpd.daemon.journal import Journal
from varpd.daemon.loader import LoadedPlugin, Registry
from varpd.daemon.lookups import Meters
from varpd.daemon.metrics import Metrics
from varpd.daemon.overlay import Plan
from varpd.daemon.overlays import Overlays
from varpd.daemon.restoring import Restoration
from varpd.daemon.runner import Runner
from varpd.daemon.service import DaemonService
from varpd.daemon.shared import SharedObjects
from varpd.daemon.tasks import Tasks
from varpd.datapath.base import (
    DatapathError,
    DatapathErrorCode,
    Link,
    LinkState,
    PuntState,
    Row,
    Sink,
)
from varpd.datapath.counters import HostCounters, OverlayCounters
from varpd.datapath.inspection import MacRows
from varpd.engine.commands import DatapathCommand
from varpd.engine.engine import Engine
from varpd.engine.settings import Mode
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Drop, Target
from varpd.provider.errors import PropertyInvalid, Unsupported
from varpd.provider.host import Host
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import Plugin, PointPlugin
from varpd.provider.properties import Property, PropertyType, Range, Value
from varpd.store.memory import MemoryStore

BOOT: Final = "b00t"
"""Which boot of the host it is."""

REFUSAL: Final = DatapathError(DatapathErrorCode.PORT_IN_USE, "something listens on that port")


class RememberingDatapath:
    """Keeps what it was told; each operation fails on demand."""

    name = "remembering"
    encapsulations = ("vxlan",)

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.links: dict[str, Link] = {}
        self.commands: list[DatapathCommand] = []
        self.log: list[str] = []
        self.failing: dict[str, DatapathError] = {}
        """What the next calls of an operation raise."""

        self.paths: dict[IpAddress, int] = {}
        """MTUs of paths to targets; 0: there is none. Others have 1500."""

        self.rows: dict[bytes, MacRows] = {}
        """What it has for MACs; for others nothing."""

        self.counted: dict[str, OverlayCounters] = {}
        self.counted_in_all = HostCounters()
        """What it says that it has counted."""

        self.punts = PuntState(buffer=4 << 20)
        """How it is with the way of punted frames."""

        self.refused: dict[str, dict[str, int]] = {}
        """What antispoof has refused, by overlay and port."""

        self.ports: dict[str, tuple[str, ...]] = {}
        """Guests' ports that bridges have."""

        self.gate: asyncio.Event | None = None
        """What `open` waits for."""

    async def start(self) -> None:
        self._may("start")

    async def stop(self) -> None:
        self._may("stop")

    async def open(self, link: Link) -> LinkState:
        if self.gate is not None:
            await self.gate.wait()
        self._may("open", link.name)
        self.links[link.name] = link
        return await self.state(link.name)

    async def close(self, overlay: str) -> None:
        self._may("close", overlay)
        self.links.pop(overlay, None)

    async def change(self, link: Link) -> LinkState:
        self._may("change", f"{link.name} mtu {link.mtu}")
        self.links[link.name] = link
        return await self.state(link.name)

    def follow(self, overlay: str, targets: frozenset[IpAddress]) -> None:
        """Let everybody send."""

    def apply(self, commands: Sequence[DatapathCommand]) -> None:
        self.commands += [item for item in commands if item.overlay in self.links]

    async def settle(self) -> None:
        return

    def counters(self, overlay: str) -> OverlayCounters:
        return self.counted.get(overlay, OverlayCounters())

    def totals(self) -> HostCounters:
        return self.counted_in_all

    async def dump(self, overlay: str) -> list[Row]:
        return []

    async def rows_of(self, overlay: str, mac: bytes) -> MacRows:
        return self.rows.get(mac, MacRows(None, None, None, punts=True))

    async def state(self, overlay: str) -> LinkState:
        if "state" in self.failing:
            raise self.failing["state"]
        link = self.links[overlay]
        return LinkState(overlay, f"vx-{overlay}", link.mtu or 1500, self.ports.get(overlay, ()))

    async def refused_at_ports(self) -> dict[str, dict[str, int]]:
        self._may("refused_at_ports")
        return self.refused

    async def present(self) -> list[str]:
        return sorted(self.links)

    async def path_mtu(self, listen_ip: IpAddress, target: IpAddress) -> int:
        if self.paths.get(target) == 0:
            raise DatapathError(DatapathErrorCode.FAILED, "no route")
        return self.paths.get(target, 1500)

    async def try_punt(self, overlay: str) -> PuntState | None:
        self._may("try_punt", overlay)
        return self.punts if self.links[overlay].mode is Mode.DYNAMIC else None

    def _may(self, operation: str, what: str = "") -> None:
        if operation in self.failing:
            raise self.failing[operation]
        self.log.append(f"{operation} {what}".rstrip())


class EagerProbe(GoodProbe):
    """Says where a MAC is before its start has returned."""

    api_version = 1
    name: ClassVar[str] = "eager"

    async def start(self) -> None:
        await super().start()
        self.host.set_target(b"\2\0\0\0\0\x77", Target(ip=IPv4Address("192.0.2.7"), port=4789))


class PickyProbe(GoodProbe):
    """Cannot supply what any encapsulation needs."""

    api_version = 1
    name: ClassVar[str] = "picky"

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        raise Unsupported("only ETHERNET")


class SteeredProbe(PointPlugin):
    """Sends everything to 192.0.2.N, N being its property; it refuses 13, and 0 is nowhere."""

    api_version = 1
    name: ClassVar[str] = "steered"

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        return (Property("steered/to", PropertyType.UINT, default=1, possible=(Range(0, 99),)),)

    def set_property(self, name: str, value: Value | None) -> None:
        if value == 13:
            raise PropertyInvalid(name, value, "unlucky")
        super().set_property(name, value)

    def default(self) -> Target | Drop:
        number = self.get_property("steered/to")
        return Target(ip=IPv4Address(f"192.0.2.{number}"), port=4789) if number else Drop()


PLUGINS: Final = (GoodProbe, PointProbe, EagerProbe, PickyProbe, SteeredProbe)


def registry(*plugins: type[Plugin]) -> Registry:
    """Return a registry with these plugins, or with all of `PLUGINS`."""
    found = Registry()
    for plugin in plugins or PLUGINS:
        found.plugins[plugin.name] = LoadedPlugin(plugin, f"probe ({plugin.__name__})")
    return found


def surroundings(defaults: Mapping[str, Value] | None = None) -> Surroundings:
    """Return what overlays can be made of."""
    return Surroundings(
        plugins=registry().plugins,
        own=catalogue.declarations(),
        defaults=defaults or {},
        datapath=RememberingDatapath.name,
        encapsulations=RememberingDatapath.encapsulations,
    )


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        """How long the sleepers want to sleep, in order."""
        self._wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self._wake.wait()

    def pass_time(self) -> None:
        """Let all who sleep wake up."""
        self._wake.set()
        self._wake = asyncio.Event()


class Parts:
    """Engine, runner, datapath, store, overlays and service of one host."""

    def __init__(
        self,
        store: MemoryStore | None = None,
        plugins: Sequence[type[Plugin]] = (),
        boot: str = BOOT,
    ) -> None:
        self.tasks = Tasks()
        self.store = MemoryStore() if store is None else store
        self.clock = Clock()
        self.engine = Engine()
        self._shared = SharedObjects()
        self.meters = Meters()
        made: list[RememberingDatapath] = []

        def make(sink: Sink) -> RememberingDatapath:
            made.append(RememberingDatapath(sink))
            return made[0]

        self.runner = Runner(self.engine, make, asyncio.get_running_loop())
        (self.datapath,) = made
        known = registry(*plugins)
        here = structs.replace(surroundings(), plugins=known.plugins)
        self.overlays = Overlays(self.runner, here, self.instance, self.tasks, self.store, boot)
        self.journal = Journal(asyncio.get_running_loop().time)
        self.runner.observers.append(self.journal)
        metrics = Metrics("0.0-probe", self.overlays, self.runner, self.engine, self.meters)
        self.restoration = Restoration(
            self.overlays,
            self.datapath,
            self.store,
            self.tasks,
            boot,
            self.clock.sleep,
            lambda: Backoff(uniform=lambda low, _high: low),
        )
        self.service = DaemonService(
            self.overlays,
            self.restoration,
            self.store,
            self.runner,
            self.engine,
            known,
            self.journal,
            metrics,
        )

    def instance(self, plan: Plan) -> Instance:
        """Return an instance as the daemon makes it."""
        return Instance(
            plan.plugin,
            plan.name,
            plan.vnetid,
            plan.encapsulation,
            plan.local(),
            plan.instance_settings(),
            self.tasks,
            self.runner.feed,
            self._shared,
            lambda: None,
            meter=self.meters.of_instance(plan.plugin.name),
            keep=partial(self.store.save_state, plan.name),
        )

    async def restore(self) -> None:
        """Do what a daemon does at its start."""
        await self.restoration.load()
        await self.restoration.restore()
        self.service.open()

    async def end(self) -> None:
        """Do what a daemon does at its end."""
        await self.restoration.end()
        await self.overlays.end()
        await self.tasks.end()
        self.runner.close()


@asynccontextmanager
async def parts() -> AsyncIterator[Parts]:
    """Give the parts of a host, and end them."""
    with capture_logs():  # to format a traceback means to read files, which blocks the loop
        made = Parts()
        made.service.open()
        try:
            yield made
        finally:
            made.datapath.failing.clear()
            await made.end()


def link_of(plan: Plan) -> Link:
    """Return the links of an overlay as a daemon has left them."""
    settings = plan.settings()
    assert settings.listen_ip is not None
    assert settings.listen_port is not None
    return Link(
        plan.name,
        plan.vnetid,
        plan.encapsulation.name,
        plan.mode,
        plan.number,
        settings.listen_ip,
        settings.listen_port,
    )


def request(
    name: str = "blue", search: str = "probe", vnetid: int = 7, **properties: str
) -> CreateOverlay:
    """Return a request for an overlay that works; ``owner__name`` stands for ``owner/name``."""
    values: dict[str, str | None] = {"vxlan/listen_ip": "192.0.2.100"}
    if issubclass(registry().plugins[search].plugin, GoodProbe):
        values |= {f"{search}/site": "north", f"{search}/shard": "7"}
    values |= {key.replace("__", "/"): value for key, value in properties.items()}
    return CreateOverlay(name, vnetid, search, properties=values)
