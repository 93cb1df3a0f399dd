"""A kernel that keeps two tables of rows, for the row writer to speak to."""

import errno
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Final

from varpd.datapath.linux import netlink

PATIENCE: Final = 30.0
"""Seconds until a test that waits gives up."""

_SELF: Final = 0x02
_MASTER: Final = 0x04
_REPLACE: Final = 0x100


@dataclass
class FakeKernel:
    """Handles messages as rtnl_fdb_add and rtnl_fdb_del do: the bridge's row first."""

    device: dict[bytes, list[bytes]] = field(default_factory=dict)
    """Destinations by MAC, each an address."""
    bridge: set[bytes] = field(default_factory=set)
    refuse: dict[bytes, int] = field(default_factory=dict)
    """Errors for the device's row of a MAC."""
    refuse_removal: dict[bytes, int] = field(default_factory=dict)
    losing: bool = False
    """Whether the answers do not fit into the socket."""
    sends: list[int] = field(default_factory=list)
    """How many messages each send held."""
    now: float = 0.0
    send_time: float = 0.0
    free: threading.Event = field(default_factory=threading.Event)
    """Whether nobody else holds the lock that writing needs."""
    waiting: threading.Event = field(default_factory=threading.Event)
    """Whether somebody waits for that lock."""
    answers: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free.set()

    def send(self, data: bytes) -> int:
        self.waiting.set()
        assert self.free.wait(PATIENCE)
        self.now += self.send_time
        count, at = 0, 0
        while at < len(data):
            (length,) = struct.unpack_from("=I", data, at)
            self._handle(data[at : at + length])
            at, count = at + length, count + 1
        self.sends.append(count)
        return len(data)

    def recv(self, size: int) -> bytes:
        if self.losing:
            self.losing = False
            raise OSError(errno.ENOBUFS, "No buffer space available")
        if not self.answers:
            raise BlockingIOError
        return self.answers.pop(0)

    def close(self) -> None:
        self.answers.clear()

    def _handle(self, message: bytes) -> None:
        kind, flags = struct.unpack_from("=HH", message, 4)
        tables = message[26]
        address = message[32:38]
        error = 0
        if kind == netlink.RTM_NEWNEIGH:
            if tables & _MASTER:
                self.bridge.add(address)
            error = self.refuse.get(address, 0)
            if not error:
                there = [] if flags & _REPLACE else self.device.get(address, [])
                self.device[address] = [*there, message[44:48]]
        elif kind == netlink.RTM_DELNEIGH:
            error = self._delete(message, tables, address)
        else:
            self._tell(message, tables, address)
        if error:
            body = struct.pack("=i", -error) + message
            self.answers.append(struct.pack("=IHHII", 16 + len(body), 2, 0, 0, 0) + body)

    def _delete(self, message: bytes, tables: int, address: bytes) -> int:
        if address in self.refuse_removal:
            return self.refuse_removal[address]
        if tables & _MASTER:
            if address not in self.bridge:
                return errno.ENOENT
            self.bridge.remove(address)
        if tables & _SELF:
            if address not in self.device:
                return errno.ENOENT
            if len(message) > 40 and self.device[address] != [message[44:48]]:
                self.device[address].remove(message[44:48])
            else:
                del self.device[address]
        return 0

    def _tell(self, message: bytes, tables: int, address: bytes) -> None:
        (sequence,) = struct.unpack_from("=I", message, 8)
        if tables & _MASTER and address in self.bridge:
            (device,) = struct.unpack_from("=i", message, 20)
            body = netlink.NDMSG.pack(socket.AF_BRIDGE, device, 0x40, netlink.NTF_STICKY, 0)
            body += message[28:40]
            head = struct.pack("=IHHII", 16 + len(body), netlink.RTM_NEWNEIGH, 0, sequence, 0)
            self.answers.append(head + body)
        elif tables & _SELF and address in self.device:
            destination = self.device[address][0]
            body = message[16:24] + b"\x42\0" + bytes([_SELF | netlink.NTF_STICKY, 0])
            body += message[28:40] + netlink.attribute(netlink.NDA_DST, destination)
            body += struct.pack("=HHIIII", 20, 3, 0, 3 * netlink.TICKS, 0, 0)
            head = struct.pack("=IHHII", 16 + len(body), netlink.RTM_NEWNEIGH, 0, sequence, 0)
            self.answers.append(head + body)
        else:
            body = struct.pack("=i", -errno.ENOENT) + message
            self.answers.append(struct.pack("=IHHII", 16 + len(body), 2, 0, 0, 0) + body)
