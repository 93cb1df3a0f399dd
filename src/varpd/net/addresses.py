"""MAC and IP addresses.

A `MacAddress` *is* its six bytes: it equals them and has their hash. So a table keyed by plain
bytes, as the hot path has them out of a frame, can be asked with a `MacAddress` and the other
way round, without a conversion on either side.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Self, TypeAlias

Mac: TypeAlias = bytes
"""Six plain bytes: a MAC address on the hot path, where no object is made of it."""

IpAddress: TypeAlias = IPv4Address | IPv6Address
"""An address of either family."""

MAC_SIZE: Final = 6
"""Bytes in a MAC address (IEEE 802, 8.2)."""

# The two lowest bits of the first byte (IEEE 802, 8.2).
_GROUP_BIT: Final = 0x01
_LOCAL_BIT: Final = 0x02

_MAC_TEXT: Final = re.compile(r"[0-9A-Fa-f]{1,2}(?:(:|-)[0-9A-Fa-f]{1,2})(?:\1[0-9A-Fa-f]{1,2}){4}")


class MacAddress(bytes):
    """A 48-bit MAC address; equal to, and with the hash of, the plain bytes it is made of.

    Raises:
        ValueError: not exactly six bytes.
    """

    __slots__ = ()

    def __new__(cls, data: bytes | bytearray | memoryview) -> Self:
        if len(data) != MAC_SIZE:
            raise ValueError(f"MAC address needs {MAC_SIZE} bytes, got {len(data)}")
        return super().__new__(cls, data)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read six hexadecimal numbers between colons or dashes, leading zeros optional.

        Raises:
            ValueError: `text` is nothing of the kind; the message names it.
        """
        if not _MAC_TEXT.fullmatch(text):
            raise ValueError(f"not a MAC address: {text!r}")
        return cls(bytes(int(part, 16) for part in text.replace("-", ":").split(":")))

    def __str__(self) -> str:
        return self.hex(":")

    def __repr__(self) -> str:
        return f"MacAddress({str(self)!r})"

    @property
    def is_group(self) -> bool:
        """Whether this is a multicast address or the broadcast address."""
        return bool(self[0] & _GROUP_BIT)

    @property
    def is_broadcast(self) -> bool:
        """Whether this is ff:ff:ff:ff:ff:ff."""
        return self == BROADCAST

    @property
    def is_zero(self) -> bool:
        """Whether this is 00:00:00:00:00:00, which is nobody's address."""
        return self == ZERO

    @property
    def is_local_admin(self) -> bool:
        """Whether the address was given by an administrator, not by the maker of a card."""
        return bool(self[0] & _LOCAL_BIT)


ZERO: Final = MacAddress(bytes(MAC_SIZE))
"""00:00:00:00:00:00: no address."""

BROADCAST: Final = MacAddress(b"\xff" * MAC_SIZE)
"""Every station."""

IPV6_MULTICAST_PREFIX: Final = b"\x33\x33"
"""First two bytes of the MAC address of any IPv6 multicast address (RFC 2464, section 7)."""

SOLICITED_NODE_PREFIX: Final = b"\x33\x33\xff"
"""First three bytes of the MAC address of any solicited-node address."""

_SOLICITED_NODE_BASE: Final = int(IPv6Address("ff02::1:ff00:0"))
_SOLICITED_NODE_MASK: Final = (1 << 24) - 1


def ipv6_multicast_mac(address: IPv6Address) -> MacAddress:
    """Return the MAC address to which packets for a multicast address go (RFC 2464, section 7).

    Raises:
        ValueError: `address` is not multicast.
    """
    if not address.is_multicast:
        raise ValueError(f"not a multicast address: {address}")
    return MacAddress(IPV6_MULTICAST_PREFIX + address.packed[-4:])


def solicited_node(address: IPv6Address) -> IPv6Address:
    """Return the multicast address where `address` is asked for (RFC 4291, section 2.7.1)."""
    return IPv6Address(_SOLICITED_NODE_BASE | int(address) & _SOLICITED_NODE_MASK)


def is_solicited_node(address: IPv6Address) -> bool:
    """Return whether `address` is the solicited-node address of anything (ff02::1:ff00:0/104)."""
    return int(address) & ~_SOLICITED_NODE_MASK == _SOLICITED_NODE_BASE


ALL_NODES_ADDRESS: Final = IPv6Address("ff02::1")
"""Every node on the link (RFC 4291, section 2.7.1)."""

ALL_NODES_V6: Final = ipv6_multicast_mac(ALL_NODES_ADDRESS)
"""33:33:00:00:00:01, every IPv6 node on the link."""

ALL_ROUTERS_V6: Final = ipv6_multicast_mac(IPv6Address("ff02::2"))
"""33:33:00:00:00:02, every IPv6 router on the link (RFC 4291, section 2.7.1)."""

ALL_MLDV2_ROUTERS_V6: Final = ipv6_multicast_mac(IPv6Address("ff02::16"))
"""33:33:00:00:00:16, where multicast listeners report (RFC 3810, section 5.2.14)."""

ALL_DHCP_AGENTS_V6: Final = ipv6_multicast_mac(IPv6Address("ff02::1:2"))
"""33:33:00:01:00:02, DHCPv6 servers and relays (RFC 8415, section 7.1)."""


def parse_ip(text: str) -> IpAddress:
    """Read an IPv4 or IPv6 address; an IPv6 zone (`%eth0`) is refused.

    Raises:
        ValueError: `text` is nothing of the kind; the message names it.
    """
    try:
        if ":" not in text:
            return IPv4Address(text)
        if "%" not in text:
            return IPv6Address(text)
    except AddressValueError:
        pass
    raise ValueError(f"not an IP address: {text!r}")
