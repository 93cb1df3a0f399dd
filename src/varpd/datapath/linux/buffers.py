"""How much of the kernel's memory each punt socket may fill.

All punt sockets together get a quarter of what the kernel allows for UDP (``net.ipv4.udp_mem``), so
that a flood of misses takes nothing from the host's other programs. Half of that is shared out in
equal parts, which no overlay can take from another; from the other half a socket that has lost
frames is given more, and gives it back when it has lost none for a while.
"""

import os
from pathlib import Path
from resource import getpagesize
from typing import Final, Protocol

from msgspec import Struct

BASE: Final = 4 << 20
"""Bytes that a socket begins with: about 5,000 small frames, a tenth of a second of a flood."""

MOST: Final = 64 << 20
"""Bytes that a socket is given at most: what waits longer than a second helps nobody."""

LEAST: Final = 256 << 10
"""Bytes that a socket has however many there are."""

CALM: Final = 60.0
"""Seconds without a loss after which a socket gives back what it was given."""

_PART: Final = 4

_RECORDS: Final = 2
"""How many times its size a buffer may take: the kernel leaves as much room for its own records."""

UDP_MEM: Final = Path("/proc/sys/net/ipv4/udp_mem")


class Buffered(Protocol):
    """A socket whose receive buffer can be set."""

    def resize(self, size: int) -> int:
        """Ask for a buffer of `size` bytes, and return how many were granted."""


class _Buffer(Struct, eq=False):
    """What one socket has."""

    socket: Buffered
    size: int
    lost_at: float


def total(udp_mem: Path = UDP_MEM) -> int:
    """Return how many bytes the buffers of all punt sockets may have.

    Args:
        udp_mem: the kernel's bounds on UDP's memory, of which the third is the last.
    """
    try:
        most = int(udp_mem.read_text().split()[2])
    except FileNotFoundError:
        # Shown only in the machine's first network namespace, but in force in all. The kernel's
        # default (udp_init): three halves of an eighth of the memory.
        most = os.sysconf("SC_PHYS_PAGES") * 3 // 16
    return most * getpagesize() // _PART // _RECORDS


class PuntBuffers:
    """Shares out receive buffers."""

    def __init__(self, total: int) -> None:
        """Take how many bytes all sockets together may have."""
        self._total = total
        self._buffers: dict[str, _Buffer] = {}
        self._base = BASE

    def open(self, overlay: str, socket: Buffered) -> int:
        """Give a new socket its part, and return how much less it got than it should have."""
        self._buffers[overlay] = _Buffer(socket, 0, float("-inf"))
        self._divide()
        self._resize(self._buffers[overlay], self._base)
        return max(0, self._base - self._buffers[overlay].size)

    def close(self, overlay: str) -> None:
        """Take back what a socket had."""
        if self._buffers.pop(overlay, None) is not None:
            self._divide()

    def lost(self, overlay: str, now: float) -> None:
        """Give more to a socket that has lost frames, if there is any."""
        buffer = self._buffers.get(overlay)
        if buffer is None:
            return
        buffer.lost_at = now
        spare = self._total - sum(other.size for other in self._buffers.values())
        wanted = min(MOST, 2 * buffer.size, buffer.size + max(0, spare))
        if wanted > buffer.size:
            self._resize(buffer, wanted)

    def calm(self, now: float) -> float | None:
        """Take back what sockets no longer need; return in how many seconds to look again."""
        waits = []
        for buffer in self._buffers.values():
            if buffer.size <= self._base:
                continue
            wait = buffer.lost_at + CALM - now
            if wait <= 0:
                self._resize(buffer, self._base)
            else:
                waits.append(wait)
        return min(waits, default=None)

    def size(self, overlay: str) -> int:
        """Return how many bytes a socket has."""
        return self._buffers[overlay].size

    def _divide(self) -> None:
        """Find the part of each, and take from those who have more than there is now."""
        count = max(1, len(self._buffers))
        self._base = max(LEAST, min(BASE, self._total // 2 // count))
        over = sum(buffer.size for buffer in self._buffers.values()) + self._base > self._total
        for buffer in self._buffers.values():
            if buffer.size > self._base and (over or buffer.size <= BASE):
                self._resize(buffer, self._base)

    @staticmethod
    def _resize(buffer: _Buffer, size: int) -> None:
        buffer.size = buffer.socket.resize(size)
