"""The one error of every parse, and the reasons it can have.

A frame that cannot be read is dropped and counted by its reason, so a reason is a short fixed
word, never made from what the packet said.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why bytes are not the message they were taken for."""

    TRUNCATED = "truncated"
    """The data ends before the message does."""

    ETHERNET_LENGTH = "ethernet-length"
    """Type/length field between 1501 and 1535, which is neither a length nor an EtherType."""

    ARP_HARDWARE_TYPE = "arp-hardware-type"
    """ARP for other hardware than Ethernet."""
    ARP_PROTOCOL_TYPE = "arp-protocol-type"
    """ARP for another protocol than IPv4."""
    ARP_ADDRESS_LENGTH = "arp-address-length"
    """Hardware addresses not of 6 bytes, or protocol addresses not of 4."""

    IPV4_VERSION = "ipv4-version"
    """Version field other than 4."""
    IPV4_LENGTH = "ipv4-length"
    """Header length below 20 bytes, or total length below the header length."""
    IPV4_CHECKSUM = "ipv4-checksum"
    """Header checksum does not match."""

    IPV6_VERSION = "ipv6-version"
    """Version field other than 6."""

    UDP_LENGTH = "udp-length"
    """Length field below the 8 bytes of the header."""
    UDP_CHECKSUM = "udp-checksum"
    """Checksum does not match, or there is none over IPv6."""

    NDP_NEXT_HEADER = "ndp-next-header"
    """The IPv6 payload is not ICMPv6."""
    NDP_TYPE = "ndp-type"
    """Neither a neighbour solicitation nor a neighbour advertisement."""
    NDP_CODE = "ndp-code"
    """ICMPv6 code other than 0."""
    NDP_HOP_LIMIT = "ndp-hop-limit"
    """Hop limit other than 255: the packet may have been forwarded by a router."""
    NDP_CHECKSUM = "ndp-checksum"
    """ICMPv6 checksum does not match."""
    NDP_TARGET = "ndp-target"
    """The target is a multicast address."""
    NDP_OPTION = "ndp-option"
    """An option of length zero, or a link-layer address that is not six bytes."""
    NDP_UNSPECIFIED_SOURCE = "ndp-unspecified-source"
    """Solicitation from :: that is not to a solicited-node address or has a source link-layer
    address."""
    NDP_SOLICITED_FLAG = "ndp-solicited-flag"
    """Advertisement to a multicast address with the solicited flag."""

    DHCP_OPERATION = "dhcp-operation"
    """Operation neither request (1) nor reply (2)."""
    DHCP_HARDWARE_TYPE = "dhcp-hardware-type"
    """DHCP for other hardware than Ethernet."""
    DHCP_ADDRESS_LENGTH = "dhcp-address-length"
    """Hardware addresses not of 6 bytes."""
    DHCP_COOKIE = "dhcp-cookie"
    """No magic cookie in front of the options."""
    DHCP_OPTION = "dhcp-option"
    """An option runs past the end of the message, or the message type is not one byte."""
    DHCP_LENGTH = "dhcp-length"
    """Longer than a UDP datagram can carry."""

    VXLAN_FLAGS = "vxlan-flags"
    """The flag that says that there is a network identifier is not set."""


class DecodeError(ValueError):
    """Bytes that are not a valid message of the format they were read as.

    `reason` is one of a fixed set of words to count by: a `Reason` in this package; a codec
    elsewhere may have words of its own. The message names the field and what it held.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message
