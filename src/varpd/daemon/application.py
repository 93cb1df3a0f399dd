"""The daemon put together: every part made once and handed to those that need it."""

import asyncio
import gc
import os
import secrets
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from varpd.control.server import ControlServer
from varpd.daemon import catalogue, config, log, rights, views
from varpd.daemon.creation import Surroundings
from varpd.daemon.instance import Instance
from varpd.daemon.journal import Journal
from varpd.daemon.lag import LoopLag
from varpd.daemon.loader import Registry
from varpd.daemon.lookups import Meters
from varpd.daemon.metrics import Metrics
from varpd.daemon.overlay import Plan
from varpd.daemon.overlays import Overlays
from varpd.daemon.recent import Recent
from varpd.daemon.restoring import Restoration
from varpd.daemon.runner import Runner
from varpd.daemon.service import VERSION, DaemonService
from varpd.daemon.shared import SharedObjects
from varpd.daemon.sources import Sources
from varpd.daemon.sweeper import Sweeper
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.datapath.base import Datapath, Sink
from varpd.datapath.linux.keeping import Keeper
from varpd.engine.engine import Engine
from varpd.provider.properties import Property
from varpd.store.base import Store

SECRET_SIZE: Final = 16
"""Bytes of the key that guests must not guess, by which their MACs share limits."""

_log: Final = structlog.get_logger()


DatapathMaker = Callable[[Sink], Datapath]


def datapath_maker(section: config.Daemon, keeper: Keeper | None = None) -> DatapathMaker:
    """Return what makes the configured datapath; only that one is imported.

    `keeper` keeps its punt sockets for the next daemon; nobody does unless given.
    """
    if section.datapath == "memory":
        from varpd.datapath.memory import MemoryDatapath, MemoryUnderlay

        return lambda sink: MemoryDatapath(sink, MemoryUnderlay(), section.memory_addresses)
    from varpd.datapath.linux.datapath import LinuxDatapath

    return partial(LinuxDatapath, keeper=keeper)


class Application:
    """The daemon, from the listening socket to the overlays.

    It is made and used inside the event loop.
    """

    def __init__(
        self,
        settings: config.Config,
        registry: Registry,
        store: Store,
        boot: str,
        make_datapath: DatapathMaker | None = None,
        recent: Recent | None = None,
    ) -> None:
        """Take the configuration, the plugins and the store.

        Args:
            settings: the configuration.
            registry: the plugins.
            store: what survives a restart.
            boot: which boot of the host this is.
            make_datapath: makes the datapath; the configured one unless given.
            recent: keeps the last lines of the log for reports.
        """
        self._config = settings
        self._store = store
        self._tasks = Tasks()
        self._shared = SharedObjects()
        self._watchdog = Watchdog()
        self._meters = Meters()
        engine = Engine(settings.totals.totals(), secrets.token_bytes(SECRET_SIZE))
        make = make_datapath or datapath_maker(settings.daemon)
        self._runner = Runner(engine, make, asyncio.get_running_loop())
        self._journal = Journal(asyncio.get_running_loop().time)
        self._runner.observers.append(self._journal)
        self._sweeper = Sweeper(engine.sweep, self._runner.feed, asyncio.get_running_loop())
        datapath = self._runner.datapath
        surroundings = Surroundings(
            plugins=registry.plugins,
            own=_own_properties(datapath.name),
            defaults=settings.defaults,
            datapath=datapath.name,
            encapsulations=datapath.encapsulations,
        )
        self._overlays = Overlays(
            self._runner, surroundings, self._instance, self._tasks, store, boot
        )
        self._sources = Sources(self._overlays.only_from_targets, engine, datapath.follow)
        self._restoration = Restoration(self._overlays, datapath, store, self._tasks, boot)
        self._lag = LoopLag()
        metrics = Metrics(VERSION, self._overlays, self._runner, engine, self._meters, self._lag)
        self._service = DaemonService(
            self._overlays,
            self._restoration,
            store,
            self._runner,
            engine,
            registry,
            self._journal,
            metrics,
            settings,
            recent,
        )
        self._server = ControlServer(self._service, rights.access_of(settings.access))

    @property
    def service(self) -> DaemonService:
        """What the control socket does."""
        return self._service

    @property
    def datapath(self) -> Datapath:
        """What carries frames."""
        return self._runner.datapath

    def summary(self) -> str:
        """Return in one line how the overlays are."""
        return views.summary(self._overlays.defined())

    async def start(self, listening: socket.socket) -> None:
        """Get ready, then answer on a listening control socket; `restore` has to follow.

        Raises:
            DatapathError: it cannot work here.
            StoreError: what is stored cannot be read.
        """
        await self._runner.datapath.start()
        self._watchdog.start()
        self._lag.start()
        await self._restoration.load()
        await self._server.start(listening)
        self._sweeper.start()
        self._sources.start()

    async def restore(self, progress: Callable[[int, int], None]) -> None:
        """Bring all overlays to work, or to a reason why not; then take changes.

        `progress` is told how many of how many have been tried.
        """
        await self._restoration.restore(progress)
        self._service.open()
        # What was made so far stays; the collector need not look at it again and again.
        gc.collect()
        gc.freeze()

    async def reload(self, settings: config.Config) -> None:
        """Follow a new configuration as far as that goes, and have plugins read their data."""
        left = config.restart_needed(self._config, settings)
        if left:
            _log.warning("changes that need a restart", keys=left)
        self._config = self._service.config = settings
        log.set_level(settings.daemon.log_level)
        self._overlays.set_defaults(settings.defaults)
        self._server.set_access(await asyncio.to_thread(rights.access_of, settings.access))
        await self._restoration.reload()
        await self._overlays.reload()

    async def stop(self) -> None:
        """End everything: no more requests, states saved, datapath let go; links and rows stay."""
        self._service.close()
        await self._server.stop()
        await self._restoration.end()
        # Before the plugins: what is punted from now on waits for the next daemon, where the
        # service manager keeps the sockets, instead of meeting an instance that answers no more.
        await self._runner.datapath.stop()
        await self._overlays.end()
        self._sweeper.stop()
        self._sources.stop()
        await self._tasks.end()
        self._watchdog.stop()
        self._lag.stop()
        self._runner.close()

    def _instance(self, plan: Plan) -> Instance:
        made: Instance | None = None

        def changed() -> None:
            if made is not None:
                self._journal.causes(plan.name, made.causes)

        made = Instance(
            plugin=plan.plugin,
            overlay=plan.name,
            vnetid=plan.vnetid,
            encapsulation=plan.encapsulation,
            local=plan.local(),
            settings=plan.instance_settings(),
            tasks=self._tasks,
            emit=self._runner.feed,
            shared=self._shared,
            changed=changed,
            watchdog=self._watchdog,
            meter=self._meters.of_instance(plan.plugin.name),
            keep=partial(self._store.save_state, plan.name),
        )
        return made


def _own_properties(datapath: str) -> tuple[Property, ...]:
    if datapath != "linux":
        return catalogue.declarations()
    return catalogue.declarations(catalogue.default_targets(os.uname().release))
