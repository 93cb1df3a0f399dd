"""Reading and emptying the kernel's tables, over netlink sockets of their own.

Everything here blocks: it is for a thread. A dump of a large FDB takes seconds, so nothing that is
in a hurry should share that thread.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from varpd.datapath.base import Row
from varpd.datapath.linux import netlink
from varpd.datapath.linux.netlink import FdbRow, LocalAddress
from varpd.net.addresses import ZERO
from varpd.provider.answers import Target

SLICE: Final = 2048
"""Rows that are deleted in one slice: a few milliseconds, taking the kernel's lock row by row."""

_NETLINK_GET_STRICT_CHK: Final = 12
_RECEIVE_SIZE: Final = 1 << 16
_MESSAGES_A_SEND: Final = 64
_GROUP_BIT: Final = 0x01
_ATTEMPTS: Final = 4
"""How often a dump is begun anew because the table changed meanwhile."""


def open_netlink() -> socket.socket:
    """Return a socket for requests; the kernel is asked to heed every filter in them."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        opened.setsockopt(netlink.SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        netlink.hear_kernel_only(opened)
    except BaseException:
        opened.close()
        raise
    return opened


def _dump(request: bytes, kind: int) -> Iterator[tuple[bytes, netlink.Message]]:
    """Yield the messages of a dump with the datagrams that they are in.

    The caller may stop at any point; the socket goes with the generator.

    Raises:
        OSError: the kernel refuses; `EINTR` if the table changed while it was read.
    """
    interrupted = False
    with closing(open_netlink()) as opened:
        opened.send(request)
        while True:
            data = opened.recv(_RECEIVE_SIZE)
            for message in netlink.messages(data):
                interrupted = interrupted or bool(message.flags & netlink.NLM_F_DUMP_INTR)
                if message.kind == kind:
                    yield data, message
                elif message.kind in (netlink.NLMSG_DONE, netlink.NLMSG_ERROR):
                    if number := netlink.error_of(data, message):
                        raise OSError(number, os.strerror(number))
                    if interrupted:
                        raise InterruptedError(errno.EINTR, "the table changed while it was read")
                    return


def _whole(request: bytes, kind: int) -> list[tuple[bytes, netlink.Message]]:
    """Return a dump that was not disturbed, or the last one tried."""
    found: list[tuple[bytes, netlink.Message]] = []
    for _ in range(_ATTEMPTS):
        found = []
        try:
            found.extend(_dump(request, kind))
        except InterruptedError:
            continue
        break
    return found


def local_addresses() -> set[LocalAddress]:
    """Return all addresses of this network namespace."""
    found = _whole(netlink.all_addresses(), netlink.RTM_NEWADDR)
    addresses = (netlink.parse_address(data, message) for data, message in found)
    return {address for address in addresses if address is not None}


def ports(bridge: int) -> dict[str, int]:
    """Return the ports of the bridge with that index: their names and indices."""
    try:
        found = _whole(netlink.links_of_bridge(bridge), netlink.RTM_NEWLINK)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return {}
        raise
    links = (netlink.parse_port(data, message) for data, message in found)
    return {link[1]: link[0] for link in links if link is not None and link[2] == bridge}


def open_ports(bridge: int, mask: int) -> set[int]:
    """Return the ports of a bridge that do not forward all reserved addresses of a mask."""
    try:
        found = _whole(netlink.links_of_bridge(bridge), netlink.RTM_NEWLINK)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return set()
        raise
    links = ((netlink.parse_port(*each), netlink.port_forwards(*each)) for each in found)
    return {
        link[0]
        for link, forwards in links
        if link is not None and link[2] == bridge and mask & ~forwards
    }


def fdb_rows(ifindex: int) -> Iterator[FdbRow]:
    """Yield the rows of a device, those of its bridge and its own; none if there is no device."""
    try:
        for data, message in _dump(netlink.fdb_of_port(ifindex), netlink.RTM_NEWNEIGH):
            row = netlink.parse_fdb_row(data, message)
            if row is not None and row.ifindex == ifindex:
                yield row
    except OSError as error:
        # A table that changes while it is read has changed again by the time of a second try.
        if error.errno not in (errno.ENODEV, errno.EINTR):
            raise


def whole_fdb(ifindex: int) -> list[FdbRow]:
    """Return the rows of a device, those of its bridge and its own, read anew when disturbed.

    Of a table that does not come to rest it is what was found in the last try.
    """
    found: list[FdbRow] = []
    for _ in range(_ATTEMPTS):
        found = []
        try:
            for data, message in _dump(netlink.fdb_of_port(ifindex), netlink.RTM_NEWNEIGH):
                row = netlink.parse_fdb_row(data, message)
                if row is not None and row.ifindex == ifindex:
                    found.append(row)
        except InterruptedError:
            continue
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        break
    return found


def read_rows(device: int, listen_port: int) -> list[Row]:
    """Return the rows of a tunnel device that its bridge has too, and those of group MACs.

    The all-zero MAC is among them.
    """
    in_bridge: set[bytes] = set()
    interned: dict[tuple[bytes, int | None], Target] = {}
    found: dict[bytes, tuple[Target, ...]] = {}
    for row in fdb_rows(device):
        if row.master:
            in_bridge.add(row.mac)
            continue
        key = (row.destination, row.port)
        target = interned.get(key)
        if target is None:
            if not row.destination:
                continue
            # The kernel leaves out a port that is the device's own.
            target = Target(ip=netlink.ip_of(row.destination), port=row.port or listen_port)
            interned[key] = target
        found[row.mac] = (*found.get(row.mac, ()), target)
    return [
        Row(mac, targets)
        for mac, targets in found.items()
        if mac in in_bridge or mac[0] & _GROUP_BIT or mac == ZERO
    ]


def default_targets(device: int, listen_port: int) -> list[Target]:
    """Return where a tunnel device sends what it has no row for."""
    return [
        Target(ip=netlink.ip_of(row.destination), port=row.port or listen_port)
        for row in fdb_rows(device)
        if row.mac == ZERO and not row.master and row.destination
    ]


def delete_slice(device: int) -> int:
    """Delete up to `SLICE` rows of a tunnel device and of its bridge; return how many went.

    The row of the all-zero MAC stays, and so does the MAC of the bridge's port. 0 means that
    there are no more, or none that the kernel lets go.
    """
    doomed: list[bytes] = []
    for row in fdb_rows(device):
        if row.master == 0 and row.mac == ZERO:
            continue
        if row.master and row.state & netlink.NUD_PERMANENT:
            continue
        doomed.append(netlink.fdb_row_deletion(row))
        if len(doomed) == SLICE:
            break
    refused = 0
    with closing(open_netlink()) as opened:
        for start in range(0, len(doomed), _MESSAGES_A_SEND):
            opened.send(b"".join(doomed[start : start + _MESSAGES_A_SEND]))
            refused += _refusals(opened)
    return len(doomed) - refused


def _refusals(opened: socket.socket) -> int:
    """Count what the kernel refused of what was sent; that is known when `send` returns."""
    refused = 0
    while True:
        try:
            data = opened.recv(_RECEIVE_SIZE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return refused
        for message in netlink.messages(data):
            # What is gone already is as good as deleted.
            if netlink.error_of(data, message) not in (0, errno.ENOENT, errno.ENODEV):
                refused += 1
