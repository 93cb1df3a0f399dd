"""The ``modulo`` plugin: which host has a guest follows from the guest's MAC address.

The hosts are a list; a guest whose MAC address, as a number, is ``n`` is on
host ``n % len(hosts)``. Nothing has to be stored, asked for or kept in step. Guests find each other
where their MAC addresses are derived from their IPv4 addresses: 10.1.2.3 has 02:00:0a:01:02:03.
"""

from collections.abc import Awaitable
from ipaddress import IPv4Address, IPv4Network

from varpd.provider import (
    DROP,
    PROXY_ARP,
    Answer,
    DestinationKind,
    Drop,
    DynamicPlugin,
    Host,
    IpAddress,
    MacAddress,
    Property,
    PropertyInvalid,
    PropertyType,
    Query,
    Target,
    Value,
    check_target,
)

HOSTS = "modulo/hosts"
PORT = 4789
NETWORK = IPv4Network("10.0.0.0/8")
PREFIX = b"\x02\x00"
ARP = 0x0806


class ModuloPlugin(DynamicPlugin):
    """Computes where a guest is."""

    api_version = 1
    name = "modulo"
    supplies = (DestinationKind.IP | DestinationKind.PORT,)

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        """Make an instance that knows no hosts yet."""
        super().__init__(host, destination)
        self._hosts: tuple[Target, ...] = ()

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        """Return the one property, the list of hosts."""
        return (Property(HOSTS, PropertyType.STRING, required=True, doc="Comma-separated."),)

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        """Set the hosts; each must be one that frames can be sent to."""
        hosts = [] if value is None else str(value).split(",")
        try:
            targets = [Target(ip=IPv4Address(host.strip()), port=PORT) for host in hosts]
            checked = tuple(check_target(target, self.destination) for target in targets)
        except ValueError as exc:
            raise PropertyInvalid(name, value, str(exc)) from exc
        super().set_property(name, value)
        self._hosts = checked
        return None

    def lookup(self, query: Query) -> Answer:
        """Return the host of a guest; ARP is answered by `arp`."""
        if query.dst.is_broadcast and query.ethertype == ARP:
            return PROXY_ARP
        if query.key[:2] != PREFIX or not self._hosts:
            return DROP
        return self._hosts[int.from_bytes(query.key) % len(self._hosts)]

    def arp(self, address: IpAddress) -> MacAddress | Drop:
        """Return the MAC address that belongs to an overlay address."""
        if isinstance(address, IPv4Address) and address in NETWORK:
            return MacAddress(PREFIX + address.packed)
        return DROP
