"""A service manager as far as a daemon needs one: it hears sd_notify(3) and keeps sockets.

    with ServiceManager(host.varpd) as manager:
        manager.start()                    # Type=notify: waits for READY=1
        host.varpd.kill()
        manager.start()                    # the next process gets what the last one left

It does what systemd does with FDSTORE, FDSTOREREMOVE and BARRIER, and keeps all messages.
"""

import contextlib
import fcntl
import os
import signal
import socket
import threading
import time
from typing import Final, Self

from support.varpd_process import VarpdProcess
from support.waiting import wait_for

_HIGH: Final = 100
"""Where the descriptors stand before the daemon's command puts them where they belong."""


class ServiceManager:
    """Starts one daemon, as often as it is told to."""

    def __init__(self, varpd: VarpdProcess, watchdog: float | None = None) -> None:
        """Take the daemon, and after how many seconds of silence it counts as dead."""
        self.varpd = varpd
        self.watchdog = watchdog
        self.messages: list[dict[str, str]] = []
        """All that was said, in order."""
        self.alive_at = 0.0
        """When the last sign of life came, by the monotonic clock."""
        self._store: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._thread = threading.Thread(target=self._listen, name="service-manager")

    def __enter__(self) -> Self:
        path = str(self.varpd.directory / "notify")
        self._socket.bind(path)
        self._socket.settimeout(0.1)
        self.varpd.environment["NOTIFY_SOCKET"] = path
        if self.watchdog is not None:
            self.varpd.environment["WATCHDOG_USEC"] = str(int(self.watchdog * 1_000_000))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()
        for _name, descriptor in self._store:
            os.close(descriptor)

    def kept(self) -> list[str]:
        """Return the names of the sockets that are kept."""
        with self._lock:
            return sorted(name for name, _ in self._store)

    def said(self, key: str) -> int:
        """Return how often something was said."""
        return sum(key in message for message in list(self.messages))

    def start(self, *, wait: bool = True) -> None:
        """Start the daemon with what is kept for it, and wait until it says that it is ready."""
        before = self.said("READY")
        with contextlib.ExitStack() as copies, self._lock:
            names, moves, high = [], [], []
            for place, (name, descriptor) in enumerate(self._store):
                high.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH))
                copies.callback(os.close, high[-1])
                moves.append(f"{3 + place}<&{high[-1]} {high[-1]}<&-")
                names.append(name)
            self.varpd.environment["LISTEN_FDS"] = str(len(names))
            self.varpd.environment["LISTEN_FDNAMES"] = ":".join(names)
            script = f'exec {" ".join(moves)}; LISTEN_PID=$$ exec "$@"'
            self.varpd.wrapper = ["bash", "-c", script, "start"]
            self.varpd.descriptors = tuple(high)
            self.varpd.start(wait=False)
        if wait:
            wait_for("READY=1", lambda: self.said("READY") > before or self._has_ended(), 30)

    def kill_if_silent(self) -> None:
        """Wait until the daemon has been silent for too long, and abort it as systemd does."""
        assert self.watchdog is not None
        limit = self.watchdog
        wait_for("silence", lambda: time.monotonic() - self.alive_at > limit, 10 * limit + 30)
        self.varpd.stop(signal.SIGABRT)

    def _has_ended(self) -> bool:
        process = self.varpd.process
        assert process is not None
        assert process.poll() is None, self.varpd.log()
        return False

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                data, descriptors, *_ = socket.recv_fds(self._socket, 4096, 16)
            except TimeoutError:
                continue
            lines = data.decode().split("\n")
            message = dict(line.partition("=")[::2] for line in lines)
            with self._lock:
                self._take(message, descriptors)
            self.messages.append(message)

    def _take(self, message: dict[str, str], descriptors: list[int]) -> None:
        if "WATCHDOG" in message or "READY" in message:
            self.alive_at = time.monotonic()
        name = message.get("FDNAME", "stored")
        if message.get("FDSTORE") == "1":
            known = {os.fstat(descriptor).st_ino for _name, descriptor in self._store}
            for descriptor in descriptors:
                if os.fstat(descriptor).st_ino in known:
                    os.close(descriptor)
                else:
                    self._store.append((name, descriptor))
            return
        if message.get("FDSTOREREMOVE") == "1":
            for other, descriptor in self._store:
                if other == name:
                    os.close(descriptor)
            self._store = [item for item in self._store if item[0] != name]
        for descriptor in descriptors:  # a barrier is one, which is passed when it is closed
            os.close(descriptor)
