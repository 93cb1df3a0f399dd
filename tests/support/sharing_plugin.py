"""A plugin by which the daemons of a lab share who is where; to be copied into `varpd.plugins`.

The table is a directory: for each MAC a file with the underlay address of the host that has it, and
for each overlay address one with the MAC.
"""

import asyncio
from ipaddress import ip_address
from pathlib import Path

from varpd.provider import (
    DROP,
    PROXY_ARP,
    PROXY_NDP,
    Answer,
    Claimed,
    DestinationKind,
    DynamicPlugin,
    Endpoint,
    IpAddress,
    MacAddress,
    NeighbourAnswer,
    Property,
    PropertyType,
    Query,
    Target,
)

PAUSE = 0.02
"""Seconds between two looks at whether somebody took over a guest."""


class SharingPlugin(DynamicPlugin):
    """Publishes guests into a directory, and finds others there."""

    api_version = 1
    name = "sharing"
    supplies = (DestinationKind.IP | DestinationKind.PORT,)
    blocking = True

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        return (Property("sharing/directory", PropertyType.STRING, required=True),)

    async def start(self) -> None:
        await super().start()
        self._mine: set[MacAddress] = set()
        self._seen: dict[MacAddress, str] = {}
        self.host.start_task(self._watch(), "watch")

    def lookup(self, query: Query) -> Answer:
        if query.dst.is_group:
            return PROXY_ARP if query.ethertype == 0x0806 else PROXY_NDP
        at = self._read(str(query.dst))
        if at is None:
            return DROP
        self._seen[query.dst] = at
        return Target(ip=ip_address(at), port=4789)

    def arp(self, address: IpAddress) -> NeighbourAnswer:
        mac = self._read(str(address))
        return DROP if mac is None else MacAddress.parse(mac)

    def local_endpoint(self, endpoint: Endpoint, present: bool) -> None:
        mac, here = str(endpoint.mac), self._here
        holder = self._read(mac)
        if not present:
            self._mine.discard(endpoint.mac)
            if holder == here:
                for name in (mac, *map(str, endpoint.addresses)):
                    self._path(name).unlink(missing_ok=True)
            return
        if holder not in (None, here) and not endpoint.takeover:
            raise Claimed(f"{holder} has {mac}")
        for address in map(str, endpoint.addresses):
            if self._read(address) not in (None, mac):
                raise Claimed(f"{self._read(address)} has {address}")
        for name, text in ((mac, here), *((str(item), mac) for item in endpoint.addresses)):
            new = self._path(f"{name}.{here}")
            new.write_text(text)
            new.rename(self._path(name))
        self._mine.add(endpoint.mac)

    async def _watch(self) -> None:
        while True:
            for mac in list(self._mine):
                holder = await asyncio.to_thread(self._read, str(mac))
                if mac in self._mine and holder not in (None, self._here):
                    self._mine.discard(mac)
                    self.host.endpoint_taken(mac, f"{holder} has {mac}")
                    self.host.invalidate(mac)
            for mac, at in list(self._seen.items()):
                if await asyncio.to_thread(self._read, str(mac)) != at:
                    del self._seen[mac]
                    self.host.invalidate(mac)
            await asyncio.sleep(PAUSE)

    @property
    def _here(self) -> str:
        assert self.host.local is not None
        return str(self.host.local.ip)

    def _path(self, name: str) -> Path:
        return Path(str(self.get_property("sharing/directory"))) / name

    def _read(self, name: str) -> str | None:
        try:
            return self._path(name).read_text()
        except FileNotFoundError:
            return None
