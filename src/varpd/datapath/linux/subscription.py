"""Sockets that the kernel tells what changes (rtnetlink(7)), through a filter."""

import socket
from collections.abc import Iterable, Sequence
from typing import Final

from varpd.datapath.linux import filters, netlink
from varpd.datapath.linux.filters import Instruction

BUFFER: Final = 4 << 20
"""Bytes that the kernel may have waiting for us: some 5,000 messages."""

RTNLGRP_LINK: Final = 1
RTNLGRP_NEIGH: Final = 3
RTNLGRP_IPV4_IFADDR: Final = 5
RTNLGRP_IPV6_IFADDR: Final = 9
"""Groups of messages, of linux/rtnetlink.h."""

_NETLINK_ADD_MEMBERSHIP: Final = 1
_SO_RCVBUFFORCE: Final = 33


def subscribe(
    program: Sequence[Instruction], groups: Iterable[int], buffer: int = BUFFER
) -> socket.socket:
    """Return a socket, which does not block, that is told what `program` lets through.

    Args:
        program: the filter; it is in place before anything can arrive.
        groups: what is told.
        buffer: bytes that may wait.

    Raises:
        OSError: there is none to be had.
    """
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        opened.setblocking(False)
        filters.attach(opened, program)
        try:
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
        except PermissionError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        opened.bind((0, 0))
        netlink.hear_kernel_only(opened)
        for group in groups:
            opened.setsockopt(netlink.SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
    except BaseException:
        opened.close()
        raise
    return opened
