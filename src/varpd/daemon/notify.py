"""What the daemon tells the service manager: the protocol of sd_notify(3).

Without a service manager nothing is sent.
"""

import array
import contextlib
import os
import select
import socket
from collections.abc import Sequence
from typing import Final

import structlog

SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
"""Environment variable with the path of the datagram socket; ``@`` in front: abstract."""

EXTENSION: Final = 60.0
"""Seconds that the start may take after the last word of how far it has come."""

PATIENCE: Final = 2.0
"""Seconds that a busy service manager has, where it matters that it gets a message."""


_log: Final = structlog.get_logger()


class Notifier:
    """Tells the service manager how the daemon is."""

    def __init__(self, address: str | None) -> None:
        """Take the value of `SOCKET_VARIABLE`, or None where there is no service manager.

        Raises:
            ValueError: `address` is no path and no abstract name.
        """
        if address is not None and not (address[:1] in ("/", "@") and len(address) > 1):
            raise ValueError(f"{SOCKET_VARIABLE}={address!r}: neither a path nor an abstract name")
        if address is not None and address.startswith("@"):
            address = f"\0{address[1:]}"
        self._address = address

    @classmethod
    def from_environment(cls) -> "Notifier":
        """Return the notifier for the service manager that started this process, if one did.

        An address that we cannot send to, such as one of ``vsock``, is warned of.
        """
        try:
            return cls(os.environ.get(SOCKET_VARIABLE) or None)
        except ValueError as exc:
            _log.warning("the service manager is told nothing", why=str(exc))
            return cls(None)

    def starting(self, status: str) -> None:
        """Say in one line how far the start has come, and that it may take some time yet."""
        self._send(f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={int(EXTENSION * 1_000_000)}")

    def ready(self, status: str) -> None:
        """Say that the daemon does its work, and in one line how."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self, monotonic: float) -> None:
        """Say that the configuration is read again; `ready` follows.

        Args:
            monotonic: seconds of the monotonic clock at which that began.
        """
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic * 1_000_000)}")

    def stopping(self) -> None:
        """Say that the daemon ends."""
        self._send("STOPPING=1", "STATUS=stopping")

    def alive(self) -> None:
        """Say that the daemon is not blocked, as `varpd.daemon.heartbeat` has to."""
        self._send("WATCHDOG=1")

    def keep(self, name: str, kept: socket.socket) -> None:
        """Have the service manager keep a socket for the next process of the service.

        It may wait `PATIENCE` seconds.

        Args:
            name: under which the next process finds it.
            kept: the socket; one that is kept already is not kept twice.
        """
        # The manager would let go of a socket with an error, which the next process can clear.
        lines = ("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0")
        self._send(*lines, descriptors=(kept.fileno(),), patience=PATIENCE)

    def forget(self, name: str) -> None:
        """Have the service manager close the sockets of a name, and return when it has.

        It may wait twice `PATIENCE` seconds.
        """
        if self._address is None:
            return
        self._send("FDSTOREREMOVE=1", f"FDNAME={name}", patience=PATIENCE)
        self._barrier()

    def _barrier(self) -> None:
        """Wait until the service manager has read all that was sent; it then closes the pipe."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                self._send("BARRIER=1", descriptors=(writing,), patience=PATIENCE)
            finally:
                os.close(writing)
            poll = select.poll()
            poll.register(reading, select.POLLHUP)
            poll.poll(PATIENCE * 1000)
        finally:
            os.close(reading)

    def _send(self, *lines: str, descriptors: Sequence[int] = (), patience: float = 0.0) -> None:
        if self._address is None:
            return
        message = "\n".join(line.replace("\n", " ") for line in lines).encode()
        carried = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, carried)] if descriptors else []
        # It may be gone or busy; the daemon works without it.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.settimeout(patience)  # a service manager that does not read must not stop us
            out.sendmsg([message], ancillary, 0, self._address)
