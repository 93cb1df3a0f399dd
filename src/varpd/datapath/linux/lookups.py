"""Asking the kernel for the rows of one MAC: quick at any size of the tables.

Everything here blocks, for as long as somebody holds the kernel's lock: it is for a thread.
"""

import errno
import os
from contextlib import closing
from typing import Final

from msgspec import Struct

from varpd.datapath.inspection import BridgeRow, DeviceRow, MacRows
from varpd.datapath.linux import netlink, rows, tables
from varpd.datapath.linux.kernel import Kernel
from varpd.datapath.linux.links import Pair
from varpd.datapath.linux.netlink import NTF_MASTER, NTF_SELF, NTF_STICKY, NUD_PERMANENT, FdbRow
from varpd.datapath.linux.rows import Table
from varpd.net.addresses import ZERO
from varpd.provider.answers import Target

_RECEIVE_SIZE: Final = 1 << 16
_GROUP_BIT: Final = 0x01
_NTF_EXT_LEARNED: Final = 0x10
_NTF_OFFLOADED: Final = 0x20
_NUD_NOARP: Final = 0x40


class Found(Struct, frozen=True):
    """A row with its ages."""

    row: FdbRow
    used: float | None
    updated: float | None


def rows_of(
    kernel: Kernel, pair: Pair, listen_port: int, punt: Target | None, mac: bytes
) -> MacRows:
    """Return what the kernel has for a MAC.

    Args:
        kernel: knows the names of ports.
        pair: the overlay's links.
        listen_port: the port of the tunnel device.
        punt: where the default row hands frames to varpd, None in a POINT overlay.
        mac: the MAC.

    Raises:
        OSError: the kernel refuses to tell.
    """
    table = Table(pair.device)
    device = _get(table, mac, NTF_SELF)
    default = _get(table, ZERO, NTF_SELF)
    to = None if default is None else _target(default.row, listen_port)
    return MacRows(
        None if device is None else _device_row(pair.device, device, listen_port),
        _bridge_row(kernel, pair.device, _get(table, mac, NTF_MASTER)),
        to,
        punts=punt is not None and to == punt,
    )


def row_of(device: int, mac: bytes) -> FdbRow | None:
    """Return the row of a MAC in a tunnel device, with its first destination; None: there is none.

    Raises:
        OSError: the kernel refuses to tell.
    """
    found = _get(Table(device), mac, NTF_SELF)
    return None if found is None else found.row


def _get(table: Table, mac: bytes, flags: int) -> Found | None:
    """Ask for one row; None: there is none, or no device or bridge that could have it."""
    with closing(tables.open_netlink()) as opened:
        opened.send(rows.encode_get(table, mac, 1, flags))
        # The answer is there when `send` returns.
        return parse_answer(opened.recv(_RECEIVE_SIZE))


def parse_answer(data: bytes) -> Found | None:
    """Read the kernel's answer to a question about one row; None: there is no such row.

    Raises:
        OSError: the kernel refuses to tell.
    """
    for message in netlink.messages(data):
        if message.kind == netlink.NLMSG_ERROR:
            number = netlink.error_of(data, message)
            if number in (errno.ENOENT, errno.ENODEV, errno.EINVAL):
                return None
            if number:
                raise OSError(number, os.strerror(number))
        elif message.kind == netlink.RTM_NEWNEIGH:
            row = netlink.parse_fdb_row(data, message)
            if row is not None:
                return Found(row, *netlink.row_ages(data, message))
    return None


def _device_row(device: int, found: Found, listen_port: int) -> DeviceRow:
    targets: tuple[Target, ...]
    if found.row.mac[0] & _GROUP_BIT:
        # Asked for one row, the kernel tells the first destination of it alone.
        same = (
            row for row in tables.fdb_rows(device) if row.mac == found.row.mac and not row.master
        )
        targets = tuple(to for row in same if (to := _target(row, listen_port)) is not None)
    else:
        to = _target(found.row, listen_port)
        targets = () if to is None else (to,)
    return DeviceRow(targets, flag_words(found.row), found.used, found.updated)


def _bridge_row(kernel: Kernel, device: int, found: Found | None) -> BridgeRow | None:
    if found is None:
        return None
    index = found.row.ifindex
    link = kernel.link_at(index)
    name = f"link {index}" if link is None else link.name
    return BridgeRow(name, index == device, flag_words(found.row), found.used, found.updated)


def _target(row: FdbRow, listen_port: int) -> Target | None:
    if not row.destination:
        return None
    return Target(ip=netlink.ip_of(row.destination), port=row.port or listen_port)


def flag_words(row: FdbRow) -> tuple[str, ...]:
    """Return what the kernel says of a row, in the words of bridge(8)."""
    words = (
        (row.state & NUD_PERMANENT, "permanent"),
        (row.state & _NUD_NOARP, "static"),
        (row.flags & NTF_STICKY, "sticky"),
        (row.flags & _NTF_EXT_LEARNED, "extern_learn"),
        (row.flags & _NTF_OFFLOADED, "offload"),
    )
    return tuple(word for is_set, word in words if is_set)
