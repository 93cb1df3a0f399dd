"""Files of captured packets (draft-ietf-opsawg-pcapng), as far as a capture of ours needs them.

 0               1               2               3
+---------------------------------------------------------------+
|                          block type                           |
+---------------------------------------------------------------+
|                      block total length                       |
+---------------------------------------------------------------+
|                 body, padded to 32 bits ...
+---------------------------------------------------------------+
|                      block total length                       |
+---------------------------------------------------------------+

A file is a section header, an interface for each kind of packet, and a block for each packet. The
byte order is the network's, which the section header says.
"""

import struct
from dataclasses import dataclass
from typing import Final

from varpd.net.decode import DecodeError

LINKTYPE_ETHERNET: Final = 1
"""Ethernet, without the frame check sequence (draft-ietf-opsawg-pcaplinktype)."""

NANOSECONDS: Final = 9
"""Resolution of our timestamps: the power of ten (option if_tsresol)."""

_BLOCK_MAX: Final = 1 << 20
"""Bytes of a block at most: more than any packet with its comment has."""

COMMENT_MAX: Final = 4096
"""Bytes of a comment; longer ones are cut."""

_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_INTERFACE_STATISTICS: Final = 5
_PACKET: Final = 6

_MAGIC: Final = 0x1A2B3C4D
_UNKNOWN_LENGTH: Final = -1

_END: Final = 0
_COMMENT: Final = 1
_APPLICATION: Final = 4
_INTERFACE_NAME: Final = 2
_INTERFACE_DESCRIPTION: Final = 3
_RESOLUTION: Final = 9
_RECEIVED: Final = 4
_DROPPED: Final = 5

_BLOCK = struct.Struct("!II")
_LENGTH = struct.Struct("!I")
_OPTION = struct.Struct("!HH")
_SECTION_BODY = struct.Struct("!IHHq")
_INTERFACE_BODY = struct.Struct("!HxxI")
_PACKET_BODY = struct.Struct("!IIIII")
_STATISTICS_BODY = struct.Struct("!III")
_COUNT = struct.Struct("!Q")

_ALIGNMENT: Final = 4
_WORD: Final = 32
_WORD_MASK: Final = (1 << _WORD) - 1


@dataclass(frozen=True, slots=True)
class Packet:
    """One captured packet."""

    interface: int
    """Number of its interface: the place among those in the file."""

    time: int
    """When it was seen, in nanoseconds since the epoch."""

    data: bytes
    """Its first bytes, as far as they are kept."""

    length: int
    """Bytes that it had."""

    comment: str = ""

    def serialize(self) -> bytes:
        """Return the packet as an enhanced packet block (section 4.3)."""
        body = _PACKET_BODY.pack(
            self.interface,
            self.time >> _WORD & _WORD_MASK,
            self.time & _WORD_MASK,
            len(self.data),
            self.length,
        )
        options = [(_COMMENT, _text(self.comment))] if self.comment else []
        return _block(_PACKET, body + _padded(self.data) + _options(options))


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many packets of an interface there were."""

    interface: int
    received: int
    dropped: int
    """How many of them are not in the file."""


def section(application: str) -> bytes:
    """Return the beginning of a file (section 4.1), which says who writes it."""
    body = _SECTION_BODY.pack(_MAGIC, 1, 0, _UNKNOWN_LENGTH)
    return _block(_SECTION, body + _options([(_APPLICATION, _text(application))]))


def interface(name: str, description: str, snaplen: int) -> bytes:
    """Return an interface of Ethernet packets, of which `snaplen` bytes are kept (section 4.2)."""
    body = _INTERFACE_BODY.pack(LINKTYPE_ETHERNET, snaplen)
    options = [
        (_INTERFACE_NAME, _text(name)),
        (_INTERFACE_DESCRIPTION, _text(description)),
        (_RESOLUTION, bytes((NANOSECONDS,))),
    ]
    return _block(_INTERFACE, body + _options(options))


def statistics(number: int, time: int, received: int, dropped: int) -> bytes:
    """Return how many packets of an interface there were, and were not captured (section 4.6)."""
    body = _STATISTICS_BODY.pack(number, time >> _WORD & _WORD_MASK, time & _WORD_MASK)
    options = [(_RECEIVED, _COUNT.pack(received)), (_DROPPED, _COUNT.pack(dropped))]
    return _block(_INTERFACE_STATISTICS, body + _options(options))


class Splitter:
    """Cuts a stream of bytes into the blocks of a file that `section` began."""

    def __init__(self) -> None:
        """Begin before the first block."""
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the whole blocks that there are with this piece of the stream.

        Raises:
            DecodeError: this is no such stream.
        """
        rest = self._rest + data
        blocks: list[bytes] = []
        at = 0
        while len(rest) - at >= _BLOCK.size:
            _, length = _BLOCK.unpack_from(rest, at)
            if length < _BLOCK.size + _LENGTH.size or length % _ALIGNMENT or length > _BLOCK_MAX:
                raise DecodeError("pcapng-length", f"pcapng block of {length} bytes")
            if len(rest) - at < length:
                break
            blocks.append(rest[at : at + length])
            at += length
        self._rest = rest[at:]
        return blocks


