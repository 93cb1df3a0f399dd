"""What the daemon tells the service manager: the protocol of sd_notify(3).

Without a service manager nothing is sent.
"""

import os
import socket
from typing import Final

import structlog

SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
"""Environment variable with the path of the datagram socket; ``@`` in front: abstract."""


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

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        message = "\n".join(line.replace("\n", " ") for line in lines).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.setblocking(False)  # a service manager that does not read must not stop us
            try:
                out.sendto(message, self._address)
            except OSError:
                return  # it may be gone or busy; the daemon works without it
