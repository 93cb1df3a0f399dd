"""The drift monitor: what others do to rows and links, as the kernel tells it at once.

It has a socket of its own, apart from the monitor's that follows guests: what overflows here costs
no more than a round through the tables. The kernel does not say who did something, and varpd's own
removals are told too, so nothing here is a verdict: what is told is looked at.
"""

import asyncio
import errno
import socket
from collections.abc import Iterable
from typing import Final, Protocol

import structlog
from msgspec import Struct

from varpd.datapath.linux import netlink
from varpd.datapath.linux.drift_filter import drift_filter
from varpd.datapath.linux.kernel import LOOPBACK
from varpd.datapath.linux.netlink import FdbRow
from varpd.datapath.linux.subscription import (
    BUFFER,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_LINK,
    RTNLGRP_NEIGH,
    subscribe,
)
from varpd.net.addresses import MAC_SIZE, ZERO

TURN: Final = 256
"""Messages read in one turn of the loop: half a millisecond."""

_GROUPS: Final = (RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR)
_RECEIVE_SIZE: Final = 1 << 16
# Both tables of the kernel tell the MAC first.
_MAC_ATTRIBUTE: Final = netlink.ATTRIBUTE.pack(
    netlink.ATTRIBUTE.size + MAC_SIZE, netlink.NDA_LLADDR
)

_log = structlog.get_logger(__name__)


class Ear(Protocol):
    """Who is told."""

    def rows_touched(self, overlay: str, written: set[bytes], removed: set[bytes]) -> None:
        """Somebody wrote or removed rows of these MACs."""

    def default_touched(self, overlay: str, row: FdbRow | None) -> None:
        """Somebody wrote a default row, or removed one (None)."""

    def links_touched(self, overlay: str) -> None:
        """Something about the links of an overlay, or its ports, changed."""

    def loopback_touched(self) -> None:
        """Something about `lo` changed."""

    def overflowed(self) -> None:
        """Something was not heard."""


class _Touched(Struct):
    written: set[bytes]
    removed: set[bytes]


class DriftMonitor:
    """Listens; runs in the event loop."""

    def __init__(self, ear: Ear) -> None:
        """Take who is told."""
        self.overflows = 0
        """How often the kernel had more to tell than there was room for."""

        self._ear = ear
        self._socket: socket.socket | None = None
        self._devices: dict[int, str] = {}
        self._bridges: dict[int, str] = {}
        self._links: dict[int, str] = {}
        self._touched: dict[str, _Touched] = {}
        self._touched_links: set[str] = set()
        self._touched_loopback = False
        self._lost = False

    def start(self) -> None:
        """Begin.

        Raises:
            OSError: there is no netlink socket to be had.
        """
        self._socket = subscribe(drift_filter(), _GROUPS, BUFFER)
        asyncio.get_running_loop().add_reader(self._socket, self._read_turn)

    def stop(self) -> None:
        """End; nobody is told anything any more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def watch(self, overlay: str, bridge: int, device: int, ports: Iterable[int]) -> None:
        """Tell of an overlay's links and the ports of its bridge, by their indices."""
        self.unwatch(overlay)
        self._bridges[bridge] = self._devices[device] = overlay
        self._links.update(dict.fromkeys((bridge, device, *ports), overlay))

    def unwatch(self, overlay: str) -> None:
        """Tell no more of an overlay."""
        for known in (self._bridges, self._devices, self._links):
            for index in [index for index, name in known.items() if name == overlay]:
                del known[index]

    def _read_turn(self) -> None:
        if self._socket is None:
            return
        for _ in range(TURN):
            try:
                data = self._socket.recv(_RECEIVE_SIZE)
            except BlockingIOError:
                if self._lost:
                    # Only now: until all is read the kernel drops without a word.
                    self._lost = False
                    self._ear.overflowed()
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overflows += 1
                if not self._lost:
                    _log.warning("drift monitor overflowed", overflows=self.overflows)
                self._lost = True
                continue
            for message in netlink.messages(data):
                self.take(data, message)
        self.tell()

    def take(self, data: bytes, message: netlink.Message) -> None:
        """Take in a message; `tell` says what came of it."""
        if message.kind in (netlink.RTM_NEWNEIGH, netlink.RTM_DELNEIGH):
            self._take_row(data, message)
        elif message.kind == netlink.RTM_DELADDR:
            address = netlink.parse_address(data, message)
            self._touched_loopback |= address is not None and address.ifindex == LOOPBACK
        else:
            self._take_link(data, message)

    def tell(self) -> None:
        """Tell what was taken in."""
        touched, self._touched = self._touched, {}
        for overlay, macs in touched.items():
            self._ear.rows_touched(overlay, macs.written, macs.removed)
        links, self._touched_links = self._touched_links, set()
        for overlay in links:
            self._ear.links_touched(overlay)
        if self._touched_loopback:
            self._touched_loopback = False
            self._ear.loopback_touched()

    def _take_row(self, data: bytes, message: netlink.Message) -> None:
        at = message.start + netlink.NDMSG.size
        if message.end < at:
            return
        _, ifindex, _, flags, _ = netlink.NDMSG.unpack_from(data, message.start)
        overlay = self._devices.get(ifindex)
        mac = data[at + len(_MAC_ATTRIBUTE) : at + len(_MAC_ATTRIBUTE) + MAC_SIZE]
        plain = data.startswith(_MAC_ATTRIBUTE, at) and len(mac) == MAC_SIZE and mac != ZERO
        if overlay is None or not plain:
            row = netlink.parse_fdb_row(data, message)
            if row is None:
                return
            overlay = overlay or self._bridges.get(row.master)
            mac = row.mac
            if overlay is None or row.ifindex in self._bridges:
                return
            if mac == ZERO and flags & netlink.NTF_SELF:
                gone = message.kind == netlink.RTM_DELNEIGH
                self._ear.default_touched(overlay, None if gone else row)
                return
        touched = self._touched.get(overlay)
        if touched is None:
            touched = self._touched[overlay] = _Touched(set(), set())
        (touched.written if message.kind == netlink.RTM_NEWNEIGH else touched.removed).add(mac)

    def _take_link(self, data: bytes, message: netlink.Message) -> None:
        link = netlink.parse_port(data, message)
        if link is None:
            return
        index, _, master = link
        if index == LOOPBACK:
            self._touched_loopback = True
            return
        overlay = self._links.get(index) or self._bridges.get(master)
        if overlay is not None:
            self._touched_links.add(overlay)
