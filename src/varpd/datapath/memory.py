"""A datapath in memory: bridges, rows, punts and an underlay without a kernel.

For tests, and for authors of plugins who want to see a whole overlay at work on one page: several
`MemoryDatapath`s on one `MemoryUnderlay` are several hosts. A guest is a `Port`: what it sends is
bridged, tunnelled or punted as the Linux kernel does it, and what it is sent is in `frames`.

Everything happens at once and in order, but for the events: as with any datapath the `Sink` is
called from the event loop, later, and never from inside `apply`. `settle` waits for that.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from msgspec import structs

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
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.datapath.inspection import MacRows
from varpd.datapath.memory_bridge import MTU, MemoryBridge, Port, Totals, tell_ports
from varpd.engine.commands import DatapathCommand
from varpd.engine.events import Event, FramesPunted, LocalAddressesChanged, RowsAdopted
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO, IpAddress
from varpd.net.decode import DecodeError
from varpd.provider.answers import Target

NAME: Final = "memory"

PUNT_ROOM: Final = 4096
"""Events that may wait when a frame is punted, as a socket's buffer has an end."""


class MemoryUnderlay:
    """The network between hosts: what is sent to a VTEP arrives there at once, whole."""

    def __init__(self, mtu: int = MTU) -> None:
        """`mtu` is what hosts are told; packets of any size are carried."""
        self.mtu = mtu
        self._vteps: dict[tuple[IpAddress, int], Callable[[bytes], None]] = {}

    def attach(self, ip: IpAddress, port: int, receive: Callable[[bytes], None]) -> None:
        """Have what is sent to an address and port given to `receive`.

        Raises:
            ValueError: somebody is attached there.
        """
        if (ip, port) in self._vteps:
            raise ValueError(f"somebody is attached at {Target(ip, port)}")
        self._vteps[ip, port] = receive

    def detach(self, ip: IpAddress, port: int) -> None:
        """Let nobody receive what is sent to an address and port."""
        self._vteps.pop((ip, port), None)

    def send(self, target: Target, packet: bytes) -> bool:
        """Carry a packet, header in front, to a target; return whether anybody is there."""
        if target.ip is None or target.port is None:
            return False
        receive = self._vteps.get((target.ip, target.port))
        if receive is None:
            return False
        receive(packet)
        return True


def _everybody_may_send(overlay: str, targets: frozenset[IpAddress]) -> None:
    """Keep nobody out."""


async def _nobody_is_refused() -> Mapping[str, Mapping[str, int]]:
    """Let guests say they are whom they like."""
    return {}


