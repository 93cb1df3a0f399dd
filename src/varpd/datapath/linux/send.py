"""Sending frames: out to a target, and up to the local guests.

A frame goes out as the tunnel device would have sent it: the same header in front, from the same
address. Frames of one size to one target go as one `sendmsg` with UDP_SEGMENT, which the kernel
cuts up at its lower end (udp(7)); that costs a quarter of a call a frame.

A frame that is too big for the way to its target is treated as the device treats it: its sender is
told so (`varpd.datapath.linux.pmtu`), or, where that is not done, the outer packet is cut into
fragments. Hence the sockets never set DF (IP_PMTUDISC_DONT): with it such frames would be lost in
silence.

A frame goes up by being sent to this host's own VTEP: the device takes it for received.
"""

import errno
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final

from varpd.datapath.encapsulation import Encapsulation
from varpd.datapath.linux import pmtu
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target

RUN_FRAMES: Final = 64
"""Frames in one call at most; the kernel takes as many (UDP_MAX_SEGMENTS before Linux 6.10)."""

RUN_BYTES: Final = 65_000
"""Bytes in one call at most, below the 65,535 that an IP packet may have."""

_UDP_SEGMENT: Final = 103
_SEGMENT_SIZE = struct.Struct("=H")
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_DONT: Final = 0

_NO_ROOM: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})
"""The frame is dropped, as a device with a full queue drops it."""

RUNS_SINGLY: Final = 1_000
"""Runs sent frame by frame after the kernel refused one, before another is tried.

A device that cannot do checksums refuses all (EIO), and then trying costs a call in a thousand; one
whose MTU has just become smaller than what is cached refuses a few (EINVAL).
"""

_NO_SEGMENTATION: Final = frozenset({errno.EIO, errno.EINVAL})
"""The device on the way cannot do checksums, or its MTU is smaller than a frame of the run."""

_TOLD_BY_ICMP: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})
"""May be about an earlier datagram; the one at hand was then not sent."""

_ETHERNET_HEADER: Final = 14


class Sender:
    """Sends the frames of one overlay; never waits.

    `resend` is for the event loop, `inject` for the row writer's thread.

    Raises:
        OSError: `listen_ip` is not an address of this host.
    """

    def __init__(
        self,
        listen_ip: IpAddress,
        listen_port: int,
        encapsulation: Encapsulation,
        vnetid: int,
        path_mtu: Callable[[IpAddress], int],
    ) -> None:
        """`path_mtu` returns the MTU of the route to a target; asked once a call, so cached."""
        self.sent = 0
        """Frames sent to targets."""
        self.answered = 0
        """Frames not sent because they were too big; their sender was told."""
        self.dropped = 0
        """Frames for which the kernel had no room."""
        self.failed = 0
        """Frames that the kernel refused: no route, a firewall, another family."""
        self.injected = 0
        """Frames delivered to the local guests."""
        self.not_injected = 0
        """Frames that should have been."""
        self.singly = 0
        """Runs still to be sent frame by frame, since the kernel refused one."""
        self._path_mtu = path_mtu
        self._header = encapsulation.pack_header(vnetid)
        self._up = (str(listen_ip), listen_port)
        # What the underlay's MTU has room for besides a frame and the header in front of it.
        self._outer = (
            encapsulation.overhead(listen_ip.version) - len(self._header) - _ETHERNET_HEADER
        )
        self.socket = _open_socket(listen_ip)

    def resend(self, target: Target, packets: Sequence[bytes]) -> None:
        """Send frames, each with the header in front, to a target, in order."""
        if not packets or target.ip is None or target.port is None:
            return
        limit = self._path_mtu(target.ip) - self._outer
        address = (str(target.ip), target.port)
        if max(map(len, packets)) > limit:
            for packet in packets:
                self._send_or_answer(packet, limit, address)
        elif len(packets) > 1:
            self._send_runs(packets, address)
        else:
            for packet in packets:
                self._send(packet, address)

    def inject(self, frame: bytes) -> None:
        """Deliver a frame to the local guests as if received."""
        if self._deliver(frame):
            self.injected += 1
        else:
            self.not_injected += 1

    def close(self) -> None:
        """Send no more."""
        self.socket.close()

    def _deliver(self, frame: bytes) -> bool:
        try:
            self.socket.sendto(self._header + frame, self._up)
        except OSError:
            return False
        return True

    def _send_or_answer(self, packet: bytes, limit: int, address: tuple[str, int]) -> None:
        size = len(self._header)
        answer = pmtu.answer(packet[size:], limit - size)
        if answer is None:
            self._send(packet, address)
        elif self._deliver(answer):
            self.answered += 1
        else:
            self.dropped += 1

    def _send_runs(self, packets: Sequence[bytes], address: tuple[str, int]) -> None:
        start = 0
        while start < len(packets):
            end = run_end(packets, start)
            run = packets[start:end]
            start = end
            if len(run) == 1:
                self._send(run[0], address)
            elif self.singly:
                self.singly -= 1
                for packet in run:
                    self._send(packet, address)
            else:
                self._send_run(run, address)

    def _send_run(self, run: Sequence[bytes], address: tuple[str, int]) -> None:
        segment = _SEGMENT_SIZE.pack(len(run[0]))
        try:
            self.socket.sendmsg(run, ((socket.IPPROTO_UDP, _UDP_SEGMENT, segment),), 0, address)
        except OSError as error:
            if error.errno in _NO_ROOM:
                self.dropped += len(run)
                return
            if error.errno in _NO_SEGMENTATION:
                self.singly = RUNS_SINGLY
            # Whatever it is, each frame gets its own chance, and its own count.
            for packet in run:
                self._send(packet, address)
        else:
            self.sent += len(run)

    def _send(self, packet: bytes, address: tuple[str, int], again: bool = True) -> None:
        try:
            self.socket.sendto(packet, address)
        except OSError as error:
            if error.errno in _NO_ROOM:
                self.dropped += 1
            elif error.errno in _TOLD_BY_ICMP and again:
                self._send(packet, address, again=False)
            else:
                self.failed += 1
        else:
            self.sent += 1


def run_end(packets: Sequence[bytes], start: int) -> int:
    """Return where the run that begins at `start` ends: packets that go out in one call.

    All are of one size, but for the last, which may be shorter.
    """
    size = len(packets[start])
    most = min(len(packets), start + min(RUN_FRAMES, max(1, RUN_BYTES // size)))
    end = start + 1
    while end < most:
        other = len(packets[end])
        if other > size:
            break
        end += 1
        if other < size:
            break
    return end


def _open_socket(listen_ip: IpAddress) -> socket.socket:
    family = socket.AF_INET if listen_ip.version == 4 else socket.AF_INET6
    sender = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        sender.setblocking(False)
        if family == socket.AF_INET:
            sender.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DONT)
        else:
            sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_DONT)
        sender.bind((str(listen_ip), 0))
    except BaseException:
        sender.close()
        raise
    return sender
