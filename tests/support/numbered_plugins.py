"""Plugins for daemons of the lab, to be copied into `host.varpd.plugins`; all know the same.

A station's number is the last byte of its MAC and of its addresses: 02:00:5e:10:00:NN, 10.77.0.N,
fd00:77::N. That is how `Identity.usual` numbers guests. Stations with odd numbers are on the first
host of the lab, 192.0.2.1, those with even numbers on the second.
"""

import asyncio
from ipaddress import IPv4Address

from varpd.provider import (
    DROP,
    PROXY_ARP,
    PROXY_DHCP,
    PROXY_NDP,
    Answer,
    DestinationKind,
    DynamicPlugin,
    IpAddress,
    Later,
    MacAddress,
    NeighbourAnswer,
    Property,
    PropertyType,
    Query,
    Target,
)

PREFIX = bytes.fromhex("02005e1000")


def target_of(mac: bytes) -> Target:
    """Return where a station is."""
    return Target(ip=IPv4Address("192.0.2.2" if mac[-1] % 2 == 0 else "192.0.2.1"), port=4789)


class _NumberedPlugin(DynamicPlugin):
    """Answers plainly."""

    supplies = (DestinationKind.IP | DestinationKind.PORT,)

    def lookup(self, query: Query) -> Later[Answer]:
        if query.dst.is_group:
            return self.group(query)
        return target_of(query.key) if query.key.startswith(PREFIX) else DROP

    def group(self, query: Query) -> Later[Answer]:
        return {0x0806: PROXY_ARP, 0x86DD: PROXY_NDP}.get(query.ethertype or 0, DROP)

    def arp(self, address: IpAddress) -> Later[NeighbourAnswer]:
        return MacAddress(PREFIX + address.packed[-1:])


class PlainPlugin(_NumberedPlugin):
    """Answers plainly."""

    api_version = 1
    name = "plain"


class LaterPlugin(_NumberedPlugin):
    """Says later where a station is, so that its row cannot be written before a reply."""

    api_version = 1
    name = "later"

    async def where(self, query: Query) -> Answer:
        await asyncio.sleep(0.2)
        return target_of(query.key)

    def lookup(self, query: Query) -> Later[Answer]:
        return self.group(query) if query.dst.is_group else self.where(query)


class SayingPlugin(_NumberedPlugin):
    """Says where a station is only when asked who it is, and never if asked where."""

    api_version = 1
    name = "saying"

    def lookup(self, query: Query) -> Later[Answer]:
        return self.group(query) if query.dst.is_group else DROP

    def arp(self, address: IpAddress) -> Later[NeighbourAnswer]:
        mac = MacAddress(PREFIX + address.packed[-1:])
        self.host.set_target(mac, target_of(mac))
        return mac


class SayingLaterPlugin(SayingPlugin):
    """The same after a while."""

    api_version = 1
    name = "saying-later"

    async def after_a_while(self, address: IpAddress) -> NeighbourAnswer:
        await asyncio.sleep(0.01)
        answer = super().arp(address)
        assert isinstance(answer, MacAddress)
        return answer

    def arp(self, address: IpAddress) -> Later[NeighbourAnswer]:
        return self.after_a_while(address)


class HangingPlugin(_NumberedPlugin):
    """Never answers about broadcast but ARP and DHCP."""

    api_version = 1
    name = "hanging"

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        return (Property("hanging/server", PropertyType.STRING, doc="MAC of the DHCP server."),)

    async def never(self) -> Answer:
        await asyncio.Event().wait()
        return DROP

    def group(self, query: Query) -> Later[Answer]:
        if query.ethertype == 0x0800:
            # Ports 67 and 68 behind an IPv4 header without options.
            ports = (query.frame or b"")[34:38]
            return PROXY_DHCP if ports[1::2] in (b"\x43\x44", b"\x44\x43") else self.never()
        return super().group(query)

    def dhcp(self, query: Query) -> MacAddress:
        return MacAddress.parse(str(self.get_property("hanging/server")))
