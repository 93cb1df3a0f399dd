"""Names, MACs and addresses that an overlay has in the kernel, and how its links are recognised."""

import hashlib
import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from varpd.datapath.base import DatapathError, DatapathErrorCode, Link
from varpd.net.addresses import MAC_SIZE, IpAddress, MacAddress

NAME_MAX: Final = 12
"""Characters of an overlay's name: what IFNAMSIZ leaves behind `vx-` and before the final zero."""

PUNT_PORT: Final = 789
"""Port that punted frames are sent to; privileged, so that no user can take it meanwhile."""

PUNT_NETWORK_V4: Final = int(IPv4Address("127.86.0.0"))
"""A part of 127.0.0.0/8 (RFC 1122, section 3.2.1.3), all of which is on `lo` by itself."""

PUNT_NETWORK_V6: Final = int(IPv6Address("fd76:6172:7064::"))
"""A unique local prefix of ours (RFC 4193): global ID 76 6172 7064, in ASCII `varpd`, subnet 0.

Its addresses are on `lo` only, one for each overlay on an IPv6 underlay, and on no wire.
"""

PUNT_NETWORKS: Final = {4: "127.86.0.0/16", 6: "fd76:6172:7064::/112"}
"""Both, as operators write them, by the version of IP."""

GROUP: Final = 0x76617270
"""Group (IFLA_GROUP) of all our links, in ASCII `varp`: what udev sees when a link appears.

The alias comes too late for that.
"""

_DEVICE_PREFIX: Final = "vx-"
_ALIAS_PREFIX: Final = "varpd:"
_NUMBER_BITS: Final = 16
# Directories of /proc/sys/net/*/conf, and the loopback interface.
_RESERVED: Final = frozenset({"all", "default", "lo"})
# What the kernel takes for a name: no white space, slash or colon; `%` would be filled in.
_NAME: Final = re.compile(r"(?!\.{1,2}$)[^\s/:%\x00-\x1f\x7f]+")
# The two lowest bits of a MAC's first byte: group, and given by an administrator.
_GROUP: Final = 0x01
_LOCAL_ADMIN: Final = 0x02


def check_name(name: str) -> None:
    """Refuse a name that no bridge can have.

    Raises:
        DatapathError: `NAME_TAKEN`.
    """
    reason = None
    if name in _RESERVED:
        reason = "Linux uses that name itself"
    elif len(name.encode()) > NAME_MAX:
        reason = f"it is longer than {NAME_MAX} characters"
    elif not _NAME.fullmatch(name):
        reason = "a link's name has at least one character, and no white space, '/', ':' or '%'"
    if reason is not None:
        raise DatapathError(
            DatapathErrorCode.NAME_TAKEN,
            f"an overlay cannot be named {name!r}: {reason}; choose another name",
        )


def device_name(overlay: str) -> str:
    """Return the name of an overlay's tunnel device; that of the bridge is the overlay's own."""
    return _DEVICE_PREFIX + overlay


def alias(overlay: str) -> str:
    """Return the alias (IFLA_IFALIAS) that says that a link belongs to an overlay."""
    return _ALIAS_PREFIX + overlay


def overlay_of(alias: str) -> str | None:
    """Return the overlay that an alias names, or None if it is none of ours."""
    return alias.removeprefix(_ALIAS_PREFIX) if alias.startswith(_ALIAS_PREFIX) else None


def link_mac(link: Link, name: str) -> MacAddress:
    """Return the MAC of the bridge or tunnel device called `name`.

    Locally administered, the same each time, and another one on each host. It is set when the link
    is made, because udev gives a link without one an address of its own choice.
    """
    seed = f"{name} {link.vnetid} {link.listen_ip} {link.listen_port}".encode()
    digest = hashlib.blake2b(seed, digest_size=MAC_SIZE).digest()
    return MacAddress(bytes([digest[0] & ~_GROUP | _LOCAL_ADMIN]) + digest[1:])


def punt_address(link: Link) -> IpAddress:
    """Return the address on `lo` that an overlay's punted frames are sent to.

    It is made from the overlay's number, in the family of its underlay.
    """
    if link.listen_ip.version == 4:
        return IPv4Address(PUNT_NETWORK_V4 | link.number)
    return IPv6Address(PUNT_NETWORK_V6 | link.number)


def is_punt_address(address: IpAddress) -> bool:
    """Return whether `punt_address` makes `address` for some overlay."""
    network = PUNT_NETWORK_V4 if address.version == 4 else PUNT_NETWORK_V6
    return int(address) >> _NUMBER_BITS == network >> _NUMBER_BITS
