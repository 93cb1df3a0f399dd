"""What the engine keeps of one overlay, and the few moves that everything else is made of.

The parts of the engine (`forwarding`, `resolution`, `inquiries`, `statements`, `aging`) each take
care of one kind of event; this is what they share. Every punted frame ends in exactly one of
these, and each is counted: sent on (``resent``, ``replicated``), answered by a proxy
(``answered``), dropped for a named reason (``dropped.*``), or it waits.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from varpd.engine.classify import KINDS
from varpd.engine.commands import (
    Command,
    Install,
    InstallReplicas,
    Note,
    RemoveRows,
    Resend,
    StartLookups,
)
from varpd.engine.events import Question
from varpd.engine.limits import Bucket, Sources
from varpd.engine.settings import Rate, Settings
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target
from varpd.provider.query import Query
from varpd.targets.budget import Share
from varpd.targets.entries import Entry, Origin, Pending, Refreshing, Valid
from varpd.targets.uses import TargetUses

ROWS_GRACE: Final = 1.0
"""Seconds in which rows that were asked for may still be on their way to the kernel."""

NEVER: Final = float("inf")

_NO_TARGETS: Final[tuple[Target, ...]] = ()


class Locality:
    """Which addresses lead to this host; one object serves all overlays."""

    def __init__(self) -> None:
        """Begin without any address."""
        self.addresses: frozenset[IpAddress] = frozenset()


class Shares(Struct):
    """What an overlay may use of the totals."""

    waiting: Share
    """Bytes of frames that wait."""

    targets: Share
    """Entries."""

    lookups: Share
    """Questions in progress."""


class EndHold(Struct, frozen=True):
    """A MAC may be asked about again."""

    mac: bytes


class CheckUse(Struct, frozen=True):
    """Targets near their end: those in use are asked for anew."""

    valid: Valid
    macs: tuple[bytes, ...]
    final: bool
    """Whether those that are not in use go."""


class Verify(Struct, frozen=True):
    """MACs that guests here send from are to be asked about."""

    macs: tuple[bytes, ...]


class ClearRefusals(Struct, frozen=True):
    """The kernel has refused nothing for a while."""


Action = EndHold | CheckUse | Verify | ClearRefusals


class Overlay:
    """One overlay."""

    def __init__(
        self, name: str, settings: Settings, shares: Shares, locality: Locality, secret: bytes
    ) -> None:
        """Begin with nothing known."""
        self.name = name
        self.shares = shares
        self.counters: Counter[str] = Counter()
        self.entries: dict[bytes, Entry] = {}
        self.uses = TargetUses()
        self.running = False
        self.default: Target | None = None
        self.default_local = False
        self.refused_at = 0.0
        self.learned: set[bytes] = set()
        self.waits: OrderedDict[bytes | Question, float] = OrderedDict()
        self.deferred: OrderedDict[Question, float] = OrderedDict()
        self._agenda: list[tuple[float, int, Action]] = []
        self._locality = locality
        self._secret = secret
        self._sequence = 0
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take new settings."""
        self.settings = settings
        limits = settings.limits
        self.shares.waiting.limit = limits.waiting
        self.shares.targets.limit = limits.targets
        self.shares.lookups.limit = limits.lookups
        rates: list[Rate] = [getattr(limits, kind) for kind in KINDS]
        sources: list[Rate] = [getattr(limits, f"source_{kind}") for kind in KINDS]
        self.buckets = [Bucket(rate) for rate in rates]
        self.sources = [Sources(rate, self._secret) for rate in sources]

    # -- counting ------------------------------------------------------------------------------

    def drop(self, reason: str, count: int = 1) -> None:
        """Count frames that end here."""
        if count:
            self.counters[f"dropped.{reason}"] += count

    def claimed(self, macs: list[bytes], out: list[Command]) -> None:
        """Note MACs that a guest here sends from, though the plugin says that they are remote."""
        for mac in macs:
            if mac in self.learned:
                self.counters["claimed-elsewhere"] += 1
                out.append(Note(self.name, "a guest sends from a MAC that is another host's", mac))

    # -- questions -----------------------------------------------------------------------------

    def query(self, mac: bytes, packet: bytes) -> Query:
        """Return the question where a frame goes."""
        return Query(mac, self.settings.vnetid, packet, self.settings.headroom)

    def start(self, queries: list[Query], out: list[Command]) -> None:
        """Ask the plugin where frames go."""
        if queries:
            self.shares.lookups.take(len(queries))
            self.counters["lookups"] += len(queries)
            out.append(StartLookups(self.name, queries))

    def defer(self, question: Question, now: float, give_up: float) -> None:
        """Note that the answer to a question comes later, until `give_up` seconds have passed."""
        self.deferred[question] = now + give_up

    def finish(self, question: Question) -> None:
        """Note that a question has its final answer."""
        self.deferred.pop(question, None)
        self.shares.lookups.give(1)

    def wait(self, key: bytes | Question, now: float) -> None:
        """Let the frames that wait behind `key` wait no longer than the time-out from now."""
        self.waits[key] = now + self.settings.lookup_timeout
        self.waits.move_to_end(key)

    # -- entries -------------------------------------------------------------------------------

    def put(self, mac: bytes, entry: Entry) -> None:
        """Put an entry in the place of whatever is known of `mac`."""
        before = self.entries.get(mac)
        old, new = targets_of(before), targets_of(entry)
        if before is None or len(old) != len(new):
            change = weight(new) - (0 if before is None else weight(old))
            if change:
                self.shares.targets.take(change)
        if old is not new:
            self.uses.replace(old, new)
        self.entries[mac] = entry
        if type(before) is Pending and type(entry) is not Pending:
            self.waits.pop(mac, None)

    def forget(self, mac: bytes) -> Entry | None:
        """Take away what is known of `mac`, and return it."""
        before = self.entries.pop(mac, None)
        if before is not None:
            targets = targets_of(before)
            self.shares.targets.give(weight(targets))
            self.uses.replace(targets, ())
            self.waits.pop(mac, None)
        return before

    def is_local(self, target: Target) -> bool:
        """Return whether a target is this host."""
        settings = self.settings
        if target.ip is None or target.port != settings.listen_port:
            return False
        return target.ip in self._locality.addresses or target.ip in settings.local_ips

    def valid(
        self, targets: tuple[Target, ...], now: float, origin: Origin = Origin.PLUGIN
    ) -> Valid:
        """Return the entry for MACs that are at `targets` as of now."""
        local = len(targets) == 1 and self.is_local(targets[0])
        return Valid(targets, now, NEVER if local else now + ROWS_GRACE, origin, local)

    # -- what goes out -------------------------------------------------------------------------

    def install(
        self, valid: Valid, macs: list[bytes], packets: list[bytes], out: list[Command]
    ) -> None:
        """Write the rows of MACs that are now `valid`, and send their frames."""
        if valid.local:
            self.drop("local", len(packets))
            return
        if self.learned and valid.origin is Origin.PLUGIN:
            self.claimed(macs, out)
        if macs and macs[0][0] & 1:
            remote = self.remote(valid.targets)
            out.extend(InstallReplicas(self.name, mac, remote) for mac in macs)
            self.replicate(valid.targets, packets, out)
            return
        self.counters["resent"] += len(packets)
        out.append(Install(self.name, valid.targets[0], macs, packets))

    def replicate(
        self, targets: tuple[Target, ...], packets: list[bytes], out: list[Command]
    ) -> None:
        """Send a copy of frames to each target but this host."""
        if not packets:
            return
        remote = self.remote(targets)
        if not remote:
            self.drop("local", len(packets))
            return
        self.counters["replicated"] += len(packets)
        out.extend(Resend(self.name, target, packets) for target in remote)

    def remote(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Return the targets that are not this host, each once."""
        return tuple(target for target in dict.fromkeys(targets) if not self.is_local(target))

    def remove_rows(self, macs: Sequence[bytes], out: list[Command]) -> None:
        """Remove the rows of MACs, unicast and group."""
        unicast = [mac for mac in macs if not mac[0] & 1]
        if unicast:
            out.append(RemoveRows(self.name, unicast))
        out.extend(InstallReplicas(self.name, mac, ()) for mac in macs if mac[0] & 1)

    # -- time ----------------------------------------------------------------------------------

    def plan(self, due: float, action: Action) -> None:
        """Have something done at a time."""
        self._sequence += 1
        heapq.heappush(self._agenda, (due, self._sequence, action))

    def due_action(self, now: float) -> Action | None:
        """Return the next thing that is due, and forget it."""
        if self._agenda and self._agenda[0][0] <= now:
            return heapq.heappop(self._agenda)[2]
        return None

    def next_deadline(self) -> float | None:
        """Return when something is due, or None."""
        fronts = [next(iter(times.values())) for times in (self.waits, self.deferred) if times]
        if self._agenda:
            fronts.append(self._agenda[0][0])
        return min(fronts, default=None)


def targets_of(entry: Entry | None) -> tuple[Target, ...]:
    """Return the targets that an entry has."""
    if type(entry) is Refreshing:
        return entry.valid.targets
    return entry.targets if type(entry) is Valid else _NO_TARGETS


def weight(targets: tuple[Target, ...]) -> int:
    """Return how much of the table's bound an entry with `targets` takes.

    Each (MAC, remote) counts as one, and so does an entry without a target.
    """
    return len(targets) or 1
