"""A real daemon in a network namespace, and the commands that administer it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from support.namespaces import Namespace
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.control.messages import ControlError

BIN: Final = Path(sys.executable).parent
"""Where `varpd` and `overlayadm` are installed: beside the Python that runs this."""

START_TIMEOUT: Final = 30.0
"""Seconds in which a daemon must be ready, also on a busy machine."""

STOP_TIMEOUT: Final = 20.0
"""Seconds in which a daemon must have ended."""


class VarpdProcess:
    """One `varpd` with its own socket, state, configuration and plugin directory.

    It can be started again after it has ended, however it ended.
    """

    def __init__(self, namespace: Namespace, directory: Path, config: str = "") -> None:
        """Take where it runs, a directory of its own, and what its varpd.toml holds."""
        self.namespace = namespace
        self.directory = directory
        self.socket = directory / "varpd.sock"
        self.plugins = directory / "plugins"
        """Files `*.py` that are put here before `start` are loaded as plugins."""
        self.config = directory / "varpd.toml"
        """Read at `start` and on SIGHUP."""
        self.log_file = directory / "log"
        self.wrapper: list[str] = []
        """A command that starts the daemon, such as `setpriv`; none unless set."""
        self.environment: dict[str, str] = {}
        """Variables that the daemon gets beside ours."""
        self.descriptors: tuple[int, ...] = ()
        """Open files that the daemon's command gets, under the numbers that they have here."""
        self.process: subprocess.Popen[bytes] | None = None
        self.plugins.mkdir(parents=True, mode=0o755)
        self.config.write_text(config, encoding="utf-8")

    def install(self, plugin: str | Path) -> None:
        """Put a file with plugins into the plugin directory."""
        copied = Path(shutil.copy(plugin, self.plugins))
        # The daemon refuses what others may write, and the checkout may be one of that kind.
        copied.chmod(0o644)

    def command(self) -> list[str]:
        """Return the command that starts the daemon."""
        # However whoever started it ends, it does not stay behind.
        return ["setpriv", "--pdeathsig", "KILL", *self._inside()]

    def _inside(self) -> list[str]:
        return self.namespace.command(
            *self.wrapper,
            str(BIN / "varpd"),
            *("--socket", str(self.socket), "--state-dir", str(self.directory / "state")),
            *("--config", str(self.config), "--plugin-dir", str(self.plugins)),
        )

    def start(self, *, wait: bool = True) -> None:
        """Start the daemon, and wait until it is ready unless told not to."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self.environment},
                pass_fds=self.descriptors,
            )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until `/readyz` says so.

        Raises:
            AssertionError: the daemon ended instead, or it takes too long.
        """
        wait_for(f"{self.socket} to be ready", self._ready, START_TIMEOUT)

    def _ready(self) -> bool:
        if self.process is None or (status := self.process.poll()) is not None:
            raise AssertionError(f"varpd ended, status {status}:\n{self.log()}")
        try:
            with Client(str(self.socket), timeout=START_TIMEOUT) as client:
                return client.ready().ok
        except ControlError:
            return False

    @property
    def pid(self) -> int:
        """The process of the daemon, which must have been started."""
        assert self.process is not None
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the daemon and return its exit status; 0 if there is none."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"varpd does not end:\n{self.log()}") from None

    def kill(self) -> None:
        """End the daemon as the kernel does when memory is short."""
        self.stop(signal.SIGKILL)

    def log(self) -> str:
        """Return all that the daemon has logged so far."""
        if not self.log_file.exists():
            return ""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def overlayadm(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `overlayadm` against this daemon.

        Raises:
            AssertionError: it ended with another status than 0, and `check` is on.
        """
        return self.namespace.run(*self._overlayadm(*arguments), check=check)

    def overlayadm_command(self, *arguments: str) -> list[str]:
        """Return what runs `overlayadm` against this daemon, for who watches it run."""
        return self.namespace.command(*self._overlayadm(*arguments))

    def _overlayadm(self, *arguments: str) -> list[str]:
        return [str(BIN / "overlayadm"), "--socket", str(self.socket), *arguments]

    def show(self, *names: str) -> list[dict[str, Any]]:
        """Return what `overlayadm show --json` says."""
        found: list[dict[str, Any]] = self._json("show", "--json", *names)
        return found

    def targets(self, *names: str) -> list[dict[str, Any]]:
        """Return what `overlayadm show -t --json` says."""
        found: list[dict[str, Any]] = self._json("show", "-t", "--json", *names)
        return found

    def _json(self, *arguments: str) -> Any:
        return json.loads(self.overlayadm(*arguments).stdout)

    def create(
        self,
        name: str,
        vnetid: int,
        search: str,
        properties: Sequence[str] = (),
        *,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run `overlayadm create`; `properties` are as `NAME=VALUE`."""
        given = [word for item in properties for word in ("-p", item)]
        return self.overlayadm("create", name, "-v", str(vnetid), "-s", search, *given, check=check)
