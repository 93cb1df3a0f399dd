"""Who keeps punt sockets open while no daemon runs, so that frames wait instead of being lost."""

import socket
from typing import Protocol

from varpd.net.addresses import IpAddress


class Keeper(Protocol):
    """Keeps sockets for the next daemon. It is called from the kernel's thread and may block."""

    def take(self, overlay: str, address: IpAddress, port: int) -> socket.socket | None:
        """Return the socket with that address that an earlier daemon had kept, or None.

        It is for `overlay` from now on, and its frames may be another overlay's.
        """

    def keep(self, overlay: str, punt: socket.socket) -> None:
        """Keep the socket of an overlay open, whatever becomes of this process."""

    def forget(self, overlay: str) -> None:
        """Keep an overlay's socket no longer; when this returns, nobody else has it open."""


class NoKeeper:
    """Keeps nothing: frames punted while no daemon runs are lost."""

    def take(self, overlay: str, address: IpAddress, port: int) -> socket.socket | None:
        """Return None."""

    def keep(self, overlay: str, punt: socket.socket) -> None:
        """Do nothing."""

    def forget(self, overlay: str) -> None:
        """Do nothing."""
