"""What the messages of SVP share: the numbers that have names, and addresses.

The format is that of illumos' varpd and of Triton's Portolan; there is no RFC.
"""

from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv6Address

from varpd.net.addresses import IpAddress
from varpd.net.decode import DecodeError
from varpd.net.fields import check_size


class Operation(IntEnum):
    """What a message is."""

    PING = 1
    PONG = 2
    VL2_REQ = 3
    VL2_ACK = 4
    VL3_REQ = 5
    VL3_ACK = 6
    BULK_REQ = 7
    BULK_ACK = 8
    LOG_REQ = 9
    LOG_ACK = 10
    LOG_RM = 11
    LOG_RM_ACK = 12
    SHOOTDOWN = 13


class Status(IntEnum):
    """What a server says of a request."""

    OK = 0
    FATAL = 1
    """The server cannot answer; the connection should be closed."""
    NOT_FOUND = 2
    BAD_L3_TYPE = 3
    BAD_BULK = 4


class L3Type(IntEnum):
    """Family of the address in a VL3 request."""

    IPV4 = 1
    IPV6 = 2


class BulkType(IntEnum):
    """Which table a bulk request asks for."""

    VL2 = 1
    VL3 = 2


class RecordType(IntEnum):
    """What a record of the log is about."""

    VL2 = 1
    VL3 = 2


class Fault(StrEnum):
    """Why bytes are no SVP message; besides `varpd.net.Reason.TRUNCATED`."""

    VERSION = "svp-version"
    OPERATION = "svp-operation"
    SIZE = "svp-size"
    """The body is not as long as the operation's, or longer than is taken."""
    CHECKSUM = "svp-checksum"
    STATUS = "svp-status"
    L3_TYPE = "svp-l3-type"
    """The type of a VL3 request is none, or not that of its address."""
    BULK_TYPE = "svp-bulk-type"
    RECORD = "svp-record"
    """A record of the log is cut off."""


def pack_ip(address: IpAddress) -> bytes:
    """Return an address as its 16 bytes, an IPv4 address v4-mapped."""
    if isinstance(address, IPv4Address):
        return IPv6Address(f"::ffff:{address}").packed
    return address.packed


def unpack_ip(data: bytes) -> IpAddress:
    """Read an address; a v4-mapped one is an IPv4 address."""
    address = IPv6Address(data)
    return address.ipv4_mapped or address


def check_ip(address: IpAddress) -> None:
    """Refuse what would be read back as another address. Raises: ValueError, v4-mapped."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError(f"v4-mapped address; give it as IPv4: {address}")


def l3_type(address: IpAddress) -> L3Type:
    """Return the type that goes with an address."""
    return L3Type.IPV4 if isinstance(address, IPv4Address) else L3Type.IPV6


def parse_status(value: int) -> Status:
    """Read a status. Raises: DecodeError, there is none of this number."""
    try:
        return Status(value)
    except ValueError:
        raise DecodeError(Fault.STATUS, f"unknown SVP status {value}") from None


def check_body(what: str, body: bytes, size: int) -> None:
    """Refuse a body of another size. Raises: DecodeError."""
    check_size(what, body, size)
    if len(body) > size:
        raise DecodeError(Fault.SIZE, f"{what} has {size} bytes, got {len(body)}")
