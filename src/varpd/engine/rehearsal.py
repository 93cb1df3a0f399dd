"""What would happen to a frame: the engine's own code, on a copy of what it would meet.

A rehearsal has an overlay of its own, as full and as limited as the real one, to which the entries
that a frame meets are brought. What the parts of the engine ask for is returned and goes nowhere,
so that nothing of the real overlay changes: no counter, no entry, no limit.
"""

from collections import Counter
from contextlib import suppress
from typing import assert_never

from msgspec import Struct, structs

from varpd.engine import proxy_dhcp
from varpd.engine.commands import Command
from varpd.engine.events import DhcpAnswered, FramesPunted, LookupsAnswered, NeighboursAnswered
from varpd.engine.forwarding import Forwarding
from varpd.engine.here import Locality
from varpd.engine.inquiries import Inquiries
from varpd.engine.overlay import Overlay, Shares, targets_of, weight
from varpd.engine.recheck import Pace
from varpd.engine.resolution import Resolution
from varpd.net.addresses import MacAddress
from varpd.net.decode import DecodeError
from varpd.provider.answers import Neighbour
from varpd.targets.budget import Budget
from varpd.targets.entries import Pending, ticket_of

Rehearsed = FramesPunted | LookupsAnswered | NeighboursAnswered | DhcpAnswered
"""What can be rehearsed: a frame, and the answers to the questions that follow from it."""


class Outcome(Struct, frozen=True):
    """What would follow from an event."""

    commands: list[Command]
    counted: dict[str, int]
    """What would be counted, by the names in `varpd.engine.overlay`."""


class Rehearsal:
    """One frame's way through one overlay, and that of the answers that it needs."""

    def __init__(self, real: Overlay) -> None:
        """Take the overlay, which stays as it is."""
        self._real = real
        rooms = (real.shares.waiting, real.shares.targets, real.shares.lookups)
        self._waiting, self._targets, lookups = (Budget(share.room()) for share in rooms)
        shares = Shares(
            self._waiting.open(self._waiting.total),
            self._targets.open(self._targets.total),
            lookups.open(lookups.total),
        )
        overlay = Overlay(real.name, real.settings, shares, Locality(), b"")
        overlay.here = real.here
        overlay.running = real.running
        overlay.default = real.default
        overlay.learned = set(real.learned)
        overlay.buckets = [bucket.copy() for bucket in real.buckets]
        overlay.sources = [sources.copy() for sources in real.sources]
        self._overlay = overlay
        self._inquiries = Inquiries(overlay)
        self._forwarding = Forwarding(overlay, self._inquiries)
        self._resolution = Resolution(overlay, self._forwarding, self._inquiries, Pace())

    def feed(self, event: Rehearsed, now: float) -> Outcome:
        """Return what would follow from an event, given those before."""
        out: list[Command] = []
        before = Counter(self._overlay.counters)
        match event:
            case FramesPunted():
                for packet in event.packets:
                    self._bring_for(packet)
                self._forwarding.punted(event.packets, now, out)
            case LookupsAnswered():
                self._resolution.answered(event.queries, event.answers, now, out)
            case NeighboursAnswered():
                for answer in event.answers:
                    self._bring(answer.mac if isinstance(answer, Neighbour) else answer)
                self._inquiries.neighbours_answered(event.questions, event.answers, now, out)
            case DhcpAnswered():
                for found in event.answers:
                    self._bring(found)
                self._inquiries.dhcp_answered(event.queries, event.answers, now, out)
            case _:
                assert_never(event)
        return Outcome(out, dict(self._overlay.counters - before))

    def _bring_for(self, packet: bytes) -> None:
        """Bring the entries that a frame may meet."""
        frame = packet[self._overlay.settings.headroom :]
        self._bring(frame[:6])
        with suppress(DecodeError):
            self._bring(proxy_dhcp.parse(frame).client)

    def _bring(self, mac: object) -> None:
        """Copy what is known of a MAC, unless that was done; of all else nothing."""
        if not isinstance(mac, bytes) or mac in self._overlay.entries:
            return
        entry = self._real.entries.get(bytes(mac))
        if entry is None:
            return
        if isinstance(entry, Pending):
            waiting = structs.replace(entry.waiting, packets=list(entry.waiting.packets))
            entry = structs.replace(entry, waiting=waiting)
            # What the real one uses is no longer free there, and must not be taken twice here.
            self._waiting.total += waiting.size
            self._overlay.shares.waiting.take(waiting.size)
        self._targets.total += weight(targets_of(entry))
        self._overlay.put(MacAddress(mac), entry)
        ticket = ticket_of(entry)
        if ticket is not None and ticket in self._real.deferred:
            self._overlay.deferred[ticket] = self._real.deferred[ticket]
