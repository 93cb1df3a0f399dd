"""What an answer of the plugin does to the entry that it is for."""

from typing import Final, assert_never

from msgspec import structs

from varpd.engine.agenda import CheckUse, EndHold
from varpd.engine.commands import Command, Inject, Note, ReportFault
from varpd.engine.events import Deferred, Failed
from varpd.engine.forwarding import Forwarding, shape_of
from varpd.engine.inquiries import GIVE_UP, Inquiries
from varpd.engine.overlay import Overlay
from varpd.engine.recheck import Pace, Rechecks
from varpd.engine.verification import Verification
from varpd.net.addresses import MacAddress
from varpd.provider.answers import Answer, Drop, Proxy, Replicate, Target
from varpd.provider.query import REFRESH, Query
from varpd.targets.entries import (
    Entry,
    Holds,
    Negative,
    Origin,
    Pending,
    Refreshing,
    Valid,
    Waiting,
    active,
    hold,
    is_adopted,
    ticket_of,
    valid_of,
)

NEAR_END: Final = 0.1
"""The last part of a ttl, in which a target that is used is asked for anew."""

RETRY_MIN: Final = 1.0
"""Seconds, at least, until a refresh that failed is tried again."""


class Resolution:
    """Takes the answers about one overlay's MACs."""

    def __init__(
        self, overlay: Overlay, forwarding: Forwarding, inquiries: Inquiries, pace: Pace
    ) -> None:
        """Take the overlay, who else handles its frames, and the pace of background questions."""
        self._overlay = overlay
        self._forwarding = forwarding
        self._inquiries = inquiries
        self._replies: dict[Query, list[bytes]] = {}
        self.verification = Verification(overlay)
        self.rechecks = Rechecks(overlay, pace)
        inquiries.replies = self

    def answered(
        self,
        queries: list[Query],
        answers: list[Answer | Deferred | Failed],
        now: float,
        out: list[Command],
    ) -> None:
        """Take answers to where frames go."""
        overlay = self._overlay
        entries, deferred = overlay.entries, overlay.deferred
        found: dict[Target, tuple[list[bytes], list[bytes], float]] = {}
        after: list[Command] = []
        quick = released = 0
        for query, answer in zip(queries, answers, strict=True):
            mac = query.key
            entry = entries.get(mac)
            if (
                type(answer) is Target
                and type(entry) is Pending
                and entry.query is query
                and not mac[0] & 1
                and query.packet is not None
                and query not in deferred
            ):
                pair = found.get(answer)
                if pair is None:
                    # All were asked in one turn, and so came in one.
                    pair = found[answer] = ([], [], entry.waiting.since)
                pair[0].append(mac)
                pair[1].extend(entry.waiting.packets)
                released += entry.waiting.size
                quick += 1
            else:
                self._answer(query, answer, now, after)
        overlay.shares.lookups.give(quick)
        overlay.shares.waiting.give(released)
        for target, (macs, packets, since) in found.items():
            valid = overlay.valid((target,), now)
            for mac in macs:
                entries[mac] = valid
            overlay.uses.add(target, len(macs))
            self.expire(valid, macs, now)
            overlay.install(valid, macs, packets, out, since)
        out.extend(after)

    def reply(self, mac: MacAddress, frames: list[bytes], now: float, out: list[Command]) -> None:
        """Inject frames that say that `mac` has an address, behind the rows of `mac`.

        The target of `mac` is asked for at once: the frame that follows the reply then meets its
        row, which halves the punts of a cold conversation.
        """
        overlay = self._overlay
        entry = overlay.entries.get(mac)
        ticket = ticket_of(entry)
        if ticket is not None and ticket in self._replies:
            self._replies[ticket].extend(frames)
            return
        askable = (
            entry is None
            and overlay.running
            and not mac.is_group
            and overlay.shares.targets.room() > 0
            and overlay.shares.lookups.room() > 0
        )
        if not askable:
            self._inject(mac, frames, out)
            return
        query = Query(bytes(mac), overlay.settings.vnetid, None, 0, REFRESH)
        overlay.put(query.key, Pending(query, Waiting([], 0)))
        self._replies[query] = frames
        overlay.start([query], out)

    def resend(self, packet: bytes, now: float, out: list[Command]) -> None:
        """Send a unicast frame on, as if a guest had sent it."""
        self._forwarding.frames([packet], now, out)

    def refresh(self, mac: bytes, valid: Valid, out: list[Command]) -> bool:
        """Ask anew for a target that is in force; return whether that could be done."""
        overlay = self._overlay
        if not overlay.running or overlay.shares.lookups.room() <= 0:
            return False
        query = Query(mac, overlay.settings.vnetid, None, 0, REFRESH)
        overlay.put(mac, Refreshing(valid, query))
        overlay.start([query], out)
        return True

    def expire(self, valid: Valid, macs: list[bytes], now: float) -> None:
        """Have targets checked near their end, if they have one."""
        ttl = self._overlay.settings.ttl
        if ttl is not None:
            action = CheckUse(valid, tuple(macs), final=False)
            self._overlay.agenda.plan(now + ttl * (1 - NEAR_END), action)

    def confirms(self, before: Entry | None, valid: Valid) -> bool:
        """Return whether `valid` says the same as rows that were found: they stay untouched."""
        found = valid_of(before)
        if found is None or found.origin is not Origin.ADOPTED or found.local or valid.local:
            return False
        if set(found.targets) != set(valid.targets):
            return False
        self._overlay.counters["confirmed"] += 1
        return True

    def ask_anew(self, mac: bytes, pending: Pending, out: list[Command]) -> None:
        """Ask with a new ticket, keeping the frames that wait."""
        overlay = self._overlay
        packets = pending.waiting.packets
        if not packets or not overlay.running or overlay.shares.lookups.room() <= 0:
            overlay.shares.waiting.give(pending.waiting.size)
            overlay.drop("lookups" if overlay.running else "no-instance", len(packets))
            overlay.forget(mac)
            return
        query = overlay.query(mac, packets[0])
        overlay.put(mac, Pending(query, pending.waiting, pending.holds))
        overlay.waits.pop(mac, None)
        overlay.start([query], out)

    def time_out(self, mac: bytes, now: float, out: list[Command]) -> None:
        """Drop the frames that have waited too long for an answer about `mac`."""
        overlay = self._overlay
        entry = overlay.entries.get(mac)
        if not isinstance(entry, Pending):
            return
        self._drop_waiting(entry, "timeout")
        overlay.counters["overdue"] += 1
        until = now + overlay.settings.negative_ttl
        holds = hold(entry.holds, shape_of(entry.query), until, now)
        overlay.put(mac, Negative(holds, entry.query))
        overlay.agenda.plan(until, EndHold(mac, until))
        text = f"no answer about {MacAddress(mac)} in {overlay.settings.lookup_timeout:g} s"
        out.append(ReportFault(overlay.name, text))

    def stop(self, now: float, out: list[Command]) -> None:
        """Drop what waits for answers; targets stay in force."""
        overlay = self._overlay
        for mac, entry in list(overlay.entries.items()):
            if isinstance(entry, Pending):
                self._drop_waiting(entry, "no-instance")
                overlay.forget(mac)
            elif isinstance(entry, Refreshing):
                overlay.put(mac, entry.valid)
                self.expire(entry.valid, [mac], now)
                if is_adopted(entry):
                    self.rechecks.add([mac], now)
            elif isinstance(entry, Negative):
                overlay.forget(mac)
        for query, frames in self._replies.items():
            self._inject(query.dst, frames, out)
        self._replies.clear()
        self.verification.stop()
        self.rechecks.stop()
        overlay.waits.clear()

    # -- one answer ----------------------------------------------------------------------------

    def _answer(
        self, query: Query, answer: Answer | Deferred | Failed, now: float, out: list[Command]
    ) -> None:
        overlay = self._overlay
        if self._inquiries.holds(query):
            self._inquiries.looked_up(query, answer, now, out)
            return
        mac = query.key
        entry = overlay.entries.get(mac)
        counts = ticket_of(entry) is query
        if isinstance(answer, Deferred):
            overlay.defer(query, now, GIVE_UP)
            if counts and isinstance(entry, Pending) and entry.waiting.packets:
                overlay.wait(mac, now)
        else:
            overlay.finish(query)
            verified = self.verification.finish(query)
            if not (counts and isinstance(answer, Failed)):
                self.rechecks.finish(query, now)
            if counts:
                if not (verified and self.verification.is_guests(query, answer, now)):
                    self._settle(query, answer, now, out)
            elif not isinstance(answer, Failed):
                overlay.counters["ignored.late"] += 1
        if query in self._replies:
            self._inject(query.dst, self._replies.pop(query), out)

    def _settle(
        self, query: Query, answer: Answer | Failed, now: float, out: list[Command]
    ) -> None:
        """Take an answer that counts for the entry in the table."""
        match answer:
            case Target():
                self._found(query.key, (answer,), now, out)
            case Replicate():
                self._replicated(query.key, answer.targets, now, out)
            case Drop():
                self._dropped(query, answer, now, out)
            case Proxy():
                self._proxied(query, answer, now, out)
            case Failed():
                self._failed(query, now, out)
            case _:
                assert_never(answer)

    def _found(
        self, mac: bytes, targets: tuple[Target, ...], now: float, out: list[Command]
    ) -> None:
        """Install targets; frames that wait are sent."""
        overlay = self._overlay
        before = overlay.entries[mac]
        packets: list[bytes] = []
        since = 0.0
        if isinstance(before, Pending):
            packets, since = before.waiting.packets, before.waiting.since
            overlay.shares.waiting.give(before.waiting.size)
        elif isinstance(before, Refreshing):
            overlay.counters["refreshed"] += 1
        valid = overlay.valid(targets, now)
        overlay.put(mac, valid)
        self.expire(valid, [mac], now)
        if self.confirms(before, valid):
            return
        if isinstance(before, Refreshing) and valid.local and not before.valid.local:
            overlay.remove_rows([mac], out)
        overlay.install(valid, [mac], packets, out, since)

    def _replicated(
        self, mac: bytes, targets: tuple[Target, ...], now: float, out: list[Command]
    ) -> None:
        overlay = self._overlay
        entry = overlay.entries[mac]
        fits = len(targets) <= overlay.shares.targets.room() + 1
        if mac[0] & 1 and targets and fits:
            self._found(mac, targets, now, out)
            return
        if isinstance(entry, Pending):
            # Rows are written for group MACs alone; a unicast frame is replicated each time.
            overlay.shares.waiting.give(entry.waiting.size)
            overlay.forget(mac)
            overlay.replicate(targets, entry.waiting.packets, out)
        elif isinstance(entry, Refreshing):
            overlay.forget(mac)
            overlay.remove_rows([mac], out)
        else:
            overlay.forget(mac)

    def _dropped(self, query: Query, answer: Drop, now: float, out: list[Command]) -> None:
        """Drop the frame asked about and those like it; others that wait are asked about."""
        overlay = self._overlay
        mac = query.key
        entry = overlay.entries[mac]
        if isinstance(entry, Refreshing):
            overlay.forget(mac)
            overlay.remove_rows([mac], out)
            return
        assert isinstance(entry, Pending | Negative)  # noqa: S101 - what has a ticket
        shape = shape_of(query)
        seconds = overlay.settings.negative_ttl if answer.hold is None else answer.hold
        holds = entry.holds
        if seconds > 0:
            until = now + seconds
            holds = hold(holds, shape, until, now)
            overlay.agenda.plan(until, EndHold(mac, until))
        others: list[bytes] = []
        if isinstance(entry, Pending):
            overlay.shares.waiting.give(entry.waiting.size)
            packets = entry.waiting.packets
            # With a hold of 0 the answer is for this frame alone.
            others = [
                packet
                for packet in packets
                if packet is not query.packet
                and (not seconds or shape_of(overlay.query(mac, packet)) != shape)
            ]
            overlay.drop("plugin", len(packets) - len(others))
        self._keep_holds(mac, holds, now)
        self._forwarding.frames(others, now, out)

    def _proxied(self, query: Query, answer: Proxy, now: float, out: list[Command]) -> None:
        """Let a proxy take the frame asked about; frames behind it are asked about anew."""
        overlay = self._overlay
        entry = overlay.forget(query.key)
        if not isinstance(entry, Pending):
            return
        overlay.shares.waiting.give(entry.waiting.size)
        packets = entry.waiting.packets
        if query.packet is not None and packets and packets[0] is query.packet:
            self._inquiries.proxy(answer, query.packet, now, out)
            packets = packets[1:]
        self._forwarding.frames(packets, now, out)

    def _failed(self, query: Query, now: float, out: list[Command]) -> None:
        """The plugin gave no answer: frames that wait are dropped, targets stay in force."""
        overlay = self._overlay
        mac = query.key
        entry = overlay.entries[mac]
        if isinstance(entry, Refreshing):
            stale = structs.replace(entry.valid, stale=True)
            overlay.put(mac, stale)
            overlay.counters["stale"] += 1
            if is_adopted(stale):
                self.rechecks.fail(mac, query, now, out)
                return
            ttl = overlay.settings.ttl or 0.0
            retry = now + max(RETRY_MIN, ttl * NEAR_END)
            overlay.agenda.plan(retry, CheckUse(stale, (mac,), final=True))
            out.append(Note(overlay.name, "no answer to a refresh; the target stays", mac))
        elif isinstance(entry, Pending):
            self._drop_waiting(entry, "failed")
            self._keep_holds(mac, entry.holds, now)
        elif isinstance(entry, Negative):
            self._keep_holds(mac, entry.holds, now)

    def _keep_holds(self, mac: bytes, holds: Holds, now: float) -> None:
        """Leave of an entry only the shapes that are still held off."""
        holds = active(holds, now)
        if holds:
            self._overlay.put(mac, Negative(holds))
        else:
            self._overlay.forget(mac)

    def _drop_waiting(self, entry: Pending, reason: str) -> None:
        self._overlay.shares.waiting.give(entry.waiting.size)
        self._overlay.drop(reason, len(entry.waiting.packets))

    def _inject(self, mac: MacAddress, frames: list[bytes], out: list[Command]) -> None:
        """Send replies of proxies, unless the MAC is a guest's here, who answers for itself.

        Where its target is not known, what the bridge has learned decides.
        """
        overlay = self._overlay
        valid = valid_of(overlay.entries.get(mac))
        if mac in overlay.learned if valid is None else valid.local:
            overlay.drop("local", len(frames))
            return
        overlay.counters["answered"] += len(frames)
        out.append(Inject(overlay.name, frames))