def parse(block: bytes) -> Packet | Statistics | None:
    """Return what a block holds that is one of ours; None: it is of another kind.

    Raises:
        DecodeError: it is not as it should be.
    """
    try:
        kind, length = _BLOCK.unpack_from(block)
        body = memoryview(block)[_BLOCK.size : length - _LENGTH.size]
        if kind == _PACKET:
            return _parse_packet(body)
        if kind == _INTERFACE_STATISTICS:
            return _parse_statistics(body)
    except (struct.error, UnicodeDecodeError) as error:
        raise DecodeError("pcapng-block", f"a broken pcapng block: {error}") from error
    return None


def _parse_statistics(body: memoryview) -> Statistics:
    number, _, _ = _STATISTICS_BODY.unpack_from(body)
    options = _parse_options(body[_STATISTICS_BODY.size :])
    none = bytes(_COUNT.size)
    (received,) = _COUNT.unpack(options.get(_RECEIVED, none))
    (dropped,) = _COUNT.unpack(options.get(_DROPPED, none))
    return Statistics(number, received, dropped)


def _parse_packet(body: memoryview) -> Packet:
    number, high, low, kept, length = _PACKET_BODY.unpack_from(body)
    data = bytes(body[_PACKET_BODY.size : _PACKET_BODY.size + kept])
    if len(data) != kept:
        raise DecodeError("pcapng-block", f"pcapng block with {len(data)} of {kept} bytes")
    options = _parse_options(body[_PACKET_BODY.size + kept + -kept % _ALIGNMENT :])
    comment = options.get(_COMMENT, b"").decode()
    return Packet(number, high << _WORD | low, data, length, comment)


def _parse_options(data: memoryview) -> dict[int, bytes]:
    options = {}
    while len(data) >= _OPTION.size:
        code, length = _OPTION.unpack_from(data)
        if code == _END:
            break
        options[code] = bytes(data[_OPTION.size : _OPTION.size + length])
        data = data[_OPTION.size + length + -length % _ALIGNMENT :]
    return options


def _block(kind: int, body: bytes) -> bytes:
    length = _BLOCK.size + len(body) + _LENGTH.size
    return _BLOCK.pack(kind, length) + body + _LENGTH.pack(length)


def _options(options: list[tuple[int, bytes]]) -> bytes:
    """Return options with their end (section 3.5); nothing where there are none."""
    if not options:
        return b""
    encoded = [_OPTION.pack(code, len(value)) + _padded(value) for code, value in options]
    return b"".join(encoded) + _OPTION.pack(_END, 0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)


def _text(text: str) -> bytes:
    """Return text in UTF-8, cut between characters where it is too long."""
    encoded = text.encode("utf-8", "replace")[:COMMENT_MAX]
    return encoded.decode("utf-8", "ignore").encode("utf-8")
