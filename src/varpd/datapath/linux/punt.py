"""The punt socket: where the kernel hands over the frames that it has no row for.

The default row of a tunnel device leads here, to a port of this host, so each datagram is one
frame with the encapsulation's header in front. What else reaches the port is dropped by a socket
filter in the kernel, before it takes room in the buffer: datagrams from another address than the
overlay's own, with another header than the overlay's own, or of a size that no frame has.

The kernel counts what it dropped, for want of room or by the filter, in one number: `lost`.
"""

import errno
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from varpd.datapath.encapsulation import Encapsulation
from varpd.datapath.linux import filters
from varpd.net.addresses import IpAddress

BATCH: Final = 64
"""Frames of one turn; more cost little less each, and other overlays wait the longer."""

RECEIVE_SIZE: Final = 9216
"""The largest datagram taken: guests' MTU is 8900 at most, and headers come on top."""

STALE: Final = 1.0
"""Seconds after which a frame that was waiting when varpd came is of no use to its sender."""

WAITING: Final = 16384
"""Frames that are taken in before reading begins: more than the largest buffer holds, and a bound
where they come faster than they are taken."""

# Numbers that Python's socket module does not have (linux/udp.h, asm-generic/socket.h).
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35
_SO_RXQ_OVFL: Final = 40
_UDP_NO_CHECK6_RX: Final = 102

_TIMESPEC = struct.Struct("@ll")
_DROPS = struct.Struct("=I")
_DROPS_MASK: Final = 0xFFFFFFFF
_ANCILLARY_SIZE: Final = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_DROPS.size)
_NANOSECONDS: Final = 1e-9


def bind_punt_socket(
    address: IpAddress, port: int, header: bytes, listen_ip: IpAddress
) -> socket.socket:
    """Return a socket that takes frames with `header` in front, sent from `listen_ip`.

    The filter is in place before the socket has its address, so nothing else ever gets in.

    Raises:
        OSError: the address is not there, or the port is in use or not for us.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    punt = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            punt.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # At the listen address what others send would come in, too.
        prepare(punt, header, listen_ip, loopback_only=address == listen_ip)
        punt.bind((str(address), port))
    except BaseException:
        punt.close()
        raise
    return punt


def is_bound(address: IpAddress, port: int) -> bool:
    """Return whether somebody takes what is sent to an address and port of this host."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.bind((str(address), port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def prepare(
    punt: socket.socket, header: bytes, listen_ip: IpAddress, *, loopback_only: bool = False
) -> None:
    """Make a socket take frames with `header` in front, sent from `listen_ip`, and nothing else.

    With `loopback_only` they have to come by `lo`.

    Raises:
        OSError: the kernel refuses.
    """
    punt.setblocking(False)
    filters.attach(
        punt, filters.punt_filter(listen_ip, header, RECEIVE_SIZE, loopback_only=loopback_only)
    )
    punt.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    punt.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
    if punt.family == socket.AF_INET6:
        # A tunnel device may be told to send no checksums over IPv6.
        punt.setsockopt(socket.IPPROTO_UDP, _UDP_NO_CHECK6_RX, 1)


