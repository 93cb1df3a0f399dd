"""Punt sockets that the service manager keeps from one daemon to the next.

The service manager holds a copy of each (its file descriptor store, sd_pid_notify_with_fds(3)) and
hands all of them to the next process it starts (sd_listen_fds(3)). What the kernel punts meanwhile
waits in the socket. They are found by their address: that is what the kernel sends to.
"""

import os
import socket
import threading
from collections.abc import Iterable
from typing import Final, Self

import structlog

from varpd.daemon.notify import Notifier
from varpd.net.addresses import IpAddress

FIRST: Final = 3
"""The first file descriptor that is handed over (SD_LISTEN_FDS_START)."""

COUNT_VARIABLE: Final = "LISTEN_FDS"
"""Environment variable with how many there are."""

NAMES_VARIABLE: Final = "LISTEN_FDNAMES"
"""Environment variable with their names, a colon between two."""

PROCESS_VARIABLE: Final = "LISTEN_PID"
"""Environment variable with the process that they are for."""

_log: Final = structlog.get_logger()


def inherited() -> list[tuple[str, socket.socket]]:
    """Take over the sockets that the service manager hands to this process, with their names.

    Call it once, before anything else is opened. What is no UDP socket is closed. Programs that
    the daemon starts get neither the sockets nor the variables.
    """
    process = os.environ.pop(PROCESS_VARIABLE, "")
    count = os.environ.pop(COUNT_VARIABLE, "")
    names = os.environ.pop(NAMES_VARIABLE, "").split(":")
    if process != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return []
    found = []
    for place in range(int(count)):
        name = names[place] if place < len(names) else ""
        taken = _udp_socket(FIRST + place)
        if taken is None:
            _log.warning("something that is no punt socket was handed over", name=name)
        else:
            found.append((name, taken))
    return found


def _udp_socket(descriptor: int) -> socket.socket | None:
    """Return a file descriptor as the UDP socket that it is, or close it."""
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:
        try:
            os.close(descriptor)
        except OSError:
            return None  # there was nothing
        return None
    families = (socket.AF_INET, socket.AF_INET6)
    if found.family not in families or found.type != socket.SOCK_DGRAM:
        found.close()
        return None
    found.set_inheritable(False)
    found.setblocking(False)
    return found


class KeptSockets:
    """`varpd.datapath.linux.keeping.Keeper` by the service manager.

    Without one it keeps nothing.
    """

    def __init__(
        self, notifier: Notifier, handed_over: Iterable[tuple[str, socket.socket]] = ()
    ) -> None:
        """Take the way to the service manager, and what it has `inherited` for us."""
        self._notifier = notifier
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, int], tuple[str, socket.socket]] = {}
        for name, kept in handed_over:
            address, port = kept.getsockname()[:2]
            self._waiting[address, port] = (name, kept)

    @classmethod
    def from_environment(cls, notifier: Notifier) -> Self:
        """Return the sockets that the service manager hands to this process."""
        return cls(notifier, inherited())

    def take(self, overlay: str, address: IpAddress, port: int) -> socket.socket | None:
        """See `Keeper.take`."""
        with self._lock:
            name, kept = self._waiting.pop((str(address), port), ("", None))
        if kept is not None and name != overlay:
            self._notifier.forget(name)
        return kept

    def keep(self, overlay: str, punt: socket.socket) -> None:
        """See `Keeper.keep`."""
        self._notifier.keep(overlay, punt)

    def forget(self, overlay: str) -> None:
        """See `Keeper.forget`."""
        self._notifier.forget(overlay)

    def close(self) -> None:
        """Let go of what nobody has taken; the service manager has it still."""
        with self._lock:
            for _, kept in self._waiting.values():
                kept.close()
            self._waiting.clear()
