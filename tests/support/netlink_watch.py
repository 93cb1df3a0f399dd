"""What the kernel tells of changes of links, rows and addresses: nothing told, nothing written."""

import socket
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from varpd.datapath.linux import netlink

_ADD_MEMBERSHIP: Final = 1
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 64 << 20
_GROUPS: Final = (1, 3, 5, 9)
"""RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR of linux/rtnetlink.h."""


class Told(Struct, frozen=True):
    """One notification."""

    kind: int
    """Such as RTM_NEWNEIGH."""

    family: int
    ifindex: int
    mac: bytes
    """Of a row; else empty."""


class NetlinkWatch:
    """Listens from its making on, in the network namespace of the thread that makes it.

    What the kernel has told is there when whatever caused it has returned.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.bind((0, 0))
        for group in _GROUPS:
            self._socket.setsockopt(netlink.SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def told(self) -> list[Told]:
        """Return what was told since the last call."""
        found = []
        try:
            while True:
                data = self._socket.recv(1 << 16)
                found += [_told(data, message) for message in netlink.messages(data)]
        except BlockingIOError:
            return found

    def rows(self) -> list[Told]:
        """Return what was told of rows of bridges and tunnel devices since the last call."""
        kinds = (netlink.RTM_NEWNEIGH, netlink.RTM_DELNEIGH)
        return [one for one in self.told() if one.kind in kinds and one.family == socket.AF_BRIDGE]


def _told(data: bytes, message: netlink.Message) -> Told:
    mac = b""
    family = data[message.start]
    if message.kind in (netlink.RTM_NEWNEIGH, netlink.RTM_DELNEIGH):
        found = netlink.attributes(data, message.start + netlink.NDMSG.size, message.end)
        mac = found.get(netlink.NDA_LLADDR, b"")
    ifindex = int.from_bytes(data[message.start + 4 : message.start + 8], "little")
    return Told(message.kind, family, ifindex, mac)
