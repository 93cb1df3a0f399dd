"""What is asked for over the control socket, done.

When a changing method returns, the change is in force; when it raises, nothing has changed.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Final, Protocol

import structlog

from varpd.control.messages import (
    ControlError,
    CreateOverlay,
    ErrorCode,
    HealthInfo,
    OverlayInfo,
    PluginsInfo,
    PropertyInfo,
    TargetInfo,
)
from varpd.daemon import catalogue, entries, views
from varpd.daemon.config import Config
from varpd.daemon.definitions import Defined
from varpd.daemon.guest_mtu import guest_mtu
from varpd.daemon.insight import Insight, Portraits
from varpd.daemon.journal import Journal
from varpd.daemon.loader import Registry
from varpd.daemon.measuring import Measuring
from varpd.daemon.metrics import Metrics
from varpd.daemon.overlay import Overlay
from varpd.daemon.overlays import Overlays
from varpd.daemon.port_changes import PortChanges
from varpd.daemon.recent import Recent
from varpd.daemon.refusals import refusal
from varpd.daemon.reporting import Known, Reporting
from varpd.daemon.restoring import Restoration
from varpd.daemon.runner import Runner
from varpd.daemon.table_changes import TableChanges
from varpd.daemon.waiting import Waiting
from varpd.engine.settings import Mode
from varpd.store.base import Store, StoreError

log = structlog.get_logger()

VERSION: Final = version("varpd")


class Tables(Known, Portraits, Protocol):
    """The tables of the engine."""

    def each_entry(self, overlay: str) -> Iterable[entries.Entry]:
        """Yield the table of an overlay as it is at the first entry."""

    def knows(self, overlay: str, mac: bytes) -> bool:
        """Return whether an overlay has an entry for a MAC."""


class DaemonService(Insight, Measuring, Reporting, PortChanges):
    """The daemon as its control socket sees it; a `varpd.control.service.Service`."""

    def __init__(
        self,
        overlays: Overlays,
        restoration: Restoration,
        store: Store,
        runner: Runner,
        tables: Tables,
        registry: Registry,
        journal: Journal,
        metrics: Metrics,
        config: Config | None = None,
        recent: Recent | None = None,
    ) -> None:
        """Take all that it is done with.

        Args:
            overlays: the overlays.
            restoration: those of them that are not at work.
            store: what survives a restart.
            runner: serves them.
            tables: the engine's.
            registry: the plugins.
            journal: remembers what happened.
            metrics: collects what is counted.
            config: told in reports.
            recent: has the last lines of the log, for reports.
        """
        Insight.__init__(self, overlays, runner, tables, journal)
        Measuring.__init__(self, overlays, runner, metrics)
        Reporting.__init__(
            self, overlays, runner, tables, journal, config or Config(), recent or Recent()
        )
        PortChanges.__init__(self, overlays, restoration, store, runner, self._check_open)
        self._table = TableChanges(overlays, restoration, store, runner, tables)
        self._tables = tables
        self._registry = registry
        self._closed: str | None = "varpd starts"

    def open(self) -> None:
        """Begin to take changes."""
        self._closed = None

    def close(self) -> None:
        """Take no more changes; those who listen hear no more."""
        self._closed = "varpd ends"
        self.end_events()

    async def create(self, request: CreateOverlay) -> OverlayInfo:
        """Make an overlay, or take over the links of one that a killed daemon left."""
        self._check_open()
        overlay = await self._overlays.create(request)
        log.info(
            "overlay created",
            overlay=overlay.name,
            vnetid=overlay.plan.vnetid,
            search=overlay.plan.plugin.name,
        )
        _warn_of_large_table(overlay)
        return await self._info(overlay)

    async def delete(self, name: str) -> None:
        """Remove an overlay, its links and rows."""
        self._check_open()
        if not await self._restoration.delete(name):
            await self._overlays.remove(self._overlays.find(name))
        log.info("overlay deleted", overlay=name)

    async def set_properties(self, name: str, values: Mapping[str, str | None]) -> OverlayInfo:
        """Set properties of an overlay, all or none; None goes back to the default."""
        self._check_open()
        if not await self._restoration.set_properties(name, values):
            overlay = self._overlays.find(name)
            await self._overlays.set_properties(overlay, values)
            if catalogue.LIMIT_TARGETS in values:
                _warn_of_large_table(overlay)
        log.info("properties set", overlay=name, properties=sorted(values))
        return await self._info(self._overlays.get(name))

    async def forget_state(self, name: str) -> OverlayInfo:
        """Forget what the plugin saved, and start it from its properties alone."""
        self._check_open()
        if not await self._restoration.forget_state(name):
            overlay = self._overlays.find(name)
            async with overlay.changing():
                overlay.check_works()
                try:
                    await overlay.instance.forget_state()
                except StoreError as exc:
                    raise refusal(exc) from exc
        log.info("saved state forgotten", overlay=name)
        return await self._info(self._overlays.get(name))

    async def set_entry(self, name: str, mac: str, target: str) -> None:
        """Say where a MAC is (``IP:PORT``, ``[IPV6]:PORT``), or that frames to it are dropped."""
        self._check_open()
        await self._table.set_entry(name, mac, target)

    async def delete_entry(self, name: str, mac: str) -> None:
        """Forget a MAC, be it the administrator's or the plugin's word."""
        self._check_open()
        await self._table.delete_entry(name, mac)

    async def flush(self, name: str) -> None:
        """Forget all that the plugin said; the administrator's entries stay."""
        self._check_open()
        await self._table.flush(name)

    async def overlays(self, names: Sequence[str]) -> list[OverlayInfo]:
        """Return the named overlays, or all in the order of their names."""
        found = [self._overlays.get(name) for name in names] if names else self._overlays.defined()
        return [await self._info(overlay) for overlay in found]

    async def properties(self, name: str) -> list[PropertyInfo]:
        """Return an overlay's properties: varpd's own, the encapsulation's, the plugin's."""
        overlay = self._overlays.get(name)
        if isinstance(overlay, Waiting):
            return views.waiting_infos(overlay, self._overlays.here)
        return views.property_infos(overlay, await self._guest_mtu(overlay))

    async def targets(self, name: str) -> list[TargetInfo]:
        """Return an overlay's table in the order of the MACs; none if it is not at work."""
        overlay = self._overlays.get(name)
        if isinstance(overlay, Waiting):
            return []
        if overlay.plan.mode is Mode.POINT:
            return entries.point(name, overlay.instance.default_target)
        now = asyncio.get_running_loop().time()
        return await entries.table(name, self._tables.each_entry(name), now)

    async def plugins(self) -> PluginsInfo:
        """Return what is loaded, what was refused, and the encapsulations."""
        return views.plugins_info(self._registry, self._runner.datapath)

    async def health(self) -> HealthInfo:
        """Return whether the daemon works at all."""
        faults = self._runner.faults.total()
        return self._health(ok=True, detail=f"{faults} internal errors" if faults else None)

    async def ready(self) -> HealthInfo:
        """Return whether every overlay that should be there has been brought up or is degraded."""
        return self._health(ok=self._closed is None, detail=self._closed)

    async def _info(self, overlay: Defined) -> OverlayInfo:
        if isinstance(overlay, Waiting):
            return views.waiting_info(overlay, self._overlays.here)
        return views.overlay_info(overlay, await self._guest_mtu(overlay))

    async def _guest_mtu(self, overlay: Overlay) -> int | None:
        if overlay.links is None:
            return None
        remotes = self._tables.remotes(overlay.name)
        return await guest_mtu(self._runner.datapath, overlay.link(), overlay.links, remotes)

    def _check_open(self) -> None:
        if self._closed is not None:
            raise ControlError(ErrorCode.BUSY, f"{self._closed}; nothing can be changed now")

    def _health(self, *, ok: bool, detail: str | None) -> HealthInfo:
        found = self._overlays.defined()
        return HealthInfo(
            ok=ok,
            version=VERSION,
            overlays=len(found),
            degraded=sum(views.state_of(overlay) != "online" for overlay in found),
            detail=detail,
        )


def _warn_of_large_table(overlay: Overlay) -> None:
    """Say so where a table may grow beyond what the kernel is known to bear."""
    (usual,) = [item for item in overlay.plan.outer if item.name == catalogue.LIMIT_TARGETS]
    targets = overlay.plan.settings().limits.targets
    if isinstance(usual.default, int) and targets > usual.default:
        log.warning(
            "a table larger than is usual on this kernel may slow it down",
            overlay=overlay.name,
            targets=targets,
            usual=usual.default,
        )
