"""Messages of SVP about the log, in which a server keeps for each host what has changed.

A host asks for the oldest records, does what they say, and has them removed; until then they are
sent again. A message here is the body behind the header (`wire`).
"""

import struct
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self, TypeAlias
from uuid import UUID

from varpd.net.addresses import IpAddress, MacAddress
from varpd.net.decode import DecodeError
from varpd.net.fields import UINT16_MAX, UINT32_MAX, check_range, check_size
from varpd.plugins.svp.fields import (
    Fault,
    Operation,
    RecordType,
    Status,
    check_body,
    check_ip,
    pack_ip,
    parse_status,
    unpack_ip,
)

_NUMBER = struct.Struct("!I")
_UUID_SIZE: Final = 16


@dataclass(frozen=True, slots=True)
class Vl2Record:
    """A MAC address has moved or gone: what is known of it no longer holds."""

    LAYOUT: ClassVar = struct.Struct("!I16s6s2xI")

    id: UUID
    mac: MacAddress
    vnetid: int
    """0 to 2^32 - 1."""

    def __post_init__(self) -> None:
        check_range("vnetid", self.vnetid, UINT32_MAX)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a record that is all there."""
        _, uuid, mac, vnetid = cls.LAYOUT.unpack(data)
        return cls(UUID(bytes=uuid), MacAddress(mac), vnetid)

    def serialize(self) -> bytes:
        """Return the record, padding zero."""
        return self.LAYOUT.pack(RecordType.VL2, self.id.bytes, self.mac, self.vnetid)


@dataclass(frozen=True, slots=True)
class Vl3Record:
    """An overlay address belongs to another MAC address now."""

    LAYOUT: ClassVar = struct.Struct("!I16s16s2xHI")

    id: UUID
    ip: IpAddress
    vlan: int
    """VLAN in the overlay, 0 for none; 0 to 2^16 - 1, as the field allows."""
    vnetid: int
    """0 to 2^32 - 1."""

    def __post_init__(self) -> None:
        check_range("vlan", self.vlan, UINT16_MAX)
        check_range("vnetid", self.vnetid, UINT32_MAX)
        check_ip(self.ip)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a record that is all there."""
        _, uuid, ip, vlan, vnetid = cls.LAYOUT.unpack(data)
        return cls(UUID(bytes=uuid), unpack_ip(ip), vlan, vnetid)

    def serialize(self) -> bytes:
        """Return the record, padding zero."""
        return self.LAYOUT.pack(
            RecordType.VL3, self.id.bytes, pack_ip(self.ip), self.vlan, self.vnetid
        )


Record: TypeAlias = Vl2Record | Vl3Record

_RECORDS: Final[dict[int, type[Vl2Record] | type[Vl3Record]]] = {
    RecordType.VL2: Vl2Record,
    RecordType.VL3: Vl3Record,
}


@dataclass(frozen=True, slots=True)
class LogRequest:
    """Which records are there for this host?"""

    OPERATION: ClassVar = Operation.LOG_REQ
    _LAYOUT: ClassVar = struct.Struct("!I16s")

    count: int
    """Bytes of records that the answer may have, 0 to 2^32 - 1; its status comes on top."""
    ip: IpAddress
    """Where the host takes wrapped frames."""

    def __post_init__(self) -> None:
        check_range("count", self.count, UINT32_MAX)
        check_ip(self.ip)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, it has another size."""
        check_body("log request", body, cls._LAYOUT.size)
        count, ip = cls._LAYOUT.unpack(body)
        return cls(count, unpack_ip(ip))

    def serialize(self) -> bytes:
        """Return the body."""
        return self._LAYOUT.pack(self.count, pack_ip(self.ip))


@dataclass(frozen=True, slots=True)
class LogAck:
    """Records of the log in the order of the server; none unless `status` is OK."""

    OPERATION: ClassVar = Operation.LOG_ACK

    status: Status
    records: tuple[Record, ...] = ()
    unknown: int | None = field(default=None, compare=False)
    """Type of the record that ended the reading: how long one of an unknown type is cannot be
    known, so neither can what stands behind it. It is not sent on."""

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, an unknown status, or a record that is cut off."""
        check_size("log answer", body, _NUMBER.size)
        status = parse_status(_NUMBER.unpack_from(body)[0])
        records: list[Record] = []
        at = _NUMBER.size
        while at < len(body):
            check_size("log record", body[at:], _NUMBER.size)
            (number,) = _NUMBER.unpack_from(body, at)
            kind = _RECORDS.get(number)
            if kind is None:
                return cls(status, tuple(records), number)
            end = at + kind.LAYOUT.size
            if end > len(body):
                raise DecodeError(Fault.RECORD, f"log record of type {number} is cut off")
            records.append(kind.parse(body[at:end]))
            at = end
        return cls(status, tuple(records))

    def serialize(self) -> bytes:
        """Return the body."""
        return _NUMBER.pack(self.status) + b"".join(each.serialize() for each in self.records)


@dataclass(frozen=True, slots=True)
class LogRemove:
    """These records are done with."""

    OPERATION: ClassVar = Operation.LOG_RM

    ids: tuple[UUID, ...]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, its size is not that of as many ids as it says."""
        check_size("log removal", body, _NUMBER.size)
        (count,) = _NUMBER.unpack_from(body)
        check_body("log removal", body, _NUMBER.size + count * _UUID_SIZE)
        starts = range(_NUMBER.size, len(body), _UUID_SIZE)
        return cls(tuple(UUID(bytes=body[at : at + _UUID_SIZE]) for at in starts))

    def serialize(self) -> bytes:
        """Return the body."""
        return _NUMBER.pack(len(self.ids)) + b"".join(each.bytes for each in self.ids)


@dataclass(frozen=True, slots=True)
class LogRemoveAck:
    """The answer to `LogRemove`."""

    OPERATION: ClassVar = Operation.LOG_RM_ACK

    status: Status

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises: DecodeError, it has another size or an unknown status."""
        check_body("answer to log removal", body, _NUMBER.size)
        return cls(parse_status(_NUMBER.unpack(body)[0]))

    def serialize(self) -> bytes:
        """Return the body."""
        return _NUMBER.pack(self.status)
