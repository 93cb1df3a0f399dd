"""What a mapping file says: where each MAC is, and who has which overlay address.

    {
      "02:00:5e:10:00:01": {"ip": "198.51.100.11", "port": 4789,
                            "arp": "10.77.0.1", "ndp": ["fd00:77::1"], "router": true},
      "02:00:5e:10:00:02": {"ip": "198.51.100.12", "port": 4789,
                            "dhcp-proxy": "02:00:5e:10:00:01"}
    }

At a million mappings every byte for each counts. So keys are plain bytes and numbers, not address
objects; equal targets are one object; and what few MACs have stands in a table of its own.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, Final

from varpd.net.addresses import ZERO, IpAddress, Mac, MacAddress, parse_ip
from varpd.plugins.files.errors import show
from varpd.provider import DestinationKind, Target, TargetInvalid, check_target

KEYS: Final = frozenset({"ip", "port", "arp", "ndp", "dhcp-proxy", "router"})
"""What an entry may hold; other keys are ignored."""

MAX_UNKNOWN_KEYS: Final = 16
"""Different unknown keys that are kept to be warned of; a broken generator may make any number."""

PORT_MAX: Final = 65535

SLICE: Final = 4096
"""Steps of a table's length between two pauses: about a millisecond."""

_PLAIN_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}").fullmatch
_GROUP_BIT: Final = 0x01

_IPV4_MULTICAST: Final = 224 << 24
_IPV4_RESERVED: Final = 240 << 24
_IPV4_BROADCAST: Final = (1 << 32) - 1
_IPV6_MULTICAST: Final = 0xFF << 120


class EntryError(ValueError):
    """An entry that breaks the format; the message names MAC, key and value."""


@dataclass(slots=True)
class Content:
    """A whole mapping file. It is not changed once it is in force."""

    targets: dict[Mac, Target] = field(default_factory=dict)
    """Where each MAC is; unicast MACs only."""

    other_family: dict[Mac, Target] = field(default_factory=dict)
    """MACs whose target is not of the address family of the overlay's underlay."""

    ipv4: dict[int, Mac] = field(default_factory=dict)
    """Who has an overlay IPv4 address."""

    ipv6: dict[int, Mac] = field(default_factory=dict)
    """Who has an overlay IPv6 address."""

    routers: set[Mac] = field(default_factory=set)
    """Who is an IPv6 router."""

    dhcp: dict[Mac, Mac] = field(default_factory=dict)
    """The DHCP server of a client."""

    servers: set[Mac] = field(default_factory=set)
    """Every DHCP server that a client has."""

    def __len__(self) -> int:
        return len(self.targets) + len(self.other_family)

    def owner(self, address: IpAddress) -> Mac | None:
        """Return the MAC that has an overlay address, or None."""
        table = self.ipv4 if address.version == 4 else self.ipv6
        return table.get(int(address))

    def discard(self, pause: Callable[[], None]) -> None:
        """Empty the tables step by step; to free a large one at once takes long."""
        tables: tuple[dict[Any, Any], ...] = (
            self.targets, self.other_family, self.ipv4, self.ipv6, self.dhcp,
        )  # fmt: skip
        for table in tables:
            while table:
                for _ in range(min(SLICE, len(table))):
                    table.popitem()
                pause()
        for group in (self.routers, self.servers):
            while group:
                for _ in range(min(SLICE, len(group))):
                    group.pop()
                pause()


