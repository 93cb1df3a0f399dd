"""How a TCP stream carries the messages of SVP, the SDC VXLAN protocol, version 1.

 0               2               4               8              12              16
+---------------+---------------+---------------+---------------+---------------+------
|    version    |   operation   |  size of body |      id       |    CRC-32     | body
+---------------+---------------+---------------+---------------+---------------+------

Numbers are big-endian. The checksum is that of Ethernet (IEEE 802.3, 3.2.9), over header and body
with its own four bytes zero. A reply has the id of its request. There is no RFC: the format is
what illumos' varpd and Triton's Portolan send.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final, TypeAlias

from varpd.net.decode import DecodeError
from varpd.net.fields import UINT32_MAX, check_range
from varpd.plugins.svp.fields import Fault, Operation
from varpd.plugins.svp.log_messages import LogAck, LogRemove, LogRemoveAck, LogRequest
from varpd.plugins.svp.messages import (
    BulkAck,
    BulkRequest,
    Ping,
    Pong,
    Shootdown,
    Vl2Ack,
    Vl2Request,
    Vl3Ack,
    Vl3Request,
)

VERSION: Final = 1
"""The one version there is."""

PORT: Final = 1296
"""TCP port of a server."""

MAX_BODY: Final = 1 << 16
"""Bytes a body may have unless told otherwise: what a peer can make us keep in wait of the rest."""

_HEADER = struct.Struct("!HHIII")
_CHECKSUM = struct.Struct("!I")
_CHECKSUM_AT: Final = _HEADER.size - _CHECKSUM.size

HEADER_SIZE: Final = _HEADER.size
"""Bytes in front of a body."""

Message: TypeAlias = (
    Ping
    | Pong
    | Vl2Request
    | Vl2Ack
    | Vl3Request
    | Vl3Ack
    | BulkRequest
    | BulkAck
    | LogRequest
    | LogAck
    | LogRemove
    | LogRemoveAck
    | Shootdown
)

MESSAGES: Final[dict[Operation, type[Message]]] = {
    Operation.PING: Ping,
    Operation.PONG: Pong,
    Operation.VL2_REQ: Vl2Request,
    Operation.VL2_ACK: Vl2Ack,
    Operation.VL3_REQ: Vl3Request,
    Operation.VL3_ACK: Vl3Ack,
    Operation.BULK_REQ: BulkRequest,
    Operation.BULK_ACK: BulkAck,
    Operation.LOG_REQ: LogRequest,
    Operation.LOG_ACK: LogAck,
    Operation.LOG_RM: LogRemove,
    Operation.LOG_RM_ACK: LogRemoveAck,
    Operation.SHOOTDOWN: Shootdown,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame out of a stream: its checksum holds, its body has not been looked into."""

    operation: Operation
    id: int
    body: bytes

    def message(self) -> Message:
        """Read the body.

        Raises:
            DecodeError: it is not what the operation wants. The stream can go on behind it, and
                a server can still refuse the request by its id.
        """
        return MESSAGES[self.operation].parse(self.body)


def serialize(id: int, message: Message) -> bytes:
    """Return a message as it goes on the wire.

    Raises:
        ValueError: `id` is not from 0 to 2^32 - 1.
    """
    check_range("id", id, UINT32_MAX)
    body = message.serialize()
    head = _HEADER.pack(VERSION, message.OPERATION, len(body), id, 0)
    return head[:_CHECKSUM_AT] + _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(head))) + body


class Stream:
    """Cuts what arrives on one connection into frames.

    After a fault nothing more can be read: where the next frame begins is unknown.
    """

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self._max_body = max_body
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Take in what has arrived; what can be read of it is taken out by `next_frame`."""
        self._data += data

    def next_frame(self) -> Frame | None:
        """Take out the next frame, or None when it is not all there.

        A header is judged as soon as it is there, so no body is waited for that is too long.

        Raises:
            DecodeError: another version, an unknown operation, too long a body, a checksum that
                does not hold. Frames in front of it have been given before.
        """
        if len(self._data) < HEADER_SIZE:
            return None
        version, number, size, id_, checksum = _HEADER.unpack_from(self._data)
        if version != VERSION:
            raise DecodeError(Fault.VERSION, f"SVP version {version}; only {VERSION} is known")
        try:
            operation = Operation(number)
        except ValueError:
            raise DecodeError(Fault.OPERATION, f"unknown SVP operation {number}") from None
        if size > self._max_body:
            raise DecodeError(
                Fault.SIZE, f"SVP body of {size} bytes; at most {self._max_body} are taken"
            )
        end = HEADER_SIZE + size
        if len(self._data) < end:
            return None
        head = _HEADER.pack(version, number, size, id_, 0)
        body = bytes(self._data[HEADER_SIZE:end])
        if zlib.crc32(body, zlib.crc32(head)) != checksum:
            raise DecodeError(Fault.CHECKSUM, "the checksum of an SVP frame does not match")
        del self._data[:end]
        return Frame(operation, id_, body)