class PuntSocket:
    """The punt socket of one overlay.

    Raises:
        OSError: the socket cannot be had, see `bind_punt_socket`.
    """

    def __init__(
        self,
        address: IpAddress,
        port: int,
        vnetid: int,
        encapsulation: Encapsulation,
        listen_ip: IpAddress,
        deliver: Callable[[list[bytes], float], None],
        kept: socket.socket | None = None,
    ) -> None:
        """`deliver` takes the frames of a turn, each with the header in front, and when the first
        of them came, as `time.monotonic` has it; 0: that is not known.

        `kept` is a socket that already has that address and port; frames may wait in it.
        """
        header = encapsulation.pack_header(vnetid)
        self.waiting: list[bytes] = []
        """Frames that came before reading began; they are delivered before all others."""
        self.received = 0
        """Frames delivered."""
        self.turns = 0
        """Turns that delivered any."""
        self.stale = 0
        """Frames dropped because they were older than `STALE` when reading began."""
        self.lost = 0
        """Datagrams that the kernel dropped: no room in the buffer, or not from our device.

        With a kept socket this begins with those of its whole life so far.
        """
        self.delay = 0.0
        """Seconds that the first frame of the last turn had waited."""
        self._deliver = deliver
        self._expected: dict[bytes, Callable[[], None]] = {}
        self._fresh = False
        self._drops = 0
        if kept is None:
            self.socket = bind_punt_socket(address, port, header, listen_ip)
        else:
            self.socket = kept
            try:
                prepare(kept, header, listen_ip)
                self._take_in(header)
            except BaseException:
                kept.close()
                raise

    def fileno(self) -> int:
        """Return what the event loop waits for."""
        return self.socket.fileno()

    def resize(self, size: int) -> int:
        """Ask for a receive buffer of `size` bytes, and return how many the kernel granted.

        Without the right to more it grants what ``net.core.rmem_max`` allows.
        """
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        # The kernel doubles what it is asked for, to have room for its own records.
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2

    def read_turn(self, budget: int = BATCH) -> int:
        """Deliver up to `budget` frames that are there, and return how many; never wait.

        A full turn means that there may be more.
        """
        if self.waiting:
            waited, self.waiting = self.waiting[:budget], self.waiting[budget:]
            return self._deliver_turn(waited, 0.0)
        recv = self.socket.recv
        packets: list[bytes] = []
        arrived = 0.0
        try:
            packets.append(self._read_first())
            arrived = time.monotonic() - self.delay
            for _ in range(budget - 1):
                packets.append(recv(RECEIVE_SIZE))  # noqa: PERF401 - the loop ends by an exception
        except BlockingIOError:
            pass
        return self._deliver_turn(packets, arrived)

    def wait(self, packets: Sequence[bytes]) -> None:
        """Have frames that somebody else read delivered before those that are still to come."""
        self.waiting += packets[: WAITING - len(self.waiting)]

    @contextmanager
    def expecting(self, datagram: bytes, seen: Callable[[], None]) -> Iterator[None]:
        """Call `seen` each time that `datagram` comes, which is delivered to nobody.

        Reading goes on as before.
        """
        self._expected[datagram] = seen
        try:
            yield
        finally:
            del self._expected[datagram]

    def close(self) -> None:
        """Give the port back."""
        self.socket.close()

    def _deliver_turn(self, packets: list[bytes], arrived: float) -> int:
        count = len(packets)
        if self._expected:
            packets = self._without_expected(packets)
        if packets:
            self.turns += 1
            self.received += len(packets)
            self._deliver(packets, arrived)
        return count

    def _without_expected(self, packets: list[bytes]) -> list[bytes]:
        for packet in packets:
            if (seen := self._expected.get(packet)) is not None:
                seen()
        return [packet for packet in packets if packet not in self._expected]

    def _take_in(self, header: bytes) -> None:
        """Read what waits in a kept socket, so that there is room for what comes now.

        Its filter may have been another one until now, so the frames are looked at.
        """
        with suppress(BlockingIOError):
            for _ in range(WAITING):
                packet = self._read_first()
                if packet.startswith(header):
                    self.waiting.append(packet)

    def _read_first(self) -> bytes:
        """Read one frame with what the kernel tells besides, passing over stale ones.

        Raises:
            BlockingIOError: there is none.
        """
        while True:
            packet, ancillary, _, _ = self.socket.recvmsg(RECEIVE_SIZE, _ANCILLARY_SIZE)
            sent = None
            for level, kind, data in ancillary:
                if level != socket.SOL_SOCKET:
                    continue
                if kind == _SO_TIMESTAMPNS:
                    seconds, nanoseconds = _TIMESPEC.unpack(data)
                    sent = seconds + nanoseconds * _NANOSECONDS
                elif kind == _SO_RXQ_OVFL:
                    self._count_drops(*_DROPS.unpack(data))
            # The wall clock, as the kernel stamps with it; a step of it costs one wrong figure.
            self.delay = 0.0 if sent is None else max(0.0, time.time() - sent)
            if self._fresh or self.delay <= STALE:
                self._fresh = True
                return packet
            self.stale += 1

    def _count_drops(self, drops: int) -> None:
        """Take in the kernel's count, 32 bits that wrap round."""
        self.lost += (drops - self._drops) & _DROPS_MASK
        self._drops = drops
