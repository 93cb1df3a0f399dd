"""Wrapped frames that somebody sends who should not, and whether they come to a guest.

    with arrivals(web) as seen:
        send(stranger, wrapped(7, b"forged"), "192.0.2.1")
        send(friend, wrapped(7, b"honest"), "192.0.2.1")
        seen.wait(b"honest")
        assert not seen.has(b"forged")

What does not come is only known when something sent later has come.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

from support.guests import INTERFACE, Guest
from support.namespaces import Namespace
from support.scapy_oracle import Ether
from support.wire_tap import Tap
from varpd.net import vxlan

PORT: Final = 4789
"""Where wrapped frames go."""

NOBODY: Final = 65534
"""A user with no rights at all."""

_EXPERIMENTAL: Final = b"\x88\xb5"
"""Local Experimental Ethertype 1 (IEEE 802)."""

_BROADCAST: Final = b"\xff" * 6
_SOURCE: Final = bytes.fromhex("02005e1000fd")
_LEAST: Final = 60

_PYTHON: Final = "/usr/bin/python3"
"""One that every user may run, in contrast to that of the checkout."""

_SCRIPT: Final = """
import contextlib, socket, sys
data, to, port, source = sys.argv[1:]
sender = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
if source:
    sender.bind((source, 0))
with contextlib.suppress(PermissionError):
    sender.sendto(bytes.fromhex(data), (to, int(port)))
"""


def frame(marker: bytes) -> bytes:
    """Return a frame to everybody that is known by its marker."""
    return (_BROADCAST + _SOURCE + _EXPERIMENTAL + marker).ljust(_LEAST, b"\0")


def wrapped(vnetid: int, marker: bytes) -> bytes:
    """Return such a frame with the header of VXLAN."""
    return vxlan.pack_header(vnetid) + frame(marker)


def send(
    namespace: Namespace,
    datagram: bytes,
    to: str,
    *,
    port: int = PORT,
    source: str | None = None,
    user: int | None = None,
) -> None:
    """Send a datagram from inside a namespace, as a user of it.

    Args:
        namespace: where.
        datagram: what.
        to: the address.
        port: the port.
        source: the address to send from, which must be one of the namespace.
        user: the user; the one of the test unless given.
    """
    if user is None:
        namespace.call(_send, datagram, to, port, source)
        return
    namespace.run(
        *("setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"),
        *(_PYTHON, "-c", _SCRIPT, datagram.hex(), to, str(port), source or ""),
    )


def _send(datagram: bytes, to: str, port: int, source: str | None) -> None:
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        if source is not None:
            sender.bind((source, 0))
        # What a firewall refuses on the way out is what the test is about.
        with contextlib.suppress(PermissionError):
            sender.sendto(datagram, (to, port))


class Arrivals:
    """What comes to a guest."""

    def __init__(self, tap: Tap) -> None:
        """Made by `arrivals`."""
        self._tap = tap

    def has(self, marker: bytes) -> bool:
        """Return whether a frame with that marker has come."""
        return bool(self._tap.seen(lambda seen: _has(seen, marker)))

    def wait(self, marker: bytes) -> None:
        """Wait until one comes."""
        self._tap.wait(f"a frame with {marker!r}", lambda seen: _has(seen, marker))


@contextlib.contextmanager
def arrivals(guest: Guest) -> Iterator[Arrivals]:
    """See what comes to a guest meanwhile."""
    with Tap(guest.namespace, INTERFACE) as tap:
        yield Arrivals(tap)


def _has(seen: Ether, marker: bytes) -> bool:
    return marker in bytes(seen)
