"""What is known of guests' ports: as operators write it, as it is stored, as it is shown."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from typing import Final

from msgspec import UNSET, UnsetType

from varpd.control.messages import ControlError, ErrorCode, PortInfo, PortState, SetPort
from varpd.daemon import catalogue, entries
from varpd.datapath.base import Antispoof, GuestPort
from varpd.net.addresses import IpAddress, parse_ip
from varpd.provider.properties import Value
from varpd.store.base import StoredPort

ADDRESSES: Final = 64
"""Addresses that one guest may have."""

NOTHING: Final = StoredPort()
"""What is known of a port that nobody spoke of."""


def check_name(port: str, overlay: str) -> None:
    """Check that a guest's link of an overlay can have this name.

    Raises:
        ControlError: it cannot.
    """
    if port in (overlay, f"vx-{overlay}"):
        raise ControlError(ErrorCode.INVALID, f"{port} is a link of the overlay itself", "port")
    if not catalogue.is_interface(port):
        message = f"{port!r} cannot be the name of a link"
        raise ControlError(ErrorCode.INVALID, message, "port")


def changed(known: StoredPort, change: SetPort) -> StoredPort:
    """Return what is known of a port after a change that an operator wrote.

    Raises:
        ControlError: it means nothing.
    """
    mac: str | None = known.mac
    if not isinstance(change.mac, UnsetType):
        mac = None if change.mac is None else str(entries.parse_mac(change.mac))
    addresses = known.addresses
    if not isinstance(change.addresses, UnsetType):
        addresses = tuple(dict.fromkeys(str(parse_address(text)) for text in change.addresses))
        if len(addresses) > ADDRESSES:
            message = f"{len(addresses)} addresses; a guest may have {ADDRESSES}"
            raise ControlError(ErrorCode.INVALID, message, "addresses")
    antispoof = known.antispoof if change.antispoof is UNSET else change.antispoof
    if mac is None and addresses:
        raise ControlError(ErrorCode.MISSING, "addresses belong to a MAC: give it, too", "mac")
    return StoredPort(mac, addresses, antispoof)


def parse_address(text: str) -> IpAddress:
    """Return the overlay address of one guest that an operator wrote.

    Raises:
        ControlError: it is none.
    """
    try:
        address = parse_ip(text)
    except ValueError as exc:
        raise ControlError(ErrorCode.INVALID, f"{text!r} is no IP address", "addresses") from exc
    everybody = isinstance(address, IPv4Address) and int(address) == 0xFFFFFFFF
    if address.is_unspecified or address.is_multicast or address.is_loopback or everybody:
        message = f"{address} is not the address of one guest"
        raise ControlError(ErrorCode.INVALID, message, "addresses")
    return address


def of(ports: Mapping[str, StoredPort], values: Mapping[str, Value]) -> tuple[GuestPort, ...]:
    """Return what the datapath must know of guests' ports.

    Args:
        ports: what is known, by name.
        values: the overlay's properties.
    """
    usual = Antispoof(values.get(catalogue.ANTISPOOF))
    return tuple(
        GuestPort(
            name,
            None if port.mac is None else bytes(entries.parse_mac(port.mac)),
            tuple(parse_ip(text) for text in port.addresses),
            usual if port.antispoof is None else Antispoof(port.antispoof),
        )
        for name, port in sorted(ports.items())
    )


def infos(
    overlay: str,
    ports: Mapping[str, StoredPort],
    usual: str,
    present: Iterable[str],
    refused: Mapping[str, int],
    conflicts: Mapping[str, str],
) -> list[PortInfo]:
    """Return the guests' ports of an overlay in the order of their names.

    Args:
        overlay: its name.
        ports: what is known of ports.
        usual: the overlay's `catalogue.ANTISPOOF`.
        present: names of the ports that its bridge has.
        refused: frames that were refused, by port.
        conflicts: who else has what belongs to a port, by port.
    """
    there = set(present)
    found = []
    for name in sorted(there | ports.keys()):
        port = ports.get(name, NOTHING)
        antispoof = usual if port.antispoof is None else port.antispoof
        state: PortState = "present" if name in there else "absent"
        if state == "present" and port.mac is None and antispoof != Antispoof.OFF.value:
            state = "blocked"
        elif state == "present" and name in conflicts:
            state = "conflict"
        found.append(
            PortInfo(
                overlay=overlay,
                port=name,
                mac=port.mac,
                addresses=port.addresses,
                antispoof=antispoof,
                own=port.antispoof is not None,
                state=state,
                refused=refused.get(name, 0),
                conflict=conflicts.get(name),
            )
        )
    return found


def unknown(overlay: str, port: str) -> ControlError:
    """Return that nothing was said of a port."""
    message = f"nothing was said of port {port} of overlay {overlay}"
    return ControlError(ErrorCode.NOT_FOUND, message, "port")
