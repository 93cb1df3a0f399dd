"""ARP for IPv4 over Ethernet (RFC 826).

 0               1               2               3
+-------------------------------+-------------------------------+
|       hardware type (1)       |    protocol type (0x0800)     |
+---------------+---------------+-------------------------------+
| hw length (6) | pr length (4) |           operation           |
+---------------+---------------+-------------------------------+
|                 sender MAC address (6 bytes)                  |
|                 sender IP address (4 bytes)                   |
|                 target MAC address (6 bytes)                  |
|                 target IP address (4 bytes)                   |
+---------------------------------------------------------------+
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import ClassVar, Final, Self

from varpd.net.addresses import MAC_SIZE, MacAddress
from varpd.net.decode import DecodeError, Reason
from varpd.net.ethernet import EtherType
from varpd.net.fields import UINT16_MAX, check_range, check_size

HARDWARE_ETHERNET: Final = 1
"""Hardware type of Ethernet (IANA, "ARP Parameters"); DHCP has the same numbers."""

_IPV4_SIZE: Final = 4
_LAYOUT = struct.Struct("!HHBBH6s4s6s4s")


class Operation(IntEnum):
    """What a packet is for (RFC 826, "Packet format")."""

    REQUEST = 1
    REPLY = 2


@dataclass(frozen=True, slots=True)
class Packet:
    """An ARP packet for IPv4 over Ethernet."""

    SIZE: ClassVar[int] = _LAYOUT.size

    operation: int
    """An `Operation`, or any other number of 16 bits."""

    sender_mac: MacAddress
    sender_ip: IPv4Address
    target_mac: MacAddress
    target_ip: IPv4Address

    def __post_init__(self) -> None:
        check_range("ARP operation", self.operation, UINT16_MAX)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the payload of a frame; padding behind the packet is passed over.

        Raises:
            DecodeError: `data` is too short, or not for IPv4 over Ethernet.
        """
        check_size("ARP packet", data, cls.SIZE)
        fields = _LAYOUT.unpack_from(data)
        hardware, protocol, hardware_size, protocol_size, operation = fields[:5]
        sender_mac, sender_ip, target_mac, target_ip = fields[5:]
        if hardware != HARDWARE_ETHERNET:
            raise DecodeError(Reason.ARP_HARDWARE_TYPE, f"ARP hardware type {hardware}")
        if protocol != EtherType.IPV4:
            raise DecodeError(Reason.ARP_PROTOCOL_TYPE, f"ARP protocol type {protocol:#06x}")
        if (hardware_size, protocol_size) != (MAC_SIZE, _IPV4_SIZE):
            raise DecodeError(
                Reason.ARP_ADDRESS_LENGTH,
                f"ARP hardware address of {hardware_size} and protocol address of "
                f"{protocol_size} bytes",
            )
        return cls(
            operation,
            MacAddress(sender_mac),
            IPv4Address(sender_ip),
            MacAddress(target_mac),
            IPv4Address(target_ip),
        )

    def serialize(self) -> bytes:
        """Return the packet as it goes on the wire, without padding."""
        return _LAYOUT.pack(
            HARDWARE_ETHERNET,
            EtherType.IPV4,
            MAC_SIZE,
            _IPV4_SIZE,
            self.operation,
            self.sender_mac,
            self.sender_ip.packed,
            self.target_mac,
            self.target_ip.packed,
        )

    @property
    def is_request(self) -> bool:
        """Whether somebody asks for the MAC address of `target_ip`."""
        return self.operation == Operation.REQUEST

    @property
    def is_gratuitous(self) -> bool:
        """Whether the sender speaks of its own address, to announce or defend it (RFC 5227)."""
        return self.sender_ip == self.target_ip

    @property
    def is_probe(self) -> bool:
        """Whether the sender asks if an address is free before taking it (RFC 5227, 2.1.1)."""
        return self.is_request and self.sender_ip.is_unspecified
