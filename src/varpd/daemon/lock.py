"""Who may run: one daemon in a network namespace, one on a state directory.

Two daemons in one network namespace would write each other's links and rows. The lock is an
abstract unix socket (unix(7)): such names belong to the network namespace, and the kernel frees
them when the process ends, however it ends.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NAMESPACE_LOCK: Final = "varpd"
"""Name of the abstract socket."""

_CREDENTIALS: Final = struct.Struct("3i")
"""``struct ucred`` of unix(7): process, user, group."""

_CONNECT_TIMEOUT: Final = 1.0
"""Seconds that finding out who has the lock may take."""


class Locked(Exception):  # noqa: N818 - a state of the world, as the operator reads it
    """Another daemon is at work here; the message says which."""


@contextlib.contextmanager
def namespace(name: str = NAMESPACE_LOCK) -> Iterator[None]:
    """Hold the lock of this network namespace.

    Raises:
        Locked: another process has it.
        OSError: there are no unix sockets to be had.
    """
    address = f"\0{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as lock:
        try:
            lock.bind(address)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
            who = _holder(address)
            raise Locked(f"another varpd runs in this network namespace{who}") from exc
        lock.listen(1)  # so that others can connect and learn who we are
        yield


@contextlib.contextmanager
def directory(path: Path) -> Iterator[None]:
    """Hold a state directory, which is made if it is not there.

    Raises:
        Locked: another process has it.
        OSError: it cannot be made or written.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            who = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            suffix = f" (process {who})" if who else ""
            raise Locked(f"another varpd uses the state directory {path}{suffix}") from exc
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(address: str) -> str:
    """Return who has the abstract socket, in words, or an empty text where that is not told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(_CONNECT_TIMEOUT)
        try:
            probe.connect(address)
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return ""
    process, user, _group = _CREDENTIALS.unpack(credentials)
    # A process outside of our process namespace has the number 0 here.
    return f" (process {process}, user {user})" if process else " (in another process namespace)"
