"""The plugin `files`: mappings from a JSON file, followed as it changes."""

import asyncio
import itertools
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

from varpd.net.addresses import BROADCAST, IPV6_MULTICAST_PREFIX, IpAddress, Mac, MacAddress
from varpd.net.ethernet import EtherType
from varpd.plugins.files.content import Content
from varpd.plugins.files.difference import Difference, difference
from varpd.plugins.files.errors import FilesError
from varpd.plugins.files.loader import Loaded, load
from varpd.plugins.files.pace import Halted, Pace, Threads
from varpd.plugins.files.report import Report
from varpd.plugins.files.watcher import Subscription, Watcher
from varpd.provider import (
    DROP,
    PROXY_ARP,
    PROXY_DHCP,
    PROXY_NDP,
    Answer,
    DestinationKind,
    DhcpAnswer,
    DynamicPlugin,
    Host,
    Neighbour,
    NeighbourAnswer,
    Property,
    PropertyInvalid,
    PropertyType,
    Query,
    StopReason,
    Target,
    Value,
)

CONFIG: Final = "files/config"

MAX_ANNOUNCED: Final = 1_000
"""Addresses that have moved of which guests are told at once; more would flood them."""

_GROUP_BIT: Final = 0x01

_BATCH: Final = 500
"""Changed MACs told of between two turns of the event loop."""