class Builder:
    """Makes a `Content` of entries, one after the other."""

    def __init__(self, kinds: DestinationKind, family: int | None) -> None:
        """Take what the encapsulation needs, and the underlay's address family if it is known."""
        self.content = Content()
        self.unknown_keys: set[str] = set()
        self._kinds = kinds
        self._family = family
        self._destinations: dict[tuple[str, int | None], tuple[Target, dict[Mac, Target]]] = {}
        self._servers: dict[Mac, Mac] = {}

    def add(self, key: str, entry: object) -> None:
        """Take in one member of the file.

        Raises:
            EntryError: it breaks the format, or contradicts an earlier one.
        """
        content = self.content
        mac = _station(key)
        if mac in content.targets or mac in content.other_family:
            raise EntryError(f"{show(key)}: this MAC is listed twice")
        if type(entry) is not dict:
            raise EntryError(f"{show(key)}: {show(entry)} is not an object with ip and port")
        try:
            target, table = self._destination(entry)
            table[mac] = target
            if "arp" in entry:
                value = entry["arp"]
                for text in value if type(value) is list else (value,):
                    _claim(content.ipv4, _ipv4(text), mac, "arp", text)
            if "ndp" in entry:
                value = entry["ndp"]
                for text in value if type(value) is list else (value,):
                    _claim(content.ipv6, _ipv6(text), mac, "ndp", text)
            if "dhcp-proxy" in entry:
                self._set_server(mac, entry["dhcp-proxy"])
            if "router" in entry and _flag(entry["router"]):
                content.routers.add(mac)
        except EntryError as exc:
            raise EntryError(f"{show(key)}: {exc}") from None
        if not KEYS.issuperset(entry) and len(self.unknown_keys) < MAX_UNKNOWN_KEYS:
            self.unknown_keys |= entry.keys() - KEYS

    def _destination(self, entry: dict[str, Any]) -> tuple[Target, dict[Mac, Target]]:
        """Return an entry's target, and the table that it belongs in."""
        ip, port = entry.get("ip"), entry.get("port")
        if type(ip) is str and (port is None or type(port) is int):
            known = self._destinations.get((ip, port))
            if known is not None:
                return known
        target = self._target(entry)
        foreign = self._family is not None and target.ip and target.ip.version != self._family
        table = self.content.other_family if foreign else self.content.targets
        self._destinations[entry["ip"], port] = target, table
        return target, table

    def _target(self, entry: dict[str, Any]) -> Target:
        if "ip" not in entry:
            raise EntryError("ip is missing")
        try:
            ip = parse_ip(entry["ip"])
        except (TypeError, ValueError):
            raise EntryError(f"ip: {show(entry['ip'])} is not an IP address") from None
        needed = DestinationKind.PORT in self._kinds
        if "port" not in entry and needed:
            raise EntryError("port is missing")
        port = entry.get("port")
        if "port" in entry and (type(port) is not int or not 1 <= port <= PORT_MAX):
            raise EntryError(f"port: {show(port)} is not a whole number from 1 to {PORT_MAX}")
        try:
            return check_target(Target(ip=ip, port=port if needed else None), self._kinds)
        except TargetInvalid as exc:
            raise EntryError(f"ip: {exc}") from None

    def _set_server(self, mac: Mac, value: object) -> None:
        try:
            server = _station(value)
        except EntryError as exc:
            raise EntryError(f"dhcp-proxy: {exc}") from None
        server = self._servers.setdefault(server, server)
        self.content.dhcp[mac] = server
        self.content.servers.add(server)


def _station(text: Any) -> Mac:
    """Read the MAC address of one station."""
    try:
        if _PLAIN_MAC(text):
            mac = bytes.fromhex(text.replace(":", ""))
        else:
            mac = bytes(MacAddress.parse(text))
    except (TypeError, ValueError):
        raise EntryError(f"{show(text)} is not a MAC address") from None
    if mac[0] & _GROUP_BIT:
        raise EntryError(f"{show(text)} is a multicast or broadcast MAC, not that of one station")
    if mac == ZERO:
        raise EntryError(f"{show(text)} is nobody's MAC address")
    return mac


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise EntryError(f"router: {show(value)} is neither true nor false")
    return value


def _ipv4(text: Any) -> int:
    try:
        number = int.from_bytes(inet_pton(AF_INET, text), "big")
    except (OSError, TypeError, ValueError):
        raise EntryError(f"arp: {show(text)} is not an IPv4 address") from None
    if not number or _IPV4_MULTICAST <= number < _IPV4_RESERVED or number == _IPV4_BROADCAST:
        raise EntryError(f"arp: {show(text)} is not the address of one station")
    return number


def _ipv6(text: Any) -> int:
    try:
        number = int.from_bytes(inet_pton(AF_INET6, text), "big")
    except (OSError, TypeError, ValueError):
        raise EntryError(f"ndp: {show(text)} is not an IPv6 address") from None
    if not number or number >= _IPV6_MULTICAST:
        raise EntryError(f"ndp: {show(text)} is not the address of one station")
    return number


def _claim(table: dict[int, Mac], number: int, mac: Mac, key: str, text: object) -> None:
    owner = table.setdefault(number, mac)
    if owner != mac:
        raise EntryError(f"{key}: {show(text)} is already the address of {owner.hex(':')}")
