"""What time does to entries: time-outs, ttl, holds that end, eviction."""

from itertools import islice
from typing import Final, assert_never

from varpd.engine.agenda import (
    CheckUse,
    ClearRefusals,
    EndHold,
    EndWindow,
    Recheck,
    Rewrite,
    Verify,
)
from varpd.engine.commands import AskUsage, CancelQuestions, Command
from varpd.engine.drift import Drift
from varpd.engine.inquiries import Inquiries
from varpd.engine.overlay import Overlay
from varpd.engine.resolution import NEAR_END, RETRY_MIN, Resolution
from varpd.engine.statements import REFUSED_RETRY
from varpd.targets.entries import Negative, Valid, active, is_administrators, is_still

ROOM_WANTED: Final = 0.02
"""The part of a table that is kept free, so that a new MAC need not wait for an eviction."""

CANDIDATES: Final = 256
"""Entries looked at for eviction at once; bounds the time that it takes."""

IDLE: Final = 60.0
"""Seconds without a frame after which an entry may be evicted."""


class Aging:
    """Watches the time for one overlay."""

    def __init__(
        self, overlay: Overlay, resolution: Resolution, inquiries: Inquiries, drift: Drift
    ) -> None:
        """Take the overlay, and who acts when a time has come."""
        self._overlay = overlay
        self._resolution = resolution
        self._inquiries = inquiries
        self._drift = drift
        self._ending: dict[bytes, CheckUse] = {}
        self._evicting: frozenset[bytes] = frozenset()

    def passed(self, now: float, out: list[Command]) -> None:
        """Do what is due."""
        overlay = self._overlay
        while overlay.waits:
            key, due = next(iter(overlay.waits.items()))
            if due > now:
                break
            del overlay.waits[key]
            if isinstance(key, bytes):
                self._resolution.time_out(key, now, out)
            else:
                self._inquiries.time_out(key, out)
        overdue = []
        while overlay.deferred:
            question, due = next(iter(overlay.deferred.items()))
            if due > now:
                break
            del overlay.deferred[question]
            overdue.append(question)
        if overdue:
            out.append(CancelQuestions(overlay.name, overdue))
        while (action := overlay.agenda.take(now)) is not None:
            match action:
                case EndHold():
                    self._end_hold(action.mac, now)
                case CheckUse():
                    self._check_use(action, out)
                case Verify():
                    self._resolution.verification.again(now, out)
                case Recheck():
                    self._resolution.rechecks.turn(action.due, now, out)
                case ClearRefusals():
                    if now - overlay.refused_at >= 3 * REFUSED_RETRY:
                        overlay.complain("refused", None, out)
                case Rewrite():
                    self._drift.rewrite(now, out)
                case EndWindow():
                    self._drift.end_window(out)
                case _:
                    assert_never(action)

    def make_room(self, out: list[Command]) -> None:
        """Begin to evict if the table is nearly full."""
        overlay = self._overlay
        wanted = max(1, int(overlay.settings.limits.targets * ROOM_WANTED))
        if self._evicting or overlay.shares.targets.room() >= wanted:
            return
        candidates = [
            mac
            for mac, entry in islice(overlay.entries.items(), 4 * CANDIDATES)
            if isinstance(entry, Valid) and not is_administrators(entry)
        ][:CANDIDATES]
        if candidates:
            self._evicting = frozenset(candidates)
            out.append(AskUsage(overlay.name, candidates))

    def used(
        self, macs: list[bytes], idle: list[float | None], now: float, out: list[Command]
    ) -> None:
        """Take what the kernel says of how long ago rows were used."""
        expired: list[bytes] = []
        evicted: list[bytes] = []
        candidates = [
            (mac, seconds)
            for mac, seconds in zip(macs, idle, strict=True)
            if mac in self._evicting and mac not in self._ending
        ]
        for mac, seconds in zip(macs, idle, strict=True):
            check = self._ending.pop(mac, None)
            if check is not None:
                self._end(mac, check, seconds, now, expired, out)
        if candidates:
            self._evicting = frozenset()
            self._evict(candidates, evicted)
        self._overlay.remove_rows(expired, out, "expired")
        self._overlay.remove_rows(evicted, out, "evicted")

    def retime(self, now: float) -> None:
        """Have every target checked by the ttl that there is now."""
        overlay = self._overlay
        if overlay.settings.ttl is None:
            return
        learnt: dict[Valid, list[bytes]] = {}
        for mac, entry in overlay.entries.items():
            if isinstance(entry, Valid) and not is_administrators(entry):
                learnt.setdefault(entry, []).append(mac)
        for valid, macs in learnt.items():
            self._resolution.expire(valid, macs, now)

    def _end_hold(self, mac: bytes, now: float) -> None:
        overlay = self._overlay
        entry = overlay.entries.get(mac)
        if not isinstance(entry, Negative):
            return
        holds = active(entry.holds, now)
        if holds or entry.query is not None:
            overlay.put(mac, Negative(holds, entry.query))
        else:
            overlay.forget(mac)

    def _check_use(self, check: CheckUse, out: list[Command]) -> None:
        entries = self._overlay.entries
        macs = [mac for mac in check.macs if is_still(entries.get(mac), check.valid)]
        for mac in macs:
            self._ending[mac] = check
        if macs:
            out.append(AskUsage(self._overlay.name, macs))

    def _end(
        self,
        mac: bytes,
        check: CheckUse,
        idle: float | None,
        now: float,
        gone: list[bytes],
        out: list[Command],
    ) -> None:
        """Decide about a target near its end."""
        overlay = self._overlay
        ttl = overlay.settings.ttl
        entry = overlay.entries.get(mac)
        if ttl is None or not is_still(entry, check.valid):
            return
        last_part = ttl * NEAR_END
        if idle is not None and idle <= last_part:
            if not (isinstance(entry, Valid) and self._resolution.refresh(mac, entry, out)):
                again = CheckUse(check.valid, (mac,), final=True)
                overlay.agenda.plan(now + max(RETRY_MIN, last_part), again)
        elif check.final:
            overlay.forget(mac)
            overlay.counters["expired"] += 1
            gone.append(mac)
        else:
            overlay.agenda.plan(now + last_part, CheckUse(check.valid, (mac,), final=True))

    def _evict(self, candidates: list[tuple[bytes, float | None]], gone: list[bytes]) -> None:
        """Take away candidates that carry nothing; the others come last in the next round."""
        overlay = self._overlay
        idle = [mac for mac, seconds in candidates if seconds is None or seconds >= IDLE]
        if not idle:
            # All are in use: the longer half unused goes, since something must.
            ordered = sorted(candidates, key=lambda item: item[1] or 0.0, reverse=True)
            idle = [mac for mac, _ in ordered[: max(1, len(ordered) // 2)]]
        for mac in idle:
            if isinstance(overlay.entries.get(mac), Valid):
                overlay.forget(mac)
                overlay.counters["evicted"] += 1
                gone.append(mac)
        for mac, _ in candidates:
            entry = overlay.entries.get(mac)
            if isinstance(entry, Valid):
                del overlay.entries[mac]
                overlay.entries[mac] = entry
