"""DHCP for IPv4 over Ethernet (RFC 2131, section 2), as far as one who passes it on needs it.

 0               1               2               3
+---------------+---------------+---------------+---------------+
| operation     | hw type (1)   | hw length (6) |     hops      |
+---------------+---------------+---------------+---------------+
|                     transaction identifier                    |
+-------------------------------+-+-----------------------------+
|            seconds            |B|          reserved           |
+-------------------------------+-+-----------------------------+
|             client address, if it has one (ciaddr)            |
|             address given to the client (yiaddr)              |
|             address of the next server (siaddr)               |
|             address of the relay agent (giaddr)               |
+---------------------------------------------------------------+
|             client MAC address (chaddr, 16 bytes)             |
|             server name (64 bytes)                            |
|             boot file name (128 bytes)                        |
+---------------------------------------------------------------+
|                  magic cookie (99.130.83.99)                  |
+---------------+---------------+-------------------------------+
|  option code  |    length     |          option data ...
+---------------+---------------+-------------------------------+
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import ClassVar, Final, Self

from varpd.net import udp
from varpd.net.addresses import MAC_SIZE, MacAddress
from varpd.net.arp import HARDWARE_ETHERNET
from varpd.net.decode import DecodeError, Reason
from varpd.net.fields import UINT8_MAX, UINT16_MAX, UINT32_MAX, check_range, check_size

SERVER_PORT: Final = 67
"""UDP port of servers and relay agents (RFC 2131, section 4.1)."""

CLIENT_PORT: Final = 68
"""UDP port of clients (RFC 2131, section 4.1)."""

SERVER_NAME_SIZE: Final = 64
BOOT_FILE_SIZE: Final = 128

_LAYOUT = struct.Struct(f"!BBBBIHH4s4s4s4s6s10x{SERVER_NAME_SIZE}s{BOOT_FILE_SIZE}s4s")
_BROADCAST_BIT: Final = 1 << 15
_COOKIE: Final = bytes((99, 130, 83, 99))  # RFC 2131, section 3

OPTIONS_MAX: Final = udp.PAYLOAD_MAX - _LAYOUT.size
"""Most bytes of options that a UDP datagram has room for."""

UNSPECIFIED: Final = IPv4Address(0)


class Operation(IntEnum):
    """Which way a message goes (RFC 2131, section 2)."""

    REQUEST = 1
    """From a client."""
    REPLY = 2
    """From a server."""


class OptionCode(IntEnum):
    """Options that are looked at (RFC 2132, sections 3.1, 3.2 and 9.6)."""

    PAD = 0
    """One byte without a length."""
    MESSAGE_TYPE = 53
    END = 255
    """One byte without a length; what follows it means nothing."""


class MessageType(IntEnum):
    """What a message says (RFC 2132, section 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


@dataclass(frozen=True, slots=True)
class Message:
    """A DHCP message of a client with an Ethernet card.

    Raises:
        ValueError: a number, name or address does not fit its field.
        DecodeError: `options`, which is given as it stands on the wire, cannot be read.
    """

    SIZE_MIN: ClassVar[int] = _LAYOUT.size
    """Bytes in a message without options."""

    operation: Operation
    xid: int
    """Transaction identifier, 32 bits, chosen by the client."""

    chaddr: MacAddress
    """The client's MAC address."""

    broadcast: bool = False
    """The client cannot yet receive unicast: the answer is to be broadcast."""

    ciaddr: IPv4Address = UNSPECIFIED
    """The client's address, if it has one."""

    yiaddr: IPv4Address = UNSPECIFIED
    """The address that the server gives the client."""

    siaddr: IPv4Address = UNSPECIFIED
    """The next server to boot from."""

    giaddr: IPv4Address = UNSPECIFIED
    """The relay agent."""

    hops: int = 0
    """How many relay agents have passed it on, 0 to 255."""

    seconds: int = 0
    """Since the client began, 0 to 65535."""

    server_name: bytes = bytes(SERVER_NAME_SIZE)
    """64 bytes, filled up with zeros."""

    boot_file: bytes = bytes(BOOT_FILE_SIZE)
    """128 bytes, filled up with zeros."""

    options: bytes = bytes((OptionCode.END,))
    """All that stands behind the magic cookie, `OPTIONS_MAX` bytes at most."""

    def __post_init__(self) -> None:
        check_range("transaction identifier", self.xid, UINT32_MAX)
        check_range("hops", self.hops, UINT8_MAX)
        check_range("seconds", self.seconds, UINT16_MAX)
        if len(self.server_name) != SERVER_NAME_SIZE:
            raise ValueError(f"server name of {len(self.server_name)} bytes")
        if len(self.boot_file) != BOOT_FILE_SIZE:
            raise ValueError(f"boot file name of {len(self.boot_file)} bytes")
        if len(self.options) > OPTIONS_MAX:
            raise DecodeError(Reason.DHCP_LENGTH, f"DHCP options of {len(self.options)} bytes")
        for code, data in _walk(self.options):
            if code == OptionCode.MESSAGE_TYPE and len(data) != 1:
                raise DecodeError(Reason.DHCP_OPTION, f"DHCP message type of {len(data)} bytes")

    @property
    def message_type(self) -> int | None:
        """A `MessageType`, another number that later documents give; None in a BOOTP message."""
        for code, data in _walk(self.options):
            if code == OptionCode.MESSAGE_TYPE:
                return data[0]
        return None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the payload of a UDP datagram, all of it.

        A missing end option is no fault.

        Raises:
            DecodeError: `data` is too short or too long, is not for Ethernet, has no magic
                cookie, or its options run past the end.
        """
        check_size("DHCP message", data, cls.SIZE_MIN)
        fields = _LAYOUT.unpack_from(data)
        operation, hardware, hardware_size, hops, xid, seconds, flags = fields[:7]
        ciaddr, yiaddr, siaddr, giaddr, chaddr, server_name, boot_file, cookie = fields[7:]
        if hardware != HARDWARE_ETHERNET:
            raise DecodeError(Reason.DHCP_HARDWARE_TYPE, f"DHCP hardware type {hardware}")
        if hardware_size != MAC_SIZE:
            raise DecodeError(
                Reason.DHCP_ADDRESS_LENGTH, f"DHCP hardware address of {hardware_size} bytes"
            )
        if operation not in tuple(Operation):
            raise DecodeError(Reason.DHCP_OPERATION, f"DHCP operation {operation}")
        if cookie != _COOKIE:
            raise DecodeError(Reason.DHCP_COOKIE, f"DHCP magic cookie {cookie.hex()}")
        return cls(
            operation=Operation(operation),
            xid=xid,
            chaddr=MacAddress(chaddr),
            broadcast=bool(flags & _BROADCAST_BIT),
            ciaddr=IPv4Address(ciaddr),
            yiaddr=IPv4Address(yiaddr),
            siaddr=IPv4Address(siaddr),
            giaddr=IPv4Address(giaddr),
            hops=hops,
            seconds=seconds,
            server_name=server_name,
            boot_file=boot_file,
            options=data[cls.SIZE_MIN :],
        )

    def serialize(self) -> bytes:
        """Return the message as it goes on the wire, reserved bits zero."""
        header = _LAYOUT.pack(
            self.operation,
            HARDWARE_ETHERNET,
            MAC_SIZE,
            self.hops,
            self.xid,
            self.seconds,
            _BROADCAST_BIT if self.broadcast else 0,
            self.ciaddr.packed,
            self.yiaddr.packed,
            self.siaddr.packed,
            self.giaddr.packed,
            self.chaddr,
            self.server_name,
            self.boot_file,
            _COOKIE,
        )
        return header + self.options


def _walk(options: bytes) -> Iterator[tuple[int, bytes]]:
    """Give each option up to the end option, which need not be there, as code and data."""
    at = 0
    while at < len(options) and options[at] != OptionCode.END:
        code = options[at]
        at += 1
        if code == OptionCode.PAD:
            continue
        end = at + 1 + options[at] if at < len(options) else at + 1
        if end > len(options):
            raise DecodeError(Reason.DHCP_OPTION, f"DHCP option {code} runs past the end")
        yield code, options[at + 1 : end]
        at = end
