"""The engine: takes in what happened, says what has to be done.

One engine serves every overlay of the daemon. It does no input or output and owns no clock: time
is an argument, and `next_deadline` says when it wants to be told that time has passed.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Final, assert_never

from msgspec import Struct

from varpd.engine.adoption import Adoption
from varpd.engine.aging import Aging
from varpd.engine.commands import Command, ReportGuard, ReportPorts
from varpd.engine.drift import Drift
from varpd.engine.events import (
    Announced,
    CheckDue,
    DeadlinePassed,
    DefaultTargetSet,
    DhcpAnswered,
    EntryDeleted,
    EntrySet,
    Event,
    FramesPunted,
    GuardReported,
    InstanceStarted,
    InstanceStopped,
    Invalidated,
    LinksDrifted,
    LinksReady,
    LinksWrong,
    LocalAddressesChanged,
    LookupsAnswered,
    MacsForgotten,
    MacsLearned,
    NeighboursAnswered,
    OverlayAdded,
    OverlayChanged,
    OverlayRemoved,
    PortsSeen,
    RowsAdopted,
    RowsFound,
    RowsRefused,
    RowsTouched,
    TableFlushed,
    TableLost,
    TableRead,
    TablesDoubted,
    TargetsEnumerated,
    TargetSet,
    UsageReported,
)
from varpd.engine.forwarding import Forwarding
from varpd.engine.here import Locality
from varpd.engine.inquiries import Inquiries
from varpd.engine.overlay import Overlay, Shares
from varpd.engine.recheck import Pace
from varpd.engine.resolution import Resolution
from varpd.engine.settings import Settings, Totals
from varpd.engine.statements import Statements
from varpd.engine.sweep import Sweep
from varpd.provider.answers import Target
from varpd.targets.budget import Budget
from varpd.targets.census import AMISS, census
from varpd.targets.entries import origin_of, state_of, valid_of

CENSUS_SLICE: Final = 10_000
"""Entries counted at once: about a millisecond's work."""


class EntryView(Struct, frozen=True, gc=False):
    """One entry, for those who look at the table."""

    mac: bytes
    targets: tuple[Target, ...]
    """Empty unless a target is known."""

    state: str
    """``valid``, ``refreshing``, ``stale``, ``blocked``, ``negative`` or ``pending``."""

    origin: str
    """``plugin``, ``administrator``, or ``adopted``: it was found in the kernel."""

    since: float | None
    """When the target was learnt, on the clock that `Engine.handle` is given."""


class _Parts(Struct):
    """One overlay and those who take its events."""

    overlay: Overlay
    inquiries: Inquiries
    forwarding: Forwarding
    resolution: Resolution
    statements: Statements
    adoption: Adoption
    aging: Aging
    drift: Drift
    armed: float | None = None
    """The earliest deadline that the engine's heap holds for it."""


