"""Raw frames at an interface: what the test sends there itself, and what it sees pass.

    with Tap(guest.namespace, "eth0") as tap:
        tap.send(Ether(dst="ff:ff:ff:ff:ff:ff", src=str(guest.mac)) / ARP(...))
        reply = tap.wait("a reply", lambda frame: ARP in frame and frame[ARP].op == 2)

802.1Q tags are sent and seen as they are on the wire; no VLAN device is needed.
"""

import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from support.namespaces import Namespace
from support.scapy_oracle import Ether
from support.waiting import wait_for

_ALL: Final = 0x0003
"""ETH_P_ALL, if_ether.h."""

# if_packet.h.
_SOL_PACKET: Final = 263
_PACKET_AUXDATA: Final = 8
_PACKET_IGNORE_OUTGOING: Final = 23
_AUXDATA = struct.Struct("=IIIHHHH")
_STATUS_VLAN: Final = 1 << 4
_ANCILLARY_SIZE: Final = socket.CMSG_SPACE(_AUXDATA.size)

_SIZE: Final = 1 << 17
_MACS: Final = 12


class Tap:
    """A packet socket (packet(7)) on one interface."""

    def __init__(self, namespace: Namespace, device: str, *, outgoing: bool = False) -> None:
        """Take where; with `outgoing` what others send there is seen, too."""
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setblocking(False)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, int(not outgoing))
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.bind((device, _ALL))
        self._seen: list[Ether] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, frame: Ether) -> None:
        """Send a frame from the interface."""
        self._socket.send(bytes(frame))

    def seen(self, matches: Callable[[Ether], bool] = lambda frame: True) -> list[Ether]:
        """Return the frames seen since the beginning for which `matches` is true."""
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    _SIZE, socket.CMSG_SPACE(_AUXDATA.size)
                )
            except BlockingIOError:
                return [frame for frame in self._seen if matches(frame)]
            self._seen.append(Ether(_with_tag(data, ancillary)))

    def forget(self) -> None:
        """Begin anew: what was seen so far is not seen again."""
        self.seen()
        self._seen.clear()

    def wait(self, what: str, matches: Callable[[Ether], bool], count: int = 1) -> Ether:
        """Wait for as many frames as `count`, and return the last of them."""

        def enough() -> list[Ether] | None:
            found = self.seen(matches)
            return found if len(found) >= count else None

        return (wait_for(what, enough) or [])[count - 1]


def _with_tag(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """Put the 802.1Q tag back that the kernel has taken out of a frame."""
    for level, kind, value in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, _, _, _, _, tci, protocol = _AUXDATA.unpack(value)
            if status & _STATUS_VLAN:
                return data[:_MACS] + struct.pack("!HH", protocol, tci) + data[_MACS:]
    return data
