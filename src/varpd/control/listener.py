"""The control socket as a file: made with the right mode, never made right afterwards.

The directory keeps strangers out (mode 0750); the socket is bound under a umask, so there is no
moment at which it is more open than it should be.
"""

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

DIRECTORY_MODE: Final = 0o750
"""Of a directory that we make."""

SOCKET_UMASK: Final = 0o117
"""Leaves 0660: the owner and the group may connect."""

BACKLOG: Final = 128
"""Connections that wait to be accepted."""

MAX_PATH: Final = 107
"""Bytes of a socket's path (unix(7): 108 with the terminating zero)."""


class ListenError(Exception):
    """The control socket cannot be made; the message says why and what to do."""


class Listener:
    """The listening socket and its file. Closing it removes the file."""

    def __init__(self, path: Path, listening: socket.socket) -> None:
        """Own a socket that is bound to `path`."""
        self.path = path
        self.socket = listening
        self._file = path.lstat()

    def close(self) -> None:
        """Close the socket and remove its file, unless the file is already somebody else's."""
        with contextlib.suppress(OSError):
            if os.path.samestat(self._file, self.path.lstat()):
                self.path.unlink()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def listen(path: Path, group: int | None = None) -> Listener:
    """Make the control socket and listen on it. Call it before the event loop runs: it may wait.

    The directory is made if it is missing. A socket file that a dead daemon left is replaced.

    Args:
        path: Where the socket is to be.
        group: Number of the group that may connect; None or not ours to give: our own.

    Raises:
        ListenError: a daemon listens there, the path is no socket, or the system refuses.
    """
    if len(os.fsencode(path)) > MAX_PATH:
        raise ListenError(f"{path}: the path of a socket has at most {MAX_PATH} bytes")
    try:
        _make_directory(path.parent, group)
        with _locked(path.parent):
            _remove_stale(path)
            return _bind(path, group)
    except OSError as error:
        raise ListenError(f"{path}: {error.strerror or error}") from error


def _make_directory(directory: Path, group: int | None) -> None:
    if not directory.is_dir():
        with _umask(0o777 & ~DIRECTORY_MODE):
            directory.mkdir(DIRECTORY_MODE, parents=True)
        if group is not None:
            with contextlib.suppress(PermissionError):
                os.chown(directory, -1, group)
    mode = directory.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ListenError(
            f"{directory}: everybody may write there, and so replace the control socket"
        )


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one daemon at a time look for a stale socket and replace it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path}: is there already and is not a socket")
    if _is_live(path):
        raise ListenError(f"{path}: another daemon listens there")
    path.unlink()


def _is_live(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:
            return True  # its backlog is full
        except ConnectionRefusedError:
            return False
        return True


def _bind(path: Path, group: int | None) -> Listener:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _umask(SOCKET_UMASK), _effective_group(group):
            listening.bind(os.fspath(path))
        listening.listen(BACKLOG)
        listening.setblocking(False)
        return Listener(path, listening)
    except BaseException:
        listening.close()
        raise


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _effective_group(group: int | None) -> Iterator[None]:
    """Make files belong to a group from the first, where we may; else they are our own group's."""
    own = os.getegid()
    if group is None or group == own:
        yield
        return
    with contextlib.suppress(OSError):
        os.setegid(group)
    try:
        yield
    finally:
        os.setegid(own)
