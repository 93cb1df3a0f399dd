"""What may be said through `Host`: one check of its arguments for every host there is."""

from ipaddress import IPv4Address, IPv6Address
from typing import Final

from varpd.net.addresses import MAC_SIZE, IpAddress, MacAddress

VLAN_MAX: Final = 4094
"""Greatest VLAN identifier that a frame can be in (IEEE 802.1Q, table 9-2)."""

MAX_MESSAGE: Final = 255
"""Longest message of `Host.degrade`, bytes of UTF-8."""

_GROUP_BIT: Final = 0x01


def is_station(mac: object) -> bool:
    """Return whether `mac` is the six bytes of one station's address: no group, not all zero."""
    return isinstance(mac, bytes) and len(mac) == MAC_SIZE and not mac[0] & _GROUP_BIT and any(mac)


def check_mac(mac: object) -> MacAddress:
    """Return any MAC address.

    Raises:
        ValueError: `mac` is not six bytes.
    """
    if not isinstance(mac, bytes) or len(mac) != MAC_SIZE:
        raise ValueError(f"not the six bytes of a MAC address: {mac!r}")
    return MacAddress(mac)


def check_station(mac: object) -> MacAddress:
    """Return the MAC address of one station.

    Raises:
        ValueError: `mac` is not six bytes, or is a group's address or all zero.
    """
    address = check_mac(mac)
    if not is_station(address):
        raise ValueError(f"not the MAC address of one station: {address}")
    return address


def check_announcement(
    mac: object, address: object, vlan: object, destination: object
) -> tuple[MacAddress, IpAddress, int | None, MacAddress | None]:
    """Return the arguments of `Host.inject_arp`.

    Raises:
        ValueError: one of them is not what it should be.
    """
    holder = check_station(mac)
    if not isinstance(address, IPv4Address | IPv6Address):
        raise ValueError(f"not an IP address: {address!r}")  # noqa: TRY004 - as Host promises
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"nobody can have the address {address}")
    if vlan is None:
        tag = None
    elif isinstance(vlan, int) and not isinstance(vlan, bool) and 1 <= vlan <= VLAN_MAX:
        tag = vlan
    else:
        raise ValueError(f"VLAN {vlan!r} is not 1 to {VLAN_MAX}")
    return holder, address, tag, None if destination is None else check_mac(destination)


def check_message(message: object) -> str:
    """Return the text of a degradation or panic, cut to `MAX_MESSAGE` bytes of UTF-8.

    Raises:
        ValueError: `message` is empty, or no text.
    """
    if not isinstance(message, str) or not message:
        raise ValueError(f"not a message: {message!r}")
    return message.encode(errors="replace")[:MAX_MESSAGE].decode(errors="ignore")
