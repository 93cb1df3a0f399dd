"""A connection to nftables: one socket, which owns the tables that are made through it.

Everything here blocks, if only for the time that the kernel takes; a session belongs to one thread.
"""

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft import wire
from varpd.datapath.linux.nft.objects import Table
from varpd.datapath.linux.nft.reading import Attributes
from varpd.datapath.linux.nft.wire import Family, Kind, Message

BUFFER: Final = 4 << 20
"""Bytes of send buffer: a batch is one datagram, and that of a thousand overlays takes 2 MiB."""

TIMEOUT: Final = 10.0
"""Seconds after which the kernel will answer no more."""

_RECEIVE_SIZE: Final = 1 << 18
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_NETLINK_EXT_ACK: Final = 11


class Session:
    """Changes and reads rule sets of this network namespace.

    Raises:
        OSError: there is no such socket to be had; the kernel has no nftables.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, wire.NETLINK_NETFILTER
        )
        try:
            for option in (_SO_SNDBUFFORCE, _SO_RCVBUFFORCE):
                with suppress(PermissionError):
                    self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            self._socket.settimeout(TIMEOUT)
            self._socket.bind((0, 0))
            netlink.hear_kernel_only(self._socket)
        except BaseException:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[0]
        """The netlink port, by which the kernel tells owners of tables and authors of changes."""

        self._sequence = 0

    def close(self) -> None:
        """End the connection; owned tables that do not persist go with it."""
        self._socket.close()

    def change(self, messages: Sequence[Message]) -> None:
        """Make changes, all at one moment.

        Raises:
            OSError: the kernel refuses one of them, and nothing has changed.
        """
        if not messages:
            return
        first = self._sequence + 1
        self._sequence += len(messages)
        self._socket.sendall(wire.batch(messages, first))
        refused = self._await(self._sequence)
        if refused is not None:
            number, sequence = refused
            where = messages[sequence - first].kind.name if sequence >= first else "batch"
            raise OSError(number, f"{os.strerror(number)} ({where})")

    def dump(
        self, kind: Kind, family: Family, attributes: bytes = b""
    ) -> Iterator[tuple[int, Attributes]]:
        """Return all objects of a kind, each as its family and its attributes.

        Raises:
            OSError: the kernel refuses. With EINTR, something changed meanwhile.
        """
        self._sequence += 1
        self._socket.sendall(wire.request(kind, family, attributes, self._sequence))
        found: list[tuple[int, Attributes]] = []
        changed = False
        while True:
            data = self._socket.recv(_RECEIVE_SIZE)
            for message in netlink.messages(data):
                if message.sequence != self._sequence:
                    continue
                changed = changed or bool(message.flags & netlink.NLM_F_DUMP_INTR)
                if message.kind in (netlink.NLMSG_DONE, netlink.NLMSG_ERROR):
                    number = netlink.error_of(data, message)
                    if changed and number == 0:
                        number = errno.EINTR
                    if number:
                        raise OSError(number, os.strerror(number))
                    return iter(found)
                found.append((wire.family_of(data, message), wire.attributes_of(data, message)))

    def has_chain(self, table: Table, name: str) -> bool:
        """Return whether a table has a chain with that name.

        Raises:
            OSError: the kernel refuses to tell.
        """
        self._sequence += 1
        which = netlink.attribute(1, wire.text(table.name)) + netlink.attribute(3, wire.text(name))
        request = wire.request(Kind.GETCHAIN, table.family, which, self._sequence, dump=False)
        self._socket.sendall(request)
        refused = self._await(self._sequence)
        if refused is not None and refused[0] != errno.ENOENT:
            raise OSError(refused[0], os.strerror(refused[0]))
        return refused is None

    def _await(self, last: int) -> tuple[int, int] | None:
        """Read what the kernel says to a batch whose last message has the number `last`.

        Returns:
            The first error and the number of its message, 0 for the batch as a whole.
        """
        while True:
            data = self._socket.recv(_RECEIVE_SIZE)
            for message in netlink.messages(data):
                if message.kind != netlink.NLMSG_ERROR:
                    continue
                number = netlink.error_of(data, message)
                if number or message.sequence == last:
                    self._drain()
                    return (number, message.sequence) if number else None

    def _drain(self) -> None:
        """Throw away what else was said: each refused message has an answer of its own."""
        self._socket.setblocking(False)
        try:
            with suppress(BlockingIOError):
                while True:
                    self._socket.recv(_RECEIVE_SIZE)
        finally:
            self._socket.settimeout(TIMEOUT)
