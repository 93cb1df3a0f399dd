"""The netlink monitor: which addresses lead to this host, and where guests' MACs are.

The kernel tells every change of an address or of an FDB in the namespace, whoever made it. A socket
filter lets through what may be of use: addresses, and rows of bridges but for those that varpd
itself writes (all sticky). What is let through is read by the event loop, a bounded number of
messages a turn.

The tables as they were at the beginning are read in a thread, while the socket is left alone: what
changes meanwhile waits in its buffer and is taken in afterwards, so that the last word is the right
one. If the buffer overflows, something is lost, and all that is begun anew with a new socket.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import structlog
from msgspec import Struct

from varpd.datapath.base import Sink
from varpd.datapath.linux import netlink, tables
from varpd.datapath.linux.learned import LearnedMacs
from varpd.datapath.linux.monitor_filter import monitor_filter
from varpd.datapath.linux.netlink import FdbRow, LocalAddress
from varpd.datapath.linux.subscription import (
    BUFFER,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_NEIGH,
    subscribe,
)
from varpd.engine.events import LocalAddressesChanged, MacsForgotten, MacsLearned
from varpd.net.addresses import IpAddress

T = TypeVar("T")

TURN: Final = 256
"""Messages read in one turn of the loop: about a millisecond."""

MACS_AN_EVENT: Final = 1024
"""MACs told in one event."""

_GROUPS: Final = (RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR)
_RECEIVE_SIZE: Final = 1 << 16

_ADDRESS_KINDS: Final = (netlink.RTM_NEWADDR, netlink.RTM_DELADDR)
_ROW_KINDS: Final = (netlink.RTM_NEWNEIGH, netlink.RTM_DELNEIGH)

_log = structlog.get_logger(__name__)


class Watched(Struct):
    """A bridge that is looked at."""

    overlay: str
    bridge: int
    device: int
    learned: LearnedMacs


class Snapshot(Struct):
    """The tables as they were read."""

    addresses: set[LocalAddress]
    rows: dict[int, list[tuple[bytes, int]]]
    """By index of the bridge: MACs on guests' ports, with the VLAN of each."""


def read_all(bridges: Iterable[tuple[int, int]]) -> Snapshot:
    """Read the addresses, and the rows of bridges; each with the index of its tunnel device.

    Blocks: it is for a thread.
    """
    rows = {bridge: read_bridge(bridge, device) for bridge, device in bridges}
    return Snapshot(tables.local_addresses(), rows)


def read_bridge(bridge: int, device: int) -> list[tuple[bytes, int]]:
    """Read the MACs on a bridge's ports but its tunnel device; blocks, like `read_all`."""
    return [
        (row.mac, row.vlan)
        for port in tables.ports(bridge).values()
        if port != device
        for row in tables.fdb_rows(port)
        if row.master == bridge
    ]