class MemoryDatapath:
    """`varpd.datapath.base.Datapath` in memory: one host."""

    name: Final = NAME
    """How operators call this datapath."""

    encapsulations: Final[tuple[str, ...]] = tuple(ENCAPSULATIONS)
    """Names of the encapsulations that it can carry."""

    follow = staticmethod(_everybody_may_send)
    """See `Datapath.follow`."""

    refused_at_ports = staticmethod(_nobody_is_refused)
    """See `Datapath.refused_at_ports`; `Antispoof` is for kernels."""

    def __init__(
        self,
        sink: Sink,
        underlay: MemoryUnderlay,
        addresses: Iterable[IpAddress],
        clock: Callable[[], float] = time.monotonic,
        left_by: "MemoryDatapath | None" = None,
    ) -> None:
        """`addresses` are those of this host; `clock` tells seconds, for the usage of rows.

        `left_by` is whose links and rows this one finds, as a new daemon finds those of another.
        """
        self.refuse: dict[bytes, str] = {} if left_by is None else left_by.refuse
        """Errors with which rows of MACs are refused; for tests to fill."""
        self.lost = 0
        """Punted frames dropped because too many events waited."""
        self._running = False
        self._sink = sink
        self._underlay = underlay
        self._addresses = frozenset(addresses)
        self._clock = clock
        self.bridges: dict[str, MemoryBridge] = {}
        """The bridges of open overlays; for tests to tamper with."""
        if left_by is not None:
            # Whoever was killed is told nothing any more.
            left_by._running = False
            self.bridges = left_by.bridges
        self._totals = Totals()
        for bridge in self.bridges.values():
            bridge.tell, bridge.totals = self._tell, self._totals
        self._open: set[str] = set()
        self._events: deque[Event] = deque()

    async def start(self) -> None:
        """See `Datapath.start`."""
        self._running = True
        self._sink(LocalAddressesChanged(self._addresses))

    async def stop(self) -> None:
        """See `Datapath.stop`."""
        self._running = False
        self._events.clear()
        self._open.clear()

    async def open(self, link: Link) -> LinkState:
        """See `Datapath.open`."""
        found = self.bridges.get(link.name)
        if not self._running:
            raise _refused(link.name, DatapathErrorCode.FAILED, "the datapath is not running")
        if found is None or found.link != link or link.name not in self._open:
            _check(link, self._addresses, self.bridges)
            self._open.add(link.name)
            if found is not None and _fits(found.link, link):
                _take_over(found, link)
                if found.ports:
                    tell_ports(found)
                return found.state
            ports = {} if found is None else found.ports
            _remove(self.bridges, self._underlay, link.name)
            if not _listens(self.bridges, link.listen_ip, link.listen_port):
                self._underlay.attach(
                    link.listen_ip, link.listen_port, partial(_receive, self.bridges)
                )
            self.bridges[link.name] = MemoryBridge(
                link,
                ports,
                self._underlay.send,
                self._tell,
                self.refuse,
                self._clock,
                self._totals,
            )
            if ports:
                tell_ports(self.bridges[link.name])
        return self.bridges[link.name].state

    async def close(self, overlay: str) -> None:
        """See `Datapath.close`."""
        self._open.discard(overlay)
        _remove(self.bridges, self._underlay, overlay)

    async def change(self, link: Link) -> LinkState:
        """See `Datapath.change`."""
        bridge = _found(self.bridges, link.name)
        bridge.link = link
        return bridge.state

    def apply(self, commands: Sequence[DatapathCommand]) -> None:
        """See `Datapath.apply`."""
        for command in commands:
            bridge = self.bridges.get(command.overlay)
            if bridge is not None and self._running:
                bridge.do(command)

    async def settle(self) -> None:
        """See `Datapath.settle`; the events have been given to the sink, too."""
        while self._events:
            _give(self._events, self._sink)

    def counters(self, overlay: str) -> OverlayCounters:
        """See `Datapath.counters`."""
        bridge = self.bridges.get(overlay)
        return OverlayCounters() if bridge is None else bridge.counters

    def totals(self) -> HostCounters:
        """See `Datapath.totals`."""
        counts, delays = self._totals.counts, self._totals.delays
        return HostCounters(
            rows_written=counts["written"],
            rows_removed=counts["removed"],
            rows_refused=counts["refused"],
            miss_to_row=delays.distribution,
        )

    async def dump(self, overlay: str) -> list[Row]:
        """See `Datapath.dump`."""
        bridge = self.bridges.get(overlay)
        return [] if bridge is None else bridge.dump()

    async def rows_of(self, overlay: str, mac: bytes) -> MacRows:
        """See `Datapath.rows_of`."""
        return _found(self.bridges, overlay).rows_of(mac)

    async def state(self, overlay: str) -> LinkState:
        """See `Datapath.state`."""
        return _found(self.bridges, overlay).state

    async def present(self) -> list[str]:
        """See `Datapath.present`."""
        return sorted(self.bridges)

    async def path_mtu(self, listen_ip: IpAddress, target: IpAddress) -> int:
        """Return the MTU of the underlay, the same everywhere."""
        return self._underlay.mtu

    async def try_punt(self, overlay: str) -> PuntState | None:
        """See `Datapath.try_punt`; here nothing is in the way."""
        punts = _found(self.bridges, overlay).link.mode is Mode.DYNAMIC
        return PuntState(lost=self.lost) if punts else None

    def attach(self, overlay: str, port: str) -> Port:
        """Give an open overlay a guest's port.

        Raises:
            DatapathError: there is no such overlay.
            ValueError: it has such a port already.
        """
        return _found(self.bridges, overlay).attach(port)

    def detach(self, overlay: str, port: str) -> None:
        """Take a guest's port away."""
        _found(self.bridges, overlay).detach(port)

    def set_addresses(self, addresses: Iterable[IpAddress]) -> None:
        """Give this host other addresses."""
        self._addresses = frozenset(addresses)
        self._tell(LocalAddressesChanged(self._addresses))

    def _tell(self, event: Event) -> bool:
        """Give the sink an event, later; return whether there was room for it."""
        if isinstance(event, FramesPunted) and len(self._events) >= PUNT_ROOM:
            self.lost += 1
            return False
        if self._running:
            self._events.append(event)
            asyncio.get_running_loop().call_soon(_give, self._events, self._sink)
        return True


