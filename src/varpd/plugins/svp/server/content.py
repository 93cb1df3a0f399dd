"""The file of the server: hosts, and for each overlay which MAC is where.

    {"hosts": {"rack1": "192.0.2.11", "rack2": "192.0.2.12"},
     "overlays": {"42": {"02:00:00:00:00:01": {"ip": "192.0.2.11", "port": 4789,
                                               "arp": ["10.0.0.1"], "ndp": ["fd00::1"]}}}}

An overlay's mappings have the fields of a mapping file of the plugin `files`.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final
from uuid import uuid4

import msgspec
from msgspec import Struct

from varpd.net.addresses import IpAddress, MacAddress
from varpd.plugins.svp.log_messages import Record, Vl2Record, Vl3Record

PORT: Final = 4789
"""Port of a mapping that names none: that of VXLAN (RFC 7348, section 5)."""

_VNETID_MAX: Final = (1 << 32) - 1
_PORT_MAX: Final = 65_535
_VLAN_MAX: Final = 4094
_GROUP_BIT: Final = 0x01
_NUMBER: Final = re.compile(r"[0-9]+")


class ContentError(ValueError):
    """What is wrong with a file, and where in it."""


class Place(Struct, frozen=True):
    """Where a host takes wrapped frames."""

    ip: IpAddress
    port: int


class Owner(Struct, frozen=True):
    """Who has an overlay address."""

    mac: MacAddress
    vlan: int = 0


class Content(Struct, frozen=True):
    """What a file says."""

    hosts: frozenset[IpAddress] = frozenset()
    """Underlay addresses of those who may read a log."""
    places: dict[tuple[int, MacAddress], Place] = {}
    """By vnetid and MAC."""
    owners: dict[tuple[int, IpAddress], Owner] = {}
    """By vnetid and overlay address."""


class _Mapping(Struct, forbid_unknown_fields=True, rename="kebab"):
    ip: str
    port: int = PORT
    arp: str | list[str] = []
    ndp: str | list[str] = []
    vlan: int = 0
    router: bool = False
    dhcp_proxy: str | None = None


class _File(Struct, forbid_unknown_fields=True):
    overlays: dict[str, dict[str, _Mapping]]
    hosts: dict[str, str] = {}


def parse(data: bytes) -> Content:
    """Read a file.

    Raises:
        ContentError: something in it is not as it should be; nothing of it counts.
    """
    try:
        file = msgspec.json.decode(data, type=_File)
    except msgspec.DecodeError as error:
        raise ContentError(str(error)) from error
    hosts = frozenset(_ip(f"hosts, {name}", text) for name, text in file.hosts.items())
    places: dict[tuple[int, MacAddress], Place] = {}
    owners: dict[tuple[int, IpAddress], Owner] = {}
    for number, mappings in file.overlays.items():
        vnetid = _vnetid(number)
        for text, mapping in mappings.items():
            where = f"overlay {number}, {text}"
            mac = _mac(where, text)
            if (vnetid, mac) in places:
                raise ContentError(f"{where}: it is there twice")
            places[vnetid, mac] = _place(where, mapping)
            for address in _addresses(where, mapping):
                before = owners.setdefault((vnetid, address), Owner(mac, mapping.vlan))
                if before.mac != mac:
                    raise ContentError(f"{where}: {before.mac} has {address}, too")
    return Content(hosts, places, owners)


def differences(old: Content, new: Content) -> Iterator[Record]:
    """Yield what hosts must hear of that know the old content."""
    for key, place in old.places.items():
        if new.places.get(key) != place:
            yield Vl2Record(uuid4(), key[1], key[0])
    for (vnetid, address), owner in {**old.owners, **new.owners}.items():
        if old.owners.get((vnetid, address)) != new.owners.get((vnetid, address)):
            yield Vl3Record(uuid4(), address, owner.vlan, vnetid)


def _vnetid(text: str) -> int:
    if not _NUMBER.fullmatch(text) or len(text) > 10 or int(text) > _VNETID_MAX:
        raise ContentError(f"overlays, {text}: no virtual network identifier, 0 to {_VNETID_MAX}")
    return int(text)


def _mac(where: str, text: str) -> MacAddress:
    try:
        mac = MacAddress.parse(text)
    except ValueError as error:
        raise ContentError(f"{where}: {error}") from error
    if mac[0] & _GROUP_BIT or not any(mac):
        raise ContentError(f"{where}: no MAC address that a guest may have")
    return mac


def _ip(where: str, text: str) -> IpAddress:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise ContentError(f"{where}: {error}") from error
    if "%" in text or getattr(address, "ipv4_mapped", None) is not None:
        raise ContentError(f"{where}: {text} is not a plain IPv4 or IPv6 address")
    return address


def _place(where: str, mapping: _Mapping) -> Place:
    address = _ip(f"{where}, ip", mapping.ip)
    if address.is_multicast or address.is_unspecified:
        raise ContentError(f"{where}, ip: {address} is no address of a host")
    if not 1 <= mapping.port <= _PORT_MAX:
        raise ContentError(f"{where}, port: {mapping.port} is not from 1 to {_PORT_MAX}")
    if not 0 <= mapping.vlan <= _VLAN_MAX:
        raise ContentError(f"{where}, vlan: {mapping.vlan} is not from 0 to {_VLAN_MAX}")
    return Place(address, mapping.port)


def _addresses(where: str, mapping: _Mapping) -> Iterator[IpAddress]:
    for field, given, version in (("arp", mapping.arp, 4), ("ndp", mapping.ndp, 6)):
        for text in [given] if isinstance(given, str) else given:
            address = _ip(f"{where}, {field}", text)
            if address.version != version:
                raise ContentError(f"{where}, {field}: {address} is not IPv{version}")
            yield address
