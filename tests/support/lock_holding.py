"""Keeping the kernel busy with network configuration, and seeing what goes on meanwhile.

with deletion(2_000) as gone, repeating(take_lock) as locks, repeating(ask) as questions:
    wait_for("the deletion", gone)
assert questions.within(locks.longest)
"""

import contextlib
import fcntl
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.namespaces import Namespace, connect

Span = tuple[float, float]
"""When something was asked for, and when it was done (monotonic)."""

_PAUSE: Final = 0.002
_SIOCSIFFLAGS: Final = 0x8914
"""A request for which the kernel takes its lock (RTNL); see netdevice(7)."""

_UP: Final = 1
_WITNESS: Final = "witness"
_DEVICES: Final = Path("/proc/thread-self/net/dev")


@dataclass(slots=True)
class Spans:
    """How long each of many calls took."""

    done: list[Span] = field(default_factory=list)

    @property
    def longest(self) -> Span:
        """The one that took longest."""
        return max(self.done, key=lambda span: span[1] - span[0])

    def within(self, span: Span) -> int:
        """Return how many began and ended within a span of time."""
        return sum(span[0] <= began and ended <= span[1] for began, ended in self.done)


@contextlib.contextmanager
def repeating(function: Callable[[], object]) -> Iterator[Spans]:
    """Call a function over and over meanwhile, in a thread of its own."""
    spans, ended = Spans(), threading.Event()

    def run() -> None:
        while not ended.wait(_PAUSE):
            began = time.monotonic()
            function()
            spans.done.append((began, time.monotonic()))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield spans
    finally:
        ended.set()
        thread.join()


def batch(namespace: Namespace, lines: Sequence[str]) -> None:
    """Run many commands of `ip` in a namespace."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        namespace.run("ip", "-batch", file.name)


class Locker:
    """Takes RTNL, which all namespaces share, and so finds out how long others hold it."""

    def __init__(self, namespace: Namespace) -> None:
        """Take a namespace whose loopback interface is up."""
        with namespace.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def take(self) -> None:
        """Wait for the lock, and give it back: sets the loopback interface up, which it is."""
        fcntl.ioctl(self._socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@contextlib.contextmanager
def deletion(
    scratch: Namespace, pairs: int
) -> Iterator[tuple[Callable[[], None], Callable[[], bool]]]:
    """Make a namespace with many pairs of veth devices.

    Yields:
        What begins to delete it, and what says whether it is gone: the kernel deletes all its
        devices at one go, some time after it was told to.
    """
    doomed = contextlib.ExitStack()
    with doomed:
        namespace = doomed.enter_context(Namespace("doomed"))
        batch(namespace, [f"link add left{n} type veth peer name right{n}" for n in range(pairs)])
        connect(scratch, _WITNESS, namespace, "peer")

        def gone() -> bool:
            with scratch.entered():
                # Not if_nameindex(3), which waits for the lock, and all of Python with it.
                return _WITNESS not in _DEVICES.read_text(encoding="ascii")

        yield doomed.close, gone
