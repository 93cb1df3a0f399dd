"""Rows as netlink messages: where the kernel sends frames for a MAC (rtnetlink(7)).

A MAC that is elsewhere has two rows: one in the FDB of the tunnel device, which says where to send
the frame, and one in the FDB of the bridge, which says that it is behind that device. Without the
second the bridge would copy each frame to all guests.

 nlmsghdr        length | type | flags | sequence | port             16 bytes
 ndmsg           family | ifindex | state | flags | type             12
 NDA_LLADDR      the MAC, two bytes of padding                       12
 NDA_DST         the target's address                                 8, or 20 for IPv6
 NDA_PORT        the target's port, big-endian, two bytes of padding  8

One message writes both. NTF_STICKY keeps a guest that sends with a remote MAC as its source from
drawing the bridge's row to its own port; the state that both tables take together with it is
NUD_NOARP | NUD_REACHABLE. What stands before and behind the MAC is the same for all MACs of one
target, so that a batch is one join.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from varpd.datapath.linux import netlink
from varpd.datapath.linux.netlink import (
    ATTRIBUTE,
    HEADER,
    NDA_DST,
    NDA_LLADDR,
    NDA_PORT,
    NDMSG,
    NTF_MASTER,
    NTF_SELF,
    NTF_STICKY,
    NUD_NOARP,
    RTM_DELNEIGH,
    RTM_GETNEIGH,
    RTM_NEWNEIGH,
)
from varpd.net import vxlan
from varpd.net.addresses import MAC_SIZE
from varpd.provider.answers import Target

_NLM_F_REPLACE: Final = 0x100
_NLM_F_CREATE: Final = 0x400
_NLM_F_APPEND: Final = 0x800
# On an error message: not the whole refused message is in it; attributes follow it.
_NLM_F_CAPPED: Final = 0x100
_NLM_F_ACK_TLVS: Final = 0x200

_NUD_REACHABLE: Final = 0x02
_STATE: Final = NUD_NOARP | _NUD_REACHABLE

_NLMSGERR_ATTR_MSG: Final = 1

_PORT = struct.Struct("!H2x")

_MAC_PADDING: Final = bytes(2)
_MAC_AT: Final = HEADER.size + NDMSG.size + ATTRIBUTE.size
"""Where the MAC stands in every message made here."""

GROUP_BIT: Final = 0x01
"""In the first byte of a MAC: it is a group's."""


class Table(Struct, frozen=True, cache_hash=True):
    """The tables that one overlay's rows are written to."""

    ifindex: int
    """Index of the tunnel device."""

    master: bool = True
    """Whether the device's bridge gets the row too."""

    listen_port: int = vxlan.PORT
    """The device's own port, which the kernel leaves out when it tells a row."""


class Reply(Struct, frozen=True):
    """What the kernel said to one message."""

    sequence: int
    """Sequence number of that message."""

    kind: int
    """Type of that message, such as `RTM_NEWNEIGH`; of the reply where it is no error."""

    mac: bytes
    """The MAC that it was about."""

    error: int = 0
    """Error number, or 0."""

    text: str = ""
    """The error in words."""

    idle: float | None = None
    """Seconds since the row carried a frame, in the reply to `encode_get`."""


def encode_install(table: Table, target: Target, macs: Sequence[bytes]) -> bytes:
    """Return the messages that make `target` the one destination of unicast MACs.

    They create what is missing and replace what is there, in both tables. No answer is asked
    for: only a refused message gets one.
    """
    flags = NTF_SELF | NTF_STICKY | (NTF_MASTER if table.master else 0)
    create = _NLM_F_CREATE | _NLM_F_REPLACE
    if not macs:
        return b""
    tail = _destination(target)
    head = _head(RTM_NEWNEIGH, create, table.ifindex, flags, len(tail))
    return head + (tail + head).join(macs) + tail


def encode_remove(table: Table, macs: Sequence[bytes]) -> bytes:
    """Return the messages that remove the rows of MACs.

    If the bridge has none, the kernel says ENOENT and leaves the device's row; see
    `encode_remove_halves`.
    """
    return _encode_delete(table.ifindex, NTF_SELF | (NTF_MASTER if table.master else 0), macs)


def encode_remove_halves(table: Table, macs: Sequence[bytes]) -> bytes:
    """Return messages that remove each of the two rows of MACs, whether or not the other exists."""
    own = _encode_delete(table.ifindex, NTF_SELF, macs)
    if not table.master:
        return own
    return own + _encode_delete(table.ifindex, NTF_MASTER, macs)


def encode_append(table: Table, mac: bytes, target: Target) -> bytes:
    """Return the message that makes `target` one more destination of a group MAC.

    Only the tunnel device gets the row: the bridge floods group MACs anyway, and a row there is
    refused. The kernel can replace no destination of a group MAC.
    """
    tail = _destination(target)
    create = _NLM_F_CREATE | _NLM_F_APPEND
    # Sticky means nothing there, but tells our rows from those of others.
    flags = NTF_SELF | NTF_STICKY
    return _head(RTM_NEWNEIGH, create, table.ifindex, flags, len(tail)) + mac + tail


