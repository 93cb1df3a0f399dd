"""Which guests are on this host, as the plugin that publishes it is told.

An endpoint is a guest's port that is on the overlay's bridge, and of which an operator said the
MAC::

    on the bridge ───┐
                     ├──► wanted ──local_endpoint──► told
    MAC is known ────┘              │    ▲
                            Claimed │    │ after 30 s
                                    ▼    │
                                  conflict
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, Protocol

import structlog
from msgspec import structs

from varpd.daemon import entries
from varpd.daemon.calls import OperationFailed
from varpd.net.addresses import parse_ip
from varpd.provider.errors import Claimed
from varpd.provider.plugin import Endpoint
from varpd.store.base import StoredPort

log = structlog.get_logger()

RECHECK: Final = 30.0
"""Seconds after which what another host had, or what failed, is told again."""


class Publisher(Protocol):
    """One object of a plugin that is told which endpoints there are."""

    async def local_endpoint(self, endpoint: Endpoint, present: bool, timeout: float) -> None:
        """Tell of an endpoint.

        Raises:
            Claimed: another host has it.
            OperationFailed: the plugin failed, which was reported.
        """


class Endpoints:
    """The endpoints of one overlay on this host; used from the event loop."""

    def __init__(self, overlay: str, recheck: float = RECHECK) -> None:
        """Take whose they are, and how soon to ask again, in seconds."""
        self.conflicts: dict[str, str] = {}
        """Why endpoints are not published, by port: who else has what."""
        self._overlay = overlay
        self._recheck = recheck
        self._known: dict[str, Endpoint] = {}
        self._present: frozenset[str] = frozenset()
        self._told: dict[str, Endpoint] = {}
        self._again: set[str] = set()
        self._taking: set[str] = set()
        self._taken: set[str] = set()
        self._wake = asyncio.Event()

    def register(self, ports: Mapping[str, StoredPort]) -> None:
        """Take what operators said of guests' ports."""
        known = {
            name: Endpoint(
                name,
                entries.parse_mac(port.mac),
                tuple(parse_ip(text) for text in port.addresses),
            )
            for name, port in ports.items()
            if port.mac is not None
        }
        for name in self._known.keys() | known.keys():
            if self._known.get(name) != known.get(name):
                self._begin_anew(name)
        self._known = known
        self._wake.set()

    def see(self, ports: Iterable[str]) -> None:
        """Take the names of the ports that the bridge has now."""
        present = frozenset(ports)
        for name in self._present - present:
            self._begin_anew(name)
        self._present = present
        self._wake.set()

    def take_over(self, port: str) -> None:
        """Have the guest at a port taken from whatever host has it, once the port is there."""
        self._begin_anew(port)
        self._taking.add(port)
        self._wake.set()

    def taken(self, mac: bytes, message: str) -> None:
        """Hear from the plugin that another host has taken over a guest."""
        for name, endpoint in list(self._told.items()):
            if endpoint.mac == mac:
                del self._told[name]
                self._taken.add(name)
                self._conflict(name, message)

    async def publish(self, plugin: Publisher, timeout: float) -> None:
        """Tell an object of the plugin, which knows nothing yet, until this is cancelled.

        Args:
            plugin: is told.
            timeout: seconds that it has for each.
        """
        self._told, self._again, self._taken = {}, set(), set()
        self.conflicts.clear()
        while True:
            self._wake.clear()
            await self._round(plugin, timeout)
            with suppress(TimeoutError):
                await asyncio.wait_for(
                    self._wake.wait(), self._recheck if self._again or self.conflicts else None
                )

    async def _round(self, plugin: Publisher, timeout: float) -> None:
        """Tell all that is different; what is withdrawn comes first, for it may be elsewhere."""
        wanted = self._wanted()
        for name, endpoint in list(self._told.items()):
            new = wanted.get(name)
            if new is None or new.mac != endpoint.mac:
                await self._withdraw(plugin, endpoint, timeout)
        for name, endpoint in wanted.items():
            due = name in self._again or name in self._taking
            if due or self._told.get(name) != endpoint:
                await self._tell(plugin, endpoint, timeout)

    async def _withdraw(self, plugin: Publisher, endpoint: Endpoint, timeout: float) -> None:
        try:
            await plugin.local_endpoint(endpoint, False, timeout)
        except (Claimed, OperationFailed):
            self._again.add(endpoint.port)
        else:
            self._again.discard(endpoint.port)
            if self._told.get(endpoint.port) == endpoint:
                del self._told[endpoint.port]

    async def _tell(self, plugin: Publisher, endpoint: Endpoint, timeout: float) -> None:
        name = endpoint.port
        takeover = name in self._taking
        # From here on it may be published, whatever comes back.
        before = self._told.get(name)
        self._told[name] = endpoint
        try:
            await plugin.local_endpoint(structs.replace(endpoint, takeover=takeover), True, timeout)
        except Claimed as exc:
            if before is None:
                self._told.pop(name, None)
            else:
                self._told[name] = before
            self._conflict(name, str(exc))
        except OperationFailed:
            self._again.add(name)
        else:
            self._again.discard(name)
            if takeover:
                self._taking.discard(name)
            if name in self._told and self.conflicts.pop(name, None) is not None:
                log.info("endpoint is no longer in conflict", overlay=self._overlay, port=name)

    def _wanted(self) -> dict[str, Endpoint]:
        """Return what is to be told; of two ports here with one MAC or address the first has it."""
        wanted: dict[str, Endpoint] = {}
        holders: dict[object, str] = {}
        for name in sorted(self._known, key=lambda name: (name not in self._told, name)):
            endpoint = self._known[name]
            if name not in self._present or name in self._taken:
                continue
            claims = (endpoint.mac, *endpoint.addresses)
            clash = next((claim for claim in claims if claim in holders), None)
            if clash is not None:
                self._conflict(name, f"port {holders[clash]} of this host has {clash}")
                continue
            holders.update(dict.fromkeys(claims, name))
            wanted[name] = endpoint
        return wanted

    def _conflict(self, port: str, message: str) -> None:
        if self.conflicts.get(port) != message:
            self.conflicts[port] = message
            log.warning("endpoint in conflict", overlay=self._overlay, port=port, why=message)

    def _begin_anew(self, port: str) -> None:
        """Forget what came of telling of a port before."""
        self.conflicts.pop(port, None)
        self._taken.discard(port)
        self._taking.discard(port)
