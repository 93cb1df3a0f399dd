"""Frames as they pass an interface."""

import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from support.namespaces import Namespace
from varpd.net.addresses import MacAddress

_ALL: Final = 0x0003
"""ETH_P_ALL of packet(7): frames of every protocol."""

_BUFFER: Final = 4 << 20
"""Bytes of frames that nobody has read yet."""

_SOL_PACKET: Final = 263
_ADD_MEMBERSHIP: Final = 1
_PROMISCUOUS: Final = 1
_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD


@dataclass(frozen=True, slots=True)
class Frame:
    """An Ethernet frame, seen by a capture."""

    data: bytes
    outgoing: bool
    """Whether it left by the interface, or else came in by it."""

    @property
    def dst(self) -> MacAddress:
        """Where it goes."""
        return MacAddress(self.data[:6])

    @property
    def src(self) -> MacAddress:
        """Where it comes from."""
        return MacAddress(self.data[6:12])

    @property
    def ethertype(self) -> int:
        """What it carries."""
        return int.from_bytes(self.data[12:14], "big")

    def wrapped(self, port: int) -> "Frame | None":
        """Return the frame that it carries to a UDP port as VXLAN does, if it does."""
        udp = {_IPV4: 14 + 20, _IPV6: 14 + 40}.get(self.ethertype)
        if udp is None or self.data[{_IPV4: 23, _IPV6: 20}[self.ethertype]] != socket.IPPROTO_UDP:
            return None
        if self.data[udp + 2 : udp + 4] != port.to_bytes(2, "big"):
            return None
        return Frame(self.data[udp + 16 :], self.outgoing)


class Capture:
    """All frames that pass an interface while the block runs, also those for others."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        """Take where to look; nothing is seen before the block begins."""
        self._namespace = namespace
        self._interface = interface

    def __enter__(self) -> Self:
        with self._namespace.entered():
            # Without a protocol it sees nothing until it is bound.
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0
            )
            index = socket.if_nametoindex(self._interface)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        request = struct.pack("=iHH8s", index, _PROMISCUOUS, 0, b"")
        self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, request)
        self._socket.bind((self._interface, _ALL))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def frames(self) -> list[Frame]:
        """Return the frames that have passed since the last call."""
        found: list[Frame] = []
        while True:
            try:
                data, address = self._socket.recvfrom(1 << 16)
            except BlockingIOError:
                return found
            found.append(Frame(data, address[2] == socket.PACKET_OUTGOING))
