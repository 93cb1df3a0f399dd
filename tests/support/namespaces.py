"""Network namespaces for tests: made, wired together, entered, and always cleaned up.

    with Namespace("left") as left, Namespace("right") as right:
        connect(left, "eth0", right, "eth0")
        left.run("ip", "address", "add", "10.0.0.1/24", "dev", "eth0")
        with left.entered():
            ...  # sockets and threads made here belong to `left`

Needs root.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

COMMAND_TIMEOUT: Final = 30.0
"""Seconds that a command may take."""

_CLONE_NEWNET: Final = 0x40000000
_NAMES: Final = itertools.count(1)
_OWN: Final = Path("/proc/thread-self/ns/net")
_BRIDGE_NETFILTER: Final = (
    "bridge-nf-call-iptables",
    "bridge-nf-call-ip6tables",
    "bridge-nf-call-arptables",
)
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _setns(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Namespace:
    """A network namespace with its loopback interface up, and bridges that no firewall sees."""

    def __init__(self, label: str) -> None:
        """`label` is for people; the name made of it is unique."""
        self.name = f"varpd-{os.getpid()}-{next(_NAMES)}-{label}"
        self._descriptor = -1

    def __enter__(self) -> Self:
        _run("ip", "netns", "add", self.name)
        try:
            path = Path("/run/netns") / self.name
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.run("ip", "link", "set", "lo", "up")
            with self.entered():
                for switch in _BRIDGE_NETFILTER:
                    file = Path("/proc/sys/net/bridge") / switch
                    if file.exists():
                        file.write_text("0")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        pids = _run("ip", "netns", "pids", self.name).stdout.split()
        for pid in pids:
            # The test itself is listed where its main thread is still inside.
            if int(pid) != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        _run("ip", "netns", "delete", self.name)

    def command(self, *command: str) -> list[str]:
        """Return what has to be run to run `command` inside."""
        # Not `ip netns exec`: that mounts /sys, which a container may not.
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `command` inside and return what it said."""
        return _run(*self.command(*command), check=check)

    @contextlib.contextmanager
    def popen(self, *command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Run `command` inside meanwhile; it is killed at the end."""
        with subprocess.Popen(self.command(*command), text=True, **options) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread inside; threads started meanwhile are and stay inside too."""
        before = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self._descriptor)
            try:
                yield
            finally:
                _setns(before)
        finally:
            os.close(before)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` inside, in a thread of its own, and return what it returns."""
        with ThreadPoolExecutor(1, initializer=lambda: _setns(self._descriptor)) as executor:
            return executor.submit(function, *args, **kwargs).result()


def connect(left: Namespace, left_name: str, right: Namespace, right_name: str) -> None:
    """Put a cable (a veth pair, both ends up) between two namespaces."""
    left.run(
        *("ip", "link", "add", left_name, "type", "veth"),
        *("peer", "name", right_name, "netns", right.name),
    )
    left.run("ip", "link", "set", left_name, "up")
    right.run("ip", "link", "set", right_name, "up")


def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT,
        # Ctrl-C is for the test, which then removes what the command has made.
        start_new_session=True,
    )
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {result.stderr or result.stdout}")
    return result
