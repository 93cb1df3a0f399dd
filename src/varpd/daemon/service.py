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
from varpd.daemon.guest_mtu import guest_mtu
from varpd.daemon.insight import Insight, Portraits
from varpd.daemon.journal import Journal
from varpd.daemon.loader import Registry
from varpd.daemon.measuring import Measuring
from varpd.daemon.metrics import Metrics
from varpd.daemon.overlay import Overlay
from varpd.daemon.overlays import Overlays
from varpd.daemon.recent import Recent
from varpd.daemon.reporting import Known, Reporting
from varpd.daemon.runner import Runner
from varpd.engine.events import EntryDeleted, EntrySet, TableFlushed
from varpd.engine.settings import Mode
from varpd.provider.plugin import StopReason

log = structlog.get_logger()

VERSION: Final = version("varpd")


class Tables(Known, Portraits, Protocol):
    """The tables of the engine."""

    def each_entry(self, overlay: str) -> Iterable[entries.Entry]:
        """Yield the table of an overlay as it is at the first entry."""

    def knows(self, overlay: str, mac: bytes) -> bool:
        """Return whether an overlay has an entry for a MAC."""


class DaemonService(Insight, Measuring, Reporting):
    """The daemon as its control socket sees it; a `varpd.control.service.Service`."""

    def __init__(
        self,
        overlays: Overlays,
        runner: Runner,
        tables: Tables,
        registry: Registry,
        journal: Journal,
        metrics: Metrics,
        config: Config | None = None,
        recent: Recent | None = None,
    ) -> None:
        """Take the overlays, the runner that serves them, the engine's tables, the plugins.

        `journal` remembers what happened, `metrics` collects what is counted. Reports tell
        `config`, and the lines of `recent`.
        """
        Insight.__init__(self, overlays, runner, tables, journal)
        Measuring.__init__(self, overlays, runner, metrics)
        Reporting.__init__(
            self, overlays, runner, tables, journal, config or Config(), recent or Recent()
        )
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
        await self._overlays.remove(self._overlays.find(name), StopReason.DELETED)
        log.info("overlay deleted", overlay=name)

    async def set_properties(self, name: str, values: Mapping[str, str | None]) -> OverlayInfo:
        """Set properties of an overlay, all or none; None goes back to the default."""
        self._check_open()
        overlay = self._overlays.find(name)
        await self._overlays.set_properties(overlay, values)
        log.info("properties set", overlay=name, properties=sorted(values))
        if catalogue.LIMIT_TARGETS in values:
            _warn_of_large_table(overlay)
        return await self._info(overlay)

    async def set_entry(self, name: str, mac: str, target: str) -> None:
        """Say where a MAC is (``IP:PORT``, ``[IPV6]:PORT``), or that frames to it are dropped."""
        overlay = self._with_table(name)
        async with overlay.changing():
            overlay.check_works()
            address = entries.parse_mac(mac)
            settings = overlay.plan.settings()
            parsed = entries.parse_target(target, settings.kinds, settings.family)
            self._runner.feed(EntrySet(name, bytes(address), parsed))
        log.info("entry set", overlay=name, mac=str(address), target=target)

    async def delete_entry(self, name: str, mac: str) -> None:
        """Forget a MAC, be it the administrator's or the plugin's word."""
        overlay = self._with_table(name)
        async with overlay.changing():
            overlay.check_works()
            address = bytes(entries.parse_mac(mac))
            if not self._tables.knows(name, address):
                message = f"overlay {name} has no entry for {address.hex(':')}"
                raise ControlError(ErrorCode.NOT_FOUND, message, "mac")
            self._runner.feed(EntryDeleted(name, address))
        log.info("entry deleted", overlay=name, mac=address.hex(":"))

    async def flush(self, name: str) -> None:
        """Forget all that the plugin said; the administrator's entries stay."""
        overlay = self._with_table(name)
        async with overlay.changing():
            overlay.check_works()
            self._runner.feed(TableFlushed(name))
        log.info("table flushed", overlay=name)

    async def overlays(self, names: Sequence[str]) -> list[OverlayInfo]:
        """Return the named overlays, or all in the order of their names."""
        found = [self._overlays.find(name) for name in names] if names else self._overlays.all()
        return [await self._info(overlay) for overlay in found]

    async def properties(self, name: str) -> list[PropertyInfo]:
        """Return an overlay's properties: varpd's own, the encapsulation's, the plugin's."""
        overlay = self._overlays.find(name)
        return views.property_infos(overlay, await self._guest_mtu(overlay))

    async def targets(self, name: str) -> list[TargetInfo]:
        """Return an overlay's table in the order of the MACs."""
        overlay = self._overlays.find(name)
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

    async def _info(self, overlay: Overlay) -> OverlayInfo:
        return views.overlay_info(overlay, await self._guest_mtu(overlay))

    async def _guest_mtu(self, overlay: Overlay) -> int | None:
        if overlay.links is None:
            return None
        remotes = self._tables.remotes(overlay.name)
        return await guest_mtu(self._runner.datapath, overlay.link(), overlay.links, remotes)

    def _check_open(self) -> None:
        if self._closed is not None:
            raise ControlError(ErrorCode.BUSY, f"{self._closed}; nothing can be changed now")

    def _with_table(self, name: str) -> Overlay:
        """Return an overlay that has a table to change."""
        self._check_open()
        overlay = self._overlays.find(name)
        if overlay.plan.mode is Mode.POINT:
            search = overlay.plan.plugin.name
            message = f"overlay {name} has no table: {search} has one target for everything"
            raise ControlError(ErrorCode.UNSUPPORTED, message)
        return overlay

    def _health(self, *, ok: bool, detail: str | None) -> HealthInfo:
        found = self._overlays.all()
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
