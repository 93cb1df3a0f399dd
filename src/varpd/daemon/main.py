"""The command ``varpd``: options, start, signals, end. It stays in the foreground."""

import argparse
import asyncio
import contextlib
import dataclasses
import faulthandler
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NoReturn, get_args

import structlog

from varpd.control.listener import Listener, ListenError, listen
from varpd.daemon import config as configuration
from varpd.daemon import loader, lock, log, rights
from varpd.daemon.application import Application, datapath_maker
from varpd.daemon.heartbeat import Heartbeat, interval_from_environment
from varpd.daemon.loader import DEFAULT_DIRECTORY, Registry
from varpd.daemon.notify import Notifier
from varpd.daemon.recent import Recent
from varpd.daemon.service import VERSION
from varpd.daemon.sockets import KeptSockets
from varpd.datapath.base import DatapathError
from varpd.store.base import Store, StoreError
from varpd.store.sqlite import FILE_NAME, SqliteStore

SWITCH_INTERVAL: Final = 0.001
"""Seconds for which a thread may run Python while the event loop waits for its turn.

The row writer and plugins' threads take theirs whenever the loop calls the kernel; with Python's
usual five milliseconds frames of a quiet overlay wait as long beside one whose rows are written
without a pause (`make bench ONLY=fair`).
"""

