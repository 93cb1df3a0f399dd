"""Messages of SVP about liveness and mappings: ping, VL2, VL3, bulk and shootdown.

A message here is the body behind the header (`wire`). VL2 is an overlay's MAC address, VL3 an
overlay's IP address, UL3 the address and port where a host takes wrapped frames. Numbers are
big-endian; padding is sent as zero and not looked at when received.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import ClassVar, Final, Self

from varpd.net.addresses import ZERO, IpAddress, MacAddress
from varpd.net.decode import DecodeError
from varpd.net.fields import UINT16_MAX, UINT32_MAX, check_range
from varpd.plugins.svp.fields import (
    BulkType,
    Fault,
    Operation,
    Status,
    check_body,
    check_ip,
    l3_type,
    pack_ip,
    parse_status,
    unpack_ip,
)

UNSPECIFIED: Final = IPv6Address(0)
"""The address in an answer that has none."""


@dataclass(frozen=True, slots=True)
class _Empty:
    """A message that is all header."""

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, there is one."""
        check_body(cls.__name__, body, 0)
        return cls()

    def serialize(self) -> bytes:
        """Return the body, which is empty."""
        return b""


@dataclass(frozen=True, slots=True)
class Ping(_Empty):
    """Is anybody there?"""

    OPERATION: ClassVar = Operation.PING


@dataclass(frozen=True, slots=True)
class Pong(_Empty):
    """The answer to `Ping`."""

    OPERATION: ClassVar = Operation.PONG


@dataclass(frozen=True, slots=True)
class _Vl2:
    """A MAC address of one overlay."""

    _LAYOUT: ClassVar = struct.Struct("!6s2xI")

    mac: MacAddress
    vnetid: int
    """0 to 2^32 - 1."""

    def __post_init__(self) -> None:
        check_range("vnetid", self.vnetid, UINT32_MAX)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, it has another size."""
        check_body(cls.__name__, body, cls._LAYOUT.size)
        mac, vnetid = cls._LAYOUT.unpack(body)
        return cls(MacAddress(mac), vnetid)

    def serialize(self) -> bytes:
        """Return the body, padding zero."""
        return self._LAYOUT.pack(self.mac, self.vnetid)


@dataclass(frozen=True, slots=True)
class Vl2Request(_Vl2):
    """Behind which host is this MAC address?"""

    OPERATION: ClassVar = Operation.VL2_REQ


@dataclass(frozen=True, slots=True)
class Shootdown(_Vl2):
    """From host to host: this MAC address is not here, forget that it was. Has no reply."""

    OPERATION: ClassVar = Operation.SHOOTDOWN


@dataclass(frozen=True, slots=True)
class Vl2Ack:
    """Where a MAC address is; port 0 and address :: unless `status` is OK."""

    OPERATION: ClassVar = Operation.VL2_ACK
    _LAYOUT: ClassVar = struct.Struct("!HH16s")

    status: Status
    port: int = 0
    ip: IpAddress = UNSPECIFIED

    def __post_init__(self) -> None:
        check_range("port", self.port, UINT16_MAX)
        check_ip(self.ip)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, it has another size or an unknown status."""
        check_body("VL2 answer", body, cls._LAYOUT.size)
        status, port, ip = cls._LAYOUT.unpack(body)
        return cls(parse_status(status), port, unpack_ip(ip))

    def serialize(self) -> bytes:
        """Return the body."""
        return self._LAYOUT.pack(self.status, self.port, pack_ip(self.ip))


@dataclass(frozen=True, slots=True)
class Vl3Request:
    """Which MAC address has this overlay address, and behind which host?"""

    OPERATION: ClassVar = Operation.VL3_REQ
    _LAYOUT: ClassVar = struct.Struct("!16sII")

    ip: IpAddress
    vnetid: int
    """0 to 2^32 - 1."""

    def __post_init__(self) -> None:
        check_range("vnetid", self.vnetid, UINT32_MAX)
        check_ip(self.ip)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, it has another size or a type not its address's."""
        check_body("VL3 request", body, cls._LAYOUT.size)
        packed, kind, vnetid = cls._LAYOUT.unpack(body)
        ip = unpack_ip(packed)
        if kind != l3_type(ip):
            raise DecodeError(Fault.L3_TYPE, f"VL3 request of type {kind} for {ip}")
        return cls(ip, vnetid)

    def serialize(self) -> bytes:
        """Return the body."""
        return self._LAYOUT.pack(pack_ip(self.ip), l3_type(self.ip), self.vnetid)


@dataclass(frozen=True, slots=True)
class Vl3Ack:
    """Who has an overlay address, and where; all zero unless `status` is OK."""

    OPERATION: ClassVar = Operation.VL3_ACK
    _LAYOUT: ClassVar = struct.Struct("!I6sH16s")

    status: Status
    mac: MacAddress = ZERO
    port: int = 0
    ip: IpAddress = UNSPECIFIED

    def __post_init__(self) -> None:
        check_range("port", self.port, UINT16_MAX)
        check_ip(self.ip)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, it has another size or an unknown status."""
        check_body("VL3 answer", body, cls._LAYOUT.size)
        status, mac, port, ip = cls._LAYOUT.unpack(body)
        return cls(parse_status(status), MacAddress(mac), port, unpack_ip(ip))

    def serialize(self) -> bytes:
        """Return the body."""
        return self._LAYOUT.pack(self.status, self.mac, self.port, pack_ip(self.ip))


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """Send a whole table. No known server answers; Portolan ends itself."""

    OPERATION: ClassVar = Operation.BULK_REQ
    _LAYOUT: ClassVar = struct.Struct("!I")

    type: BulkType

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, it has another size or an unknown type."""
        check_body("bulk request", body, cls._LAYOUT.size)
        (number,) = cls._LAYOUT.unpack(body)
        try:
            return cls(BulkType(number))
        except ValueError:
            raise DecodeError(Fault.BULK_TYPE, f"bulk request of unknown type {number}") from None

    def serialize(self) -> bytes:
        """Return the body."""
        return self._LAYOUT.pack(self.type)


@dataclass(frozen=True, slots=True)
class BulkAck:
    """The answer to `BulkRequest`, of which nothing is defined."""

    OPERATION: ClassVar = Operation.BULK_ACK

    body: bytes

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Take a body as it is."""
        return cls(body)

    def serialize(self) -> bytes:
        """Return the body."""
        return self.body
