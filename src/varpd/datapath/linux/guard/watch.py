"""Hears of every change of a rule set in this network namespace, and whose tables it was about."""

import socket
from typing import Final, Self

from msgspec import Struct

from varpd.datapath.linux import netlink
from varpd.datapath.linux.guard import layout
from varpd.datapath.linux.nft import reading, wire
from varpd.datapath.linux.nft.wire import Kind

BUFFER: Final = 4 << 20
"""Bytes of socket buffer; what others load at once may be thousands of messages."""

_FAMILIES: Final = tuple(table.family for table in layout.TABLES)
_RECEIVE_SIZE: Final = 1 << 16
_SO_RCVBUFFORCE: Final = 33
_NETLINK_ADD_MEMBERSHIP: Final = 1
_MAKER: Final = 3
"""NFTA_GEN_PROC_NAME: the command of who made the change."""


class Heard(Struct, frozen=True):
    """What others changed."""

    anything: bool = False
    """Whether anything at all."""

    ours: bool = False
    """Whether something in our tables, or that cannot be told."""

    makers: frozenset[str] = frozenset()
    """Names of the programs that changed something, as the kernel has them."""

    def __or__(self, other: Self) -> Self:
        """Return both together."""
        return type(self)(
            self.anything or other.anything, self.ours or other.ours, self.makers | other.makers
        )


class Watch:
    """Reads the kernel's notifications about rule sets.

    Raises:
        OSError: there is no such socket to be had.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, wire.NETLINK_NETFILTER
        )
        try:
            self._socket.setblocking(False)
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
            except PermissionError:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._socket.bind((0, 0))
            netlink.hear_kernel_only(self._socket)
            self._socket.setsockopt(
                netlink.SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, wire.CHANGES_GROUP
            )
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return what there is to wait for."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def read(self, own: int) -> Heard:
        """Return what others than the socket with the netlink port `own` changed; never wait."""
        heard = Heard()
        while True:
            try:
                heard |= parse(self._socket.recv(_RECEIVE_SIZE), own)
            except BlockingIOError:
                return heard
            except OSError:
                # Something was lost: it may have been anything.
                heard |= Heard(anything=True, ours=True)


def parse(data: bytes, own: int) -> Heard:
    """Return what a datagram of the kernel tells, but for what the netlink port `own` did."""
    anything = ours = False
    makers: set[str] = set()
    for message in netlink.messages(data):
        kind = wire.kind_of(message)
        if kind is None or wire.port_of(data, message) == own:
            continue
        anything = True
        found = wire.attributes_of(data, message)
        if kind is Kind.NEWGEN:
            makers.add(wire.parse_text(found.get(_MAKER, b"")))
        else:
            family = wire.family_of(data, message)
            ours = ours or reading.is_ours(family, found, _FAMILIES, layout.NAME)
    return Heard(anything, ours, frozenset(makers - {""}))