class Monitor:
    """Tells `LocalAddressesChanged`, `MacsLearned` and `MacsForgotten`; runs in the event loop."""

    def __init__(self, sink: Sink, executor: Executor) -> None:
        """`executor` runs what blocks."""
        self.overflows = 0
        """How often the kernel had more to tell than there was room for."""

        self._sink = sink
        self._executor = executor
        self._socket: socket.socket | None = None
        self._pauses = 0
        self._addresses: set[LocalAddress] = set()
        self._addresses_touched = False
        self._told: frozenset[IpAddress] | None = None
        self._watched: dict[int, Watched] = {}  # by index of the bridge
        self._by_overlay: dict[str, Watched] = {}
        self._touched: set[int] = set()

    @property
    def passed_over(self) -> int:
        """Rows of bridges that there was no room for."""
        return sum(watched.learned.passed_over for watched in self._watched.values())

    async def start(self) -> None:
        """Begin; the first `LocalAddressesChanged` is given before this returns.

        Raises:
            OSError: there is no netlink socket to be had.
        """
        self._socket = subscribe(monitor_filter(), _GROUPS, BUFFER)
        snapshot = await self._paused(partial(read_all, []))
        self._take(snapshot)

    def stop(self) -> None:
        """End; nothing is told any more."""
        self._close()
        self._watched.clear()
        self._by_overlay.clear()

    async def watch(self, overlay: str, bridge: int, device: int) -> None:
        """Tell of the MACs on the ports of a bridge, but for those on its tunnel device."""
        self.unwatch(overlay)
        watched = Watched(overlay, bridge, device, LearnedMacs())
        self._watched[bridge] = self._by_overlay[overlay] = watched
        rows = await self._paused(partial(read_bridge, bridge, device))
        watched.learned.replace(rows)
        self._tell(watched)

    def move(self, overlay: str, bridge: int, device: int) -> None:
        """Follow an overlay whose links were made anew; a new bridge has learned nothing yet."""
        watched = self._by_overlay.get(overlay)
        if watched is None:
            return
        if bridge != watched.bridge:
            del self._watched[watched.bridge]
            watched.bridge = bridge
            self._watched[bridge] = watched
            watched.learned.replace([])
            asyncio.get_running_loop().call_soon(self._tell, watched)
        watched.device = device

    def unwatch(self, overlay: str) -> None:
        """Tell no more of an overlay's bridge."""
        watched = self._by_overlay.pop(overlay, None)
        if watched is not None:
            del self._watched[watched.bridge]

    def taken(self, overlay: str, macs: Iterable[bytes]) -> None:
        """Take note that varpd put MACs on the tunnel device: no guest's port has them now.

        The socket filter hides those writes. What that changes is told in a later turn.
        """
        watched = self._by_overlay.get(overlay)
        if watched is None or len(watched.learned) == 0:
            return
        for mac in macs:
            watched.learned.discard(mac)
        asyncio.get_running_loop().call_soon(self._tell, watched)

    async def _paused(self, read: Callable[[], T]) -> T:
        """Read something in a thread; what the kernel tells meanwhile waits."""
        loop = asyncio.get_running_loop()
        self._pause()
        try:
            return await loop.run_in_executor(self._executor, read)
        finally:
            # Whoever called takes in what was read before the loop can come to the socket.
            self._resume()

    def _pause(self) -> None:
        self._pauses += 1
        if self._pauses == 1 and self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)

    def _resume(self) -> None:
        self._pauses -= 1
        if self._pauses == 0 and self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._read_turn)

    def _close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read_turn(self) -> None:
        if self._socket is None:
            return
        try:
            for _ in range(TURN):
                data = self._socket.recv(_RECEIVE_SIZE)
                for message in netlink.messages(data):
                    self._take_message(data, message)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._begin_anew()
            return
        self._tell_touched()

    def _take_message(self, data: bytes, message: netlink.Message) -> None:
        if message.kind in _ADDRESS_KINDS:
            address = netlink.parse_address(data, message)
            if address is None:
                return
            self._addresses_touched = True
            if message.kind == netlink.RTM_NEWADDR:
                self._addresses.add(address)
            else:
                self._addresses.discard(address)
        elif message.kind in _ROW_KINDS:
            row = netlink.parse_fdb_row(data, message)
            if row is not None and (watched := self._watched.get(row.master)) is not None:
                self._touched.add(row.master)
                _take_row(watched, row, gone=message.kind == netlink.RTM_DELNEIGH)

    def _begin_anew(self) -> None:
        """Something was lost: subscribe anew, read everything, compare."""
        self.overflows += 1
        _log.warning("netlink monitor overflowed", overflows=self.overflows)
        try:
            subscribed = subscribe(monitor_filter(), _GROUPS, BUFFER)
        except OSError as error:
            # The old one still tells what comes; the next overflow is another chance.
            _log.error("netlink monitor cannot begin anew", error=str(error))
            return
        self._close()
        self._socket = subscribed
        self._pauses += 1
        loop = asyncio.get_running_loop()
        bridges = [(watched.bridge, watched.device) for watched in self._watched.values()]
        future: Future[Snapshot] = self._executor.submit(read_all, bridges)

        def done(read: Future[Snapshot]) -> None:
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._begun_anew, read)

        future.add_done_callback(done)

    def _begun_anew(self, read: Future[Snapshot]) -> None:
        if self._socket is not None and not read.cancelled():
            if read.exception() is None:
                self._take(read.result())
            else:
                _log.error("netlink monitor cannot read", error=str(read.exception()))
        self._resume()

    def _take(self, snapshot: Snapshot) -> None:
        self._addresses = snapshot.addresses
        self._tell_addresses()
        for bridge, rows in snapshot.rows.items():
            if (watched := self._watched.get(bridge)) is not None:
                watched.learned.replace(rows)
                self._tell(watched)

    def _tell_touched(self) -> None:
        if self._addresses_touched:
            self._addresses_touched = False
            self._tell_addresses()
        for bridge in self._touched:
            if (watched := self._watched.get(bridge)) is not None:
                self._tell(watched)
        self._touched.clear()

    def _tell_addresses(self) -> None:
        addresses = local_ips(self._addresses)
        if addresses != self._told:
            self._told = addresses
            self._sink(LocalAddressesChanged(addresses))

    def _tell(self, watched: Watched) -> None:
        if self._watched.get(watched.bridge) is not watched:
            return
        new, gone = watched.learned.changes()
        for start in range(0, len(gone), MACS_AN_EVENT):
            self._sink(MacsForgotten(watched.overlay, gone[start : start + MACS_AN_EVENT]))
        for start in range(0, len(new), MACS_AN_EVENT):
            self._sink(MacsLearned(watched.overlay, new[start : start + MACS_AN_EVENT]))


def local_ips(addresses: Iterable[LocalAddress]) -> frozenset[IpAddress]:
    """Return the addresses that a target may have.

    Link-local ones are left out: without their interface they name no host, and each guest's port
    has one, so that they come and go in thousands.
    """
    packed = {address.address for address in addresses}
    found = (netlink.ip_of(address) for address in packed)
    return frozenset(address for address in found if not address.is_link_local)


def _take_row(watched: Watched, row: FdbRow, *, gone: bool) -> None:
    if row.ifindex == watched.bridge:
        return
    if row.ifindex == watched.device:
        # The bridge has learned it there, as in POINT mode: no guest's port has it now. What
        # leaves the tunnel device was on no guest's port.
        if not gone:
            watched.learned.remove(row.mac, row.vlan)
    elif gone:
        watched.learned.remove(row.mac, row.vlan)
    else:
        watched.learned.add(row.mac, row.vlan)