class FilesPlugin(DynamicPlugin):
    """Answers from the file that `files/config` names."""

    api_version = 1
    name = "files"
    supplies = (DestinationKind.IP | DestinationKind.PORT, DestinationKind.IP)

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        """See `Plugin`."""
        super().__init__(host, destination)
        self._content = Content()
        # What `lookup` asks first, without a detour.
        self._targets = self._content.targets
        self._running = False
        # Held by whoever brings other content into force.
        self._lock = asyncio.Lock()
        self._threads = Threads()
        self._changed = asyncio.Event()
        self._subscription: Subscription | None = None
        self._report = Report(host)

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        """See `Plugin.properties`."""
        doc = "Absolute path of the JSON file with the mappings."
        return (Property(CONFIG, PropertyType.STRING, required=True, doc=doc),)

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        """See `Plugin.set_property`; once started, a file is read before it is accepted."""
        if name == CONFIG and value is not None:
            path = str(self._declared(name).check(value))
            if not PurePosixPath(path).is_absolute():
                raise PropertyInvalid(name, value, "not an absolute path")
            if self._running:
                return self._change_file(path)
        elif name == CONFIG and self._running:
            raise PropertyInvalid(name, value, "the overlay needs a file")
        return super().set_property(name, value)

    async def start(self) -> None:
        """Read the file and begin to follow it.

        Raises:
            PropertyMissing: `files/config` is not set.
            FilesError: the file cannot be used.
        """
        await super().start()
        self._running = True
        async with self._lock:
            path = self._path
            loaded = await self._read(path)
            self._content = loaded.content
            self._targets = loaded.content.targets
            self._follow(path, loaded)
        self.host.start_task(self._keep_up(), f"follow {CONFIG}")

    async def stop(self, reason: StopReason) -> None:
        """See `Plugin.stop`."""
        self._running = False
        self._leave()
        self._threads.halt()
        async with self._lock:
            old, self._content = self._content, Content()
            self._targets = self._content.targets
            await asyncio.to_thread(old.discard, Pace())

    def close(self) -> None:
        """See `Plugin.close`."""
        self._running = False
        self._leave()

    async def reload(self) -> None:
        """Read the file again; one that is broken degrades the instance and changes nothing."""
        async with self._lock:
            path = self._path
            try:
                loaded = await self._read(path)
                changes = await self._compare(loaded)
            except FilesError as exc:
                self._report.broken(exc)
            except Halted:
                return
            else:
                self._report.well(path)
                await self._bring_into_force(loaded, changes)

    def lookup(self, query: Query) -> Answer:
        """Return where a frame goes."""
        # No group address is among the targets, so nothing else needs to be asked first.
        target = self._targets.get(query.key)
        if target is not None:
            return target
        if not query.key[0] & _GROUP_BIT:
            return DROP
        match query.ethertype:
            case EtherType.ARP:
                return PROXY_ARP
            case EtherType.IPV6 if query.key.startswith(IPV6_MULTICAST_PREFIX):
                return PROXY_NDP
            case EtherType.IPV4 if query.key == BROADCAST:
                src, content = query.src, self._content
                return PROXY_DHCP if src in content.dhcp or src in content.servers else DROP
            case _:
                return DROP

    def arp(self, address: IpAddress) -> NeighbourAnswer:
        """Return who has `address`."""
        mac = self._content.owner(address)
        if mac is None:
            return DROP
        holder = MacAddress(mac)
        return Neighbour(holder, router=True) if mac in self._content.routers else holder

    def dhcp(self, query: Query) -> DhcpAnswer:
        """Return the DHCP server of the client that sent the frame."""
        src = query.src
        server = None if src is None else self._content.dhcp.get(src)
        return DROP if server is None else MacAddress(server)

    def enumerate(self) -> Iterator[tuple[bytes, Target]]:
        """Yield every mapping, as it is when its turn comes."""
        for mac in list(self._targets):
            target = self._targets.get(mac)
            if target is not None:
                yield mac, target

    @property
    def _path(self) -> str:
        return str(self.get_property(CONFIG))

    async def _change_file(self, path: str) -> None:
        """Take another file instead, if there is nothing wrong with it."""
        async with self._lock:
            try:
                loaded = await self._read(path)
            except FilesError as exc:
                raise PropertyInvalid(CONFIG, path, exc.where_and_what) from exc
            changes = await self._compare(loaded)
            super().set_property(CONFIG, path)
            self._follow(path, loaded)
            self._report.well(path)
            await self._bring_into_force(loaded, changes)

    async def _keep_up(self) -> None:
        """Read the file whenever it has changed."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.reload()

    def _follow(self, path: str, loaded: Loaded) -> None:
        self._leave()
        watcher = self.host.shared("watcher", Watcher)
        self._subscription = watcher.follow(path, loaded.signature, self._changed)

    def _leave(self) -> None:
        if self._subscription is not None:
            self._subscription.end()
            self._subscription = None

    async def _read(self, path: str) -> Loaded:
        local, log = self.host.local, self.host.log
        family = None if local is None or local.ip is None else local.ip.version

        def progress(mappings: int, percent: int) -> None:
            log.info("reading mappings", file=path, mappings=mappings, percent=percent)

        loaded = await self._threads.run(
            lambda pace: load(path, self.destination, family, pace, progress)
        )
        self._report.read(path, loaded)
        return loaded

    async def _compare(self, loaded: Loaded) -> Difference:
        """Return what new content says otherwise than that in force."""
        old = self._content
        return await self._threads.run(lambda pace: difference(old, loaded.content, pace))

    async def _bring_into_force(self, loaded: Loaded, changes: Difference) -> None:
        """Put new content in the place of the old, and say what is not as it was."""
        old, self._content = self._content, loaded.content
        self._targets = loaded.content.targets
        self._report.changed(changes)
        rest = iter(changes.macs)

        async def finish() -> None:
            await self._tell(rest, changes.moved)
            await asyncio.to_thread(old.discard, Pace())

        try:
            await self._tell(rest, changes.moved)
        except asyncio.CancelledError:
            # Whoever cancels this must not leave half a change behind.
            if self._running:
                self.host.start_task(finish(), "tell of a change")
            raise
        await asyncio.to_thread(old.discard, Pace())

    async def _tell(self, rest: Iterator[Mac], moved: Sequence[tuple[IpAddress, Mac]]) -> None:
        """Say what has changed, as long as anybody listens: nobody does once the instance stops."""
        while self._running and (batch := list(itertools.islice(rest, _BATCH))):
            for mac in batch:
                self.host.invalidate(mac)
            await asyncio.sleep(0)
        if not self._running:
            return
        if len(moved) > MAX_ANNOUNCED:
            self.host.log.warning(
                "too many addresses moved for guests to be told", addresses=len(moved)
            )
            return
        for address, mac in moved:
            self.host.inject_arp(mac, address)