class Engine:
    """What varpd decides."""

    def __init__(self, totals: Totals = Totals(), secret: bytes = b"") -> None:  # noqa: B008
        """Begin without overlays.

        Args:
            totals: bounds over all overlays.
            secret: random bytes that the buckets of source MACs are chosen with.
        """
        self._secret = secret
        self._locality = Locality()
        self._waiting = Budget(totals.waiting)
        self._targets = Budget(totals.targets)
        self._lookups = Budget(totals.lookups)
        self._pace = Pace()
        self._overlays: dict[str, _Parts] = {}
        self._drifts: dict[str, tuple[Overlay, Drift]] = {}
        self.sweep = Sweep(self._drifts)
        """The round through all rows."""

        self._deadlines: list[tuple[float, str]] = []

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in one event and return what has to be done, in order.

        Events for an overlay that is not there are ignored.
        """
        out: list[Command] = []
        match event:
            case DeadlinePassed():
                self._deadline_passed(now, out)
            case OverlayAdded():
                self._add(event.overlay, event.settings)
            case LocalAddressesChanged():
                self._locality.addresses = event.addresses
                for parts in self._overlays.values():
                    parts.statements.relocate(now, out)
                    self._arm(parts)
            case CheckDue():
                self.sweep.take(event.count, out)
            case TablesDoubted():
                self.sweep.doubt()
            case _:
                parts_or_none = self._overlays.get(event.overlay)
                if parts_or_none is not None:
                    self._tell(parts_or_none, event, now, out)
                    self._arm(parts_or_none)
        return out

    def next_deadline(self) -> float | None:
        """Return when `DeadlinePassed` is next due, or None."""
        return self._deadlines[0][0] if self._deadlines else None

    # -- views ---------------------------------------------------------------------------------

    def entries(self, overlay: str) -> list[EntryView]:
        """Return what is known of the MACs of an overlay, in no order."""
        return list(self.each_entry(overlay))

    def each_entry(self, overlay: str) -> Iterator[EntryView]:
        """Yield the same one by one, as it was at the first; for whoever must not take long."""
        parts = self._overlays.get(overlay)
        if parts is None:
            return
        entries = parts.overlay.entries
        # Two lists of what is there cost a tenth of one list of pairs.
        for mac, entry in zip(list(entries), list(entries.values()), strict=True):
            valid, state = valid_of(entry), state_of(entry)
            yield EntryView(
                mac,
                () if valid is None else valid.targets,
                "stale" if valid is entry and valid.stale else state.value,
                origin_of(entry).value,
                None if valid is None else valid.since,
            )

    def overlay(self, name: str) -> Overlay | None:
        """Return what is kept of an overlay, for those who look and change nothing."""
        parts = self._overlays.get(name)
        return None if parts is None else parts.overlay

    def census(self, overlay: str) -> Iterator[Counter[str]]:
        """Yield how many entries an overlay has in each state, in parts that are to be added up.

        So are the MACs whose rows were last seen to be `AMISS`. Between two parts others may have
        their turn.
        """
        parts = self._overlays.get(overlay)
        if parts is None:
            return
        entries = list(parts.overlay.entries.values())
        for start in range(0, len(entries), CENSUS_SLICE):
            yield census(entries[start : start + CENSUS_SLICE])
        if amiss := parts.drift.amiss():
            yield Counter({AMISS: amiss})

    def remotes(self, overlay: str) -> set[Target]:
        """Return the targets that an overlay's frames are sent to, but for this host."""
        parts = self._overlays.get(overlay)
        if parts is None:
            return set()
        known = parts.overlay
        targets = set(known.uses) | (set() if known.default is None else {known.default})
        return {target for target in targets if not known.here.has(target)}

    def is_here(self, overlay: str, target: Target) -> bool:
        """Return whether a target of an overlay is this host."""
        parts = self._overlays.get(overlay)
        return parts is not None and parts.overlay.here.has(target)

    def knows(self, overlay: str, mac: bytes) -> bool:
        """Return whether an overlay has an entry for `mac`."""
        parts = self._overlays.get(overlay)
        return parts is not None and mac in parts.overlay.entries

    def default_target(self, overlay: str) -> Target | None:
        """Return the one target of a POINT overlay, if it is known."""
        parts = self._overlays.get(overlay)
        return None if parts is None else parts.overlay.default

    def counters(self, overlay: str) -> dict[str, int]:
        """Return what has been counted for an overlay, by the names in `varpd.engine.overlay`."""
        parts = self._overlays.get(overlay)
        return {} if parts is None else dict(parts.overlay.counters)

    def waiting(self, overlay: str) -> int:
        """Return how many bytes of frames wait in an overlay."""
        parts = self._overlays.get(overlay)
        return 0 if parts is None else parts.overlay.shares.waiting.used

    def in_progress(self, overlay: str) -> int:
        """Return how many questions to the plugin of an overlay have no final answer yet."""
        parts = self._overlays.get(overlay)
        return 0 if parts is None else parts.overlay.shares.lookups.used

    # -- events --------------------------------------------------------------------------------

    def _add(self, name: str, settings: Settings) -> None:
        if name in self._overlays:
            raise ValueError(f"overlay {name!r} is there already")
        limits = settings.limits
        shares = Shares(
            self._waiting.open(limits.waiting),
            self._targets.open(limits.targets),
            self._lookups.open(limits.lookups),
        )
        overlay = Overlay(name, settings, shares, self._locality, self._secret)
        inquiries = Inquiries(overlay)
        forwarding = Forwarding(overlay, inquiries)
        resolution = Resolution(overlay, forwarding, inquiries, self._pace)
        adoption = Adoption(overlay, resolution)
        drift = Drift(overlay)
        self._drifts[name] = (overlay, drift)
        self._overlays[name] = _Parts(
            overlay,
            inquiries,
            forwarding,
            resolution,
            Statements(overlay, resolution, adoption),
            adoption,
            Aging(overlay, resolution, inquiries, drift),
            drift,
        )

    def _remove(self, parts: _Parts) -> None:
        del self._overlays[parts.overlay.name], self._drifts[parts.overlay.name]
        shares = parts.overlay.shares
        for share in (shares.waiting, shares.targets, shares.lookups):
            share.close()

    def _tell(self, parts: _Parts, event: Event, now: float, out: list[Command]) -> None:
        """Hand an event to who takes it; the frequent ones come first."""
        match event:
            case FramesPunted():
                parts.forwarding.punted(event.packets, now, out, event.arrived)
                parts.aging.make_room(out)
            case LookupsAnswered():
                parts.resolution.answered(event.queries, event.answers, now, out)
            case NeighboursAnswered():
                parts.inquiries.neighbours_answered(event.questions, event.answers, now, out)
            case DhcpAnswered():
                parts.inquiries.dhcp_answered(event.queries, event.answers, now, out)
            case UsageReported():
                parts.aging.used(event.macs, event.idle, now, out)
            case RowsFound():
                parts.drift.found(event.macs, event.found, now, out)
            case RowsTouched():
                parts.drift.touched(event.written, event.removed, out)
            case OverlayChanged():
                ttl = parts.overlay.settings.ttl
                parts.overlay.configure(event.settings)
                parts.statements.relocate(now, out)
                if event.settings.ttl != ttl:
                    parts.aging.retime(now)
                parts.drift.settings_changed(out)
            case OverlayRemoved():
                self._remove(parts)
            case InstanceStarted():
                parts.overlay.running = True
                parts.resolution.rechecks.start(now)
                parts.resolution.verification.begin(list(parts.overlay.learned), now, out)
            case InstanceStopped():
                parts.overlay.running = False
                parts.inquiries.stop()
                parts.resolution.stop(now, out)
            case RowsAdopted():
                parts.adoption.adopt(event.rows, event.torn, now, out)
            case LinksReady():
                parts.adoption.end()
            case GuardReported():
                out.append(ReportGuard(event.overlay, event.message))
            case PortsSeen():
                out.append(ReportPorts(event.overlay, event.ports))
            case _:
                self._said(parts.statements, parts.drift, event, now, out)

    def _said(
        self, said: Statements, drift: Drift, event: Event, now: float, out: list[Command]
    ) -> None:
        """Hand on what was said unasked."""
        match event:
            case TargetSet():
                said.set_target(event.mac, event.target, now, out)
            case Invalidated():
                said.invalidate(event.mac, now, out)
            case TargetsEnumerated():
                said.enumerated(event.pairs, now, out)
            case Announced():
                said.announced(event, out)
            case DefaultTargetSet():
                said.set_default(event.target, out)
            case EntrySet():
                said.set_entry(event.mac, event.target, now, out)
            case EntryDeleted():
                said.delete_entry(event.mac, out)
            case TableFlushed():
                said.flush(out)
            case MacsLearned():
                said.learned(event.macs, now, out)
            case MacsForgotten():
                said.forgotten(event.macs)
            case RowsRefused():
                said.refused(event.macs, event.error, now, out)
            case TableRead():
                drift.read(event.macs, out)
            case TableLost():
                drift.lost(now, out)
            case LinksDrifted():
                drift.links_drifted(event, out)
            case LinksWrong():
                drift.links_wrong(event.message, out)
            case (
                FramesPunted()
                | LookupsAnswered()
                | NeighboursAnswered()
                | DhcpAnswered()
                | UsageReported()
                | RowsAdopted()
                | LinksReady()
                | GuardReported()
                | PortsSeen()
                | RowsFound()
                | RowsTouched()
                | CheckDue()
                | TablesDoubted()
                | OverlayAdded()
                | OverlayChanged()
                | OverlayRemoved()
                | InstanceStarted()
                | InstanceStopped()
                | LocalAddressesChanged()
                | DeadlinePassed()
            ):
                raise AssertionError(f"{type(event).__name__} is taken elsewhere")
            case _:
                assert_never(event)

    # -- time ----------------------------------------------------------------------------------

    def _deadline_passed(self, now: float, out: list[Command]) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            _, name = heapq.heappop(self._deadlines)
            parts = self._overlays.get(name)
            if parts is not None:
                parts.armed = None
                parts.aging.passed(now, out)
                self._arm(parts)

    def _arm(self, parts: _Parts) -> None:
        """Have the heap hold the overlay's next deadline; late ones stay and do no harm."""
        due = parts.overlay.next_deadline()
        if due is not None and (parts.armed is None or due < parts.armed):
            parts.armed = due
            heapq.heappush(self._deadlines, (due, parts.overlay.name))