START_ERRORS: Final = (
    configuration.ConfigError,
    lock.Locked,
    ListenError,
    DatapathError,
    StoreError,
    OSError,
)
"""What is said in one line when the daemon cannot start; anything else is a fault of ours."""

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Where the kernel says which boot of the host this is (random(4))."""

_log: Final = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The command line; what is given there wins over the configuration file."""

    config: Path | None = None
    """The configuration file, or None for the usual one."""

    plugin_dirs: tuple[Path, ...] = ()
    """Directories with plugins; none: as configured."""

    socket: Path | None = None
    """The control socket."""

    state_dir: Path | None = None
    """The directory for what survives."""

    log_level: log.Level | None = None
    """From which gravity on lines are logged."""

    @classmethod
    def parse(cls, arguments: Sequence[str] | None = None) -> "Options":
        """Read the command line; ends the process where that is wrong or asks for help."""
        parser = argparse.ArgumentParser(
            prog="varpd",
            description="Control plane for layer-2 overlay networks; stays in the foreground.",
        )
        parser.add_argument(
            "--config", type=_path, metavar="FILE", help=f"default {configuration.DEFAULT_PATH}"
        )
        parser.add_argument(
            "-i",
            "--plugin-dir",
            dest="plugin_dirs",
            action="append",
            type=_path,
            default=[],
            metavar="DIR",
            help=f"where plugins lie; may be repeated; default {DEFAULT_DIRECTORY}",
        )
        usual = configuration.Daemon()
        parser.add_argument(
            "--socket", type=_path, metavar="PATH", help=f"control socket; default {usual.socket}"
        )
        parser.add_argument(
            "--state-dir", type=_path, metavar="DIR", help=f"default {usual.state_dir}"
        )
        parser.add_argument("--log-level", choices=get_args(log.Level), help="default info")
        parser.add_argument("--version", action="version", version=f"varpd {VERSION}")
        found = parser.parse_args(arguments)
        return cls(
            config=found.config,
            plugin_dirs=tuple(found.plugin_dirs),
            socket=found.socket,
            state_dir=found.state_dir,
            log_level=found.log_level,
        )

    def read(self) -> configuration.Config:
        """Return the configuration: the file's, and above it what the command line says.

        Raises:
            ConfigError: the file is not taken.
        """
        base = configuration.read(self.config)
        daemon = dataclasses.replace(
            base.daemon,
            plugin_dirs=self.plugin_dirs or base.daemon.plugin_dirs,
            socket=self.socket or base.daemon.socket,
            state_dir=self.state_dir or base.daemon.state_dir,
            log_level=self.log_level or base.daemon.log_level,
        )
        return dataclasses.replace(base, daemon=daemon)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the daemon; ends the process with 0, 1 for what went wrong, 2 for a wrong command."""
    options = Options.parse(arguments)
    try:
        status = run(options)
    except START_ERRORS as exc:
        sys.stderr.write(f"varpd: {exc}\n")
        status = 1
    sys.exit(status)


def run(options: Options) -> int:
    """Run the daemon until it is told to end; return the exit status.

    Raises:
        START_ERRORS: it cannot start.
    """
    import uvloop  # only here, so that --help and --version are quick

    # A service manager that takes the daemon for dead aborts it; the log shall say where it was.
    faulthandler.enable()
    settings = options.read()
    daemon = settings.daemon
    recent = log.set_up(daemon.log_level, daemon.log_format)
    notifier = Notifier.from_environment()
    raise_file_limit()
    sys.setswitchinterval(SWITCH_INTERVAL)
    with contextlib.ExitStack() as held:
        kept = held.enter_context(closing(KeptSockets.from_environment(notifier)))
        held.enter_context(lock.directory(daemon.state_dir))
        if daemon.datapath != "memory":  # which touches nothing of the network namespace
            held.enter_context(lock.namespace())
        store = held.enter_context(closing(SqliteStore(daemon.state_dir / FILE_NAME)))
        group = rights.socket_group(settings.access)
        listener = held.enter_context(listen(daemon.socket, group))
        rights.check_socket(daemon.socket, group)
        registry = load_plugins(daemon.plugin_dirs)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            life = Life(options, settings, registry, notifier, kept, store, recent)
            return runner.run(life.run(listener))


def load_plugins(directories: Sequence[Path]) -> Registry:
    """Find the plugins; the usual directory need not be there, others must."""
    usual = tuple(directories) == (DEFAULT_DIRECTORY,)
    return loader.load(None if usual else directories)


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us: each overlay needs sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Life:
    """The daemon from its start to its end, and the signals in between.

    SIGTERM and SIGINT end it in order, a second one at once. Links and rows stay and carry
    traffic either way. SIGHUP has the configuration and the data behind plugins read again.
    """

    def __init__(
        self,
        options: Options,
        settings: configuration.Config,
        registry: Registry,
        notifier: Notifier,
        kept: KeptSockets,
        store: Store,
        recent: Recent,
    ) -> None:
        """Take what the daemon is to be, and what it is to be it with.

        Args:
            options: the command line.
            settings: the configuration.
            registry: the plugins.
            notifier: the way to the service manager.
            kept: the sockets that it has kept.
            store: what survives a restart.
            recent: keeps the last lines of the log.
        """
        self._options = options
        self._settings = settings
        self._registry = registry
        self._notifier = notifier
        self._kept = kept
        self._recent = recent
        self._store = store
        self._heartbeat = Heartbeat(notifier, interval_from_environment())
        self._signals: asyncio.Queue[signal.Signals] = asyncio.Queue(maxsize=16)

    async def run(self, listener: Listener) -> int:
        """Start, serve, end; return the exit status.

        Raises:
            DatapathError: the datapath cannot work here.
            StoreError: what is stored cannot be read.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        make_datapath = datapath_maker(self._settings.daemon, self._kept)
        boot = (await asyncio.to_thread(BOOT_ID.read_text, "ascii")).strip()
        application = Application(
            self._settings, self._registry, self._store, boot, make_datapath, self._recent
        )
        self._heartbeat.start()
        await application.start(listener.socket)
        async with asyncio.TaskGroup() as group:
            restoring = group.create_task(self._restore(application, listener), name="restore")
            await self._serve(application, group, restoring)
            restoring.cancel()
            self._notifier.stopping()
            ending = group.create_task(application.stop(), name="end")
            hurry = group.create_task(self._next(hurry=True), name="second signal")
            await asyncio.wait((ending, hurry), return_when=asyncio.FIRST_COMPLETED)
            finished = ending.done()
            ending.cancel()
            hurry.cancel()
        self._heartbeat.stop()
        _log.info("varpd ends" if finished else "varpd ends at once")
        return 0 if finished else 1

    async def _restore(self, application: Application, listener: Listener) -> None:
        """Bring the overlays to work; then the daemon is ready."""

        def progress(done: int, overlays: int) -> None:
            self._notifier.starting(f"restoring overlays: {done} of {overlays}")

        await application.restore(progress)
        _log.info("varpd runs", version=VERSION, process=os.getpid(), socket=str(listener.path))
        self._notifier.ready(application.summary())

    async def _serve(
        self,
        application: Application,
        group: asyncio.TaskGroup,
        restoring: asyncio.Task[None],
    ) -> None:
        """Return when a signal says that it is time to end."""
        reloading: asyncio.Task[None] | None = None
        while True:
            number = await self._next()
            if number is not signal.SIGHUP:
                _log.info("told to end", signal=number.name)
                break
            if reloading is None or reloading.done():
                work = self._reload(application, restoring)
                reloading = group.create_task(work, name="reload")
        if reloading is not None:
            reloading.cancel()

    async def _reload(self, application: Application, restoring: asyncio.Task[None]) -> None:
        await asyncio.wait({restoring})
        self._notifier.reloading(time.monotonic())
        try:
            settings = await asyncio.to_thread(self._options.read)
            await application.reload(settings)
        except configuration.ConfigError as exc:
            _log.error("configuration refused; the old one stays", error=str(exc))
        except Exception:
            # Whatever it is, it is no reason to end, and leave every overlay.
            _log.exception("reading configuration and data again failed")
        else:
            _log.info("configuration and data read again")
        self._notifier.ready(application.summary())

    async def _next(self, *, hurry: bool = False) -> signal.Signals:
        """Return the next signal; with `hurry` one that says to end."""
        while True:
            number = await self._signals.get()
            if not hurry or number is not signal.SIGHUP:
                return number

    def _signalled(self, number: signal.Signals) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._signals.put_nowait(number)


def _path(text: str) -> Path:
    return Path(text).absolute()