def _give(events: deque[Event], sink: Sink) -> None:
    """Give the next event to the sink, if it has not been given yet."""
    if events:
        sink(events.popleft())


def _remove(bridges: dict[str, MemoryBridge], underlay: MemoryUnderlay, overlay: str) -> None:
    bridge = bridges.pop(overlay, None)
    if bridge is not None:
        bridge.end()
        at = bridge.link.listen_ip, bridge.link.listen_port
        if not _listens(bridges, *at):
            underlay.detach(*at)


def _found(bridges: Mapping[str, MemoryBridge], overlay: str) -> MemoryBridge:
    bridge = bridges.get(overlay)
    if bridge is None:
        raise DatapathError(DatapathErrorCode.FAILED, f"{overlay}: there is no such overlay")
    return bridge


def _receive(bridges: Mapping[str, MemoryBridge], packet: bytes) -> None:
    """Take what came from the underlay to an address of ours."""
    for bridge in list(bridges.values()):
        encapsulation = ENCAPSULATIONS[bridge.link.encapsulation]
        with suppress(DecodeError):
            if encapsulation.vnetid_of(packet) == bridge.link.vnetid:
                bridge.from_tunnel(packet[encapsulation.header_size :])
                return


def _fits(found: Link, wanted: Link) -> bool:
    """Return whether an overlay's links can be taken over as they are."""
    differing = ("number", "mtu", "default", "repair", "antispoof", "ports")
    may_differ = {name: getattr(wanted, name) for name in differing}
    return structs.replace(found, **may_differ) == wanted


def _take_over(bridge: MemoryBridge, link: Link) -> None:
    """Go on with a bridge that an earlier datapath left, and tell of its rows."""
    bridge.link, bridge.default = link, link.default
    rows = [(row.mac, row.targets) for row in bridge.dump() if row.mac != ZERO]
    if rows:
        bridge.tell(RowsAdopted(link.name, rows, []))


def _listens(bridges: Mapping[str, MemoryBridge], ip: IpAddress, port: int) -> bool:
    """Return whether an open overlay receives at an address and port."""
    return any(
        (bridge.link.listen_ip, bridge.link.listen_port) == (ip, port)
        for bridge in bridges.values()
    )


def _check(
    link: Link, addresses: frozenset[IpAddress], bridges: Mapping[str, MemoryBridge]
) -> None:
    """Refuse an overlay that the kernel would refuse.

    Raises:
        DatapathError: it cannot be made.
    """
    if link.encapsulation not in ENCAPSULATIONS:
        raise _refused(
            link.name, DatapathErrorCode.UNSUPPORTED, f"no encapsulation {link.encapsulation}"
        )
    if link.listen_ip not in addresses:
        raise _refused(
            link.name,
            DatapathErrorCode.NO_SUCH_ADDRESS,
            f"{link.listen_ip} is not an address of this host",
        )
    wanted = link.vnetid, link.listen_port
    for name, bridge in bridges.items():
        if name != link.name and (bridge.link.vnetid, bridge.link.listen_port) == wanted:
            raise _refused(
                link.name,
                DatapathErrorCode.VNETID_TAKEN,
                f"{name} has vnetid {link.vnetid} already",
            )


def _refused(overlay: str, code: DatapathErrorCode, why: str) -> DatapathError:
    return DatapathError(code, f"{overlay}: {why}")