def encode_remove_destination(table: Table, mac: bytes, target: Target) -> bytes:
    """Return the message that takes `target` away from the destinations of a group MAC."""
    tail = _destination(target)
    return _head(RTM_DELNEIGH, 0, table.ifindex, NTF_SELF, len(tail)) + mac + tail


def encode_get(table: Table, mac: bytes, sequence: int, flags: int = NTF_SELF) -> bytes:
    """Return the message that asks for one row of the tunnel device, with NTF_MASTER its bridge."""
    head = _make_head(RTM_GETNEIGH, 0, table.ifindex, flags, len(_MAC_PADDING), sequence)
    return head + mac + _MAC_PADDING


def encode_look(table: Table, mac: bytes, sequence: int) -> bytes:
    """Return the messages that ask for both rows of a MAC: that of the bridge has an odd number."""
    head = _make_head(RTM_GETNEIGH, 0, table.ifindex, NTF_SELF, len(_MAC_PADDING), 2 * sequence)
    other = _make_head(
        RTM_GETNEIGH, 0, table.ifindex, NTF_MASTER, len(_MAC_PADDING), 2 * sequence + 1
    )
    return head + mac + _MAC_PADDING + other + mac + _MAC_PADDING


def parse_replies(data: bytes) -> Iterator[Reply]:
    """Read the messages of one datagram from the kernel; acknowledgements are passed over."""
    for message in netlink.messages(data):
        if message.kind == netlink.NLMSG_ERROR:
            reply = _parse_error(data, message)
            if reply is not None:
                yield reply
        elif message.kind == RTM_NEWNEIGH:
            found = netlink.attributes(data, message.start + NDMSG.size, message.end)
            idle, _ = netlink.row_ages(data, message)
            mac = found.get(NDA_LLADDR, b"")
            yield Reply(message.sequence, message.kind, mac, idle=idle)


def _parse_error(data: bytes, message: netlink.Message) -> Reply | None:
    number = netlink.error_of(data, message)
    inner = message.start + netlink.ERROR.size
    if number == 0 or message.end < inner + HEADER.size:
        return None
    length, kind, _, sequence, _ = HEADER.unpack_from(data, inner)
    mac = data[inner + _MAC_AT : min(inner + _MAC_AT + MAC_SIZE, message.end)]
    text = os.strerror(number)
    if message.flags & _NLM_F_ACK_TLVS:
        capped = message.flags & _NLM_F_CAPPED
        start = inner + (HEADER.size if capped else netlink.align(length))
        words = netlink.attributes(data, start, message.end).get(_NLMSGERR_ATTR_MSG)
        if words is not None:
            text = f"{text}: {words.rstrip(bytes(1)).decode(errors='replace')}"
    return Reply(sequence, kind, mac, number, text)


@lru_cache(maxsize=4096)
def _head(kind: int, flags: int, ifindex: int, row_flags: int, tail: int) -> bytes:
    """Return what stands before the MAC in a message, made once for all MACs of a target."""
    return _make_head(kind, flags, ifindex, row_flags, tail, 0)


def _make_head(
    kind: int, flags: int, ifindex: int, row_flags: int, tail: int, sequence: int
) -> bytes:
    """Return what stands before the MAC in a message with `tail` bytes behind it."""
    # A request for a row is refused if it has a state.
    state = 0 if kind == RTM_GETNEIGH else _STATE
    return (
        HEADER.pack(_MAC_AT + MAC_SIZE + tail, kind, netlink.NLM_F_REQUEST | flags, sequence, 0)
        + NDMSG.pack(socket.AF_BRIDGE, ifindex, state, row_flags, 0)
        + ATTRIBUTE.pack(ATTRIBUTE.size + MAC_SIZE, NDA_LLADDR)
    )


@lru_cache(maxsize=4096)
def _destination(target: Target) -> bytes:
    """Return what stands behind the MAC: its padding, the target's address and port.

    Raises:
        ValueError: `target` has no address or no port.
    """
    if target.ip is None or target.port is None:
        raise ValueError(f"a row needs an address and a port: {target}")
    address = target.ip.packed
    return b"".join(
        (
            _MAC_PADDING,
            ATTRIBUTE.pack(ATTRIBUTE.size + len(address), NDA_DST),
            address,
            ATTRIBUTE.pack(ATTRIBUTE.size + 2, NDA_PORT),
            _PORT.pack(target.port),
        )
    )


def _encode_delete(ifindex: int, row_flags: int, macs: Sequence[bytes]) -> bytes:
    if not macs:
        return b""
    head = _head(RTM_DELNEIGH, 0, ifindex, row_flags, len(_MAC_PADDING))
    return head + (_MAC_PADDING + head).join(macs) + _MAC_PADDING


NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENODEV})
"""Errors that mean that a row, or the device with all its rows, is already gone."""
