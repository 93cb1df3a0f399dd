"""Hearing from other hosts that a MAC is not there any more: SHOOTDOWN, from host to host by UDP.

The protocol names it, and no known host sends it. A datagram is one frame (`wire`). It is believed
only where it does no more than have a MAC asked for anew: of a MAC that leads to the very address
that the datagram came from.
"""

import asyncio
import errno
import socket
from ipaddress import ip_address
from typing import Final, Protocol

from varpd.net.addresses import IpAddress, MacAddress
from varpd.net.decode import DecodeError
from varpd.plugins.svp.messages import Shootdown
from varpd.plugins.svp.wire import Stream

TURN: Final = 64
"""Datagrams read in one turn of the event loop."""

RATE: Final = 1_000
"""Datagrams heeded in a second; more are passed over, since any host can send them."""

_SIZE: Final = 2048


class Target(Protocol):
    """An instance, as far as shootdowns concern it."""

    @property
    def vnetid(self) -> int:
        """Its virtual network."""

    def shot_down(self, mac: MacAddress, sender: IpAddress) -> None:
        """Hear from `sender` that `mac` is not there."""


class Listener:
    """Takes shootdowns at one address and port, for all instances that have it.

    Raises:
        OSError: the address is not there, or the port is in use.
    """

    def __init__(self, address: IpAddress, port: int) -> None:
        self.targets: list[Target] = []
        self.ignored = 0
        """Datagrams that were no shootdown, or too many."""
        self._loop = asyncio.get_running_loop()
        self._second = 0
        self._heeded = 0
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind((str(address), port))
        except OSError as error:
            self._socket.close()
            if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                raise OSError(error.errno, f"{error.strerror}: {address} port {port}") from error
            raise
        self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Listen no more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        for _ in range(TURN):
            try:
                data, peer = self._socket.recvfrom(_SIZE)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error about something that was never sent from here.
                continue
            self._take(data, _address_of(peer[0]))

    def _take(self, data: bytes, sender: IpAddress) -> None:
        message = parse(data)
        second = int(self._loop.time())
        if second != self._second:
            self._second, self._heeded = second, 0
        self._heeded += 1
        if message is None or self._heeded > RATE:
            self.ignored += 1
            return
        for target in self.targets:
            if target.vnetid == message.vnetid:
                target.shot_down(message.mac, sender)


def parse(data: bytes) -> Shootdown | None:
    """Return the shootdown that a datagram is; None: it is none."""
    stream = Stream()
    stream.feed(data)
    try:
        frame = stream.next_frame()
        message = None if frame is None else frame.message()
    except DecodeError:
        return None
    return message if isinstance(message, Shootdown) else None


def _address_of(text: str) -> IpAddress:
    return ip_address(text.partition("%")[0])
