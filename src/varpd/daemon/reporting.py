"""The part of the daemon's service that tells how everything is, for `doctor` and `report`."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

from varpd.control.diagnosis import EVENTS_MAX, TARGETS_MAX, Diagnosis, OverlayReport, Report
from varpd.control.messages import (
    ControlError,
    EventInfo,
    HealthInfo,
    OverlayInfo,
    PluginsInfo,
    PropertyInfo,
    TargetInfo,
)
from varpd.daemon import examination, happenings, report
from varpd.daemon.config import Config
from varpd.daemon.journal import Journal
from varpd.daemon.overlays import Overlays
from varpd.daemon.recent import Recent
from varpd.daemon.runner import Runner
from varpd.provider.answers import Target


class Known(Protocol):
    """What the engine knows."""

    def remotes(self, overlay: str) -> Iterable[Target]:
        """Return the targets of an overlay but for this host."""

    def counters(self, overlay: str) -> dict[str, int]:
        """Return what was counted of an overlay, by name."""


class Reporting(ABC):
    """Makes diagnoses and reports of what its other half shows."""

    def __init__(
        self,
        overlays: Overlays,
        runner: Runner,
        known: Known,
        journal: Journal,
        config: Config,
        recent: Recent,
    ) -> None:
        """Take what is looked at, what remembers, what was configured, what keeps log lines."""
        self.config = config
        """The configuration in force."""
        self._overlays = overlays
        self._runner = runner
        self._known = known
        self._story = journal.story
        self._recent = recent

    async def diagnosis(self) -> Diagnosis:
        """Return what only the daemon knows of what may be wrong."""
        working = {overlay.name: overlay for overlay in self._overlays.all()}
        overlays = [(working.get(info.name), info) for info in await self.overlays([])]
        return await examination.examine(
            await self.ready(),
            overlays,
            await self.plugins(),
            self._runner.datapath,
            self._known,
        )

    async def report(self) -> Report:
        """Return what belongs into a bug report."""
        libraries = await asyncio.to_thread(report.libraries)
        found = await self.diagnosis()
        told = []
        for name in report.order(found):
            with suppress(ControlError):  # it was deleted meanwhile
                told.append(await self._report(name))
        return report.make(
            self.config,
            found,
            await self.plugins(),
            told,
            dict(self._runner.faults),
            self._recent,
            libraries,
        )

    @abstractmethod
    async def overlays(self, names: Sequence[str]) -> list[OverlayInfo]:
        """Return what is shown of the overlays that are named, or of all that are defined."""

    @abstractmethod
    async def properties(self, name: str) -> list[PropertyInfo]:
        """Return an overlay's properties."""

    @abstractmethod
    async def targets(self, name: str) -> list[TargetInfo]:
        """Return an overlay's table."""

    @abstractmethod
    async def plugins(self) -> PluginsInfo:
        """Return what is loaded and what was refused."""

    @abstractmethod
    async def ready(self) -> HealthInfo:
        """Return whether everything has been brought up."""

    async def _report(self, name: str) -> OverlayReport:
        overlay = self._overlays.find(name)
        targets = await self.targets(name)
        rows = None
        if len(targets) <= report.ROWS_ASKED and overlay.links is not None:
            rows = len(await self._runner.datapath.dump(name))
        return OverlayReport(
            name=name,
            properties=tuple(report.hide(item) for item in await self.properties(name)),
            counters=self._known.counters(name),
            instance=overlay.instance.counters,
            targets=tuple(targets[:TARGETS_MAX]),
            targets_total=len(targets),
            events=self._last_events(name),
            rows=rows,
        )

    def _last_events(self, name: str) -> tuple[EventInfo, ...]:
        epoch = time.time() - asyncio.get_running_loop().time()
        last = [*islice(self._story(name), EVENTS_MAX)]
        told = [info for record in reversed(last) for info in happenings.infos(name, record, epoch)]
        return tuple(told[-EVENTS_MAX:])
