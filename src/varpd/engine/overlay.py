"""What the engine keeps of one overlay, and the few moves that everything else is made of.

The parts of the engine (`forwarding`, `resolution`, `inquiries`, `statements`, `aging`) each take
care of one kind of event; this is what they share.

What is counted, by the names that `Engine.counters` has. Frames are ``punted``, and by their kind
``punted.unicast`` and the others of `classify.KINDS`. Every frame that is ``punted`` waits, or
ends in exactly one of these:

``resent``              sent on to its one target
``replicated``          sent on to one or several targets of a group, or of a `Replicate`
``answered``            an ARP request or a solicitation that a proxy answered
``dropped.*``           dropped, because:
  ``local``             its target is this host, and the bridge has offered it to every guest
  ``plugin``            the plugin answered DROP
  ``negative``          the plugin did so a moment ago, or did not answer in time
  ``failed``            the plugin failed
  ``timeout``           it waited as long as frames may
  ``blocked``           the administrator wants it so
  ``no-instance``       the overlay's instance was not at work
  ``neighbour-unknown``, ``dhcp-no-server``  the plugin answered DROP to who has the address
                        asked for, or which is the DHCP server
  ``probe-own``         the guest asked for an address of its own, to see whether it is used
  ``waiting-mac``, ``waiting-overlay``  too many bytes wait for the MAC, or in the overlay
  ``table-full``        there is no room for another MAC
  ``lookups``           too many questions are in progress
  ``limit-KIND``, ``limit-source-KIND``  the overlay, or one source MAC in it, sends too many
                        of a kind: `classify.KINDS`
  ``truncated``, ``arp-*``, ``ndp-*``, ``dhcp-*``, ...  a proxy refuses it: `net.decode.Reason`,
                        and what the proxies' ``parse`` raise

What became of frames that a proxy was to answer: ``proxied.PROTOCOL.RESULT``, the protocol being
``arp``, ``ndp`` or ``dhcp``, the result ``answered``, ``unknown`` (the plugin answered DROP),
``refused`` (it is none that is answered), ``probe`` (for a guest's own address), ``failed`` or
``timeout``.

Questions to the plugin: ``asked.lookup``, ``asked.arp``, ``asked.dhcp``; ``overdue`` are those for
which frames wait no longer. What it said in vain:

``ignored.late``           an answer, after something newer
``ignored.administrator``  where a MAC is of which the administrator has said it
``ignored.table-full``     where a MAC is for which there is no room

What became of targets: ``refreshed``; ``stale`` (a refresh failed); ``expired`` (unused at the end
of its ttl); ``evicted`` (to make room); ``claimed-elsewhere`` (remote, but a guest here sends from
the MAC); ``rows-refused`` by the kernel; ``rows-rewritten`` (frames came though there had to be
rows). Of rows that were in the kernel when varpd came: ``adopted`` (in force without being
written), ``adopted.mended`` (written again, because only part of them was there, or something else
than varpd wants), ``adopted.removed``; ``confirmed`` (the plugin says the same). And
``announced`` (by `Host.inject_arp`), ``dhcp-redirected`` (frames between DHCP clients and servers
that became unicast; each ends as above).

What others did to rows and links: ``drift.missing``, ``drift.wrong`` and ``drift.extra`` rows;
``drift.links``, settings of links and default rows; and ``repaired`` of all these.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Final, assert_never

from msgspec import Struct

from varpd.engine.agenda import (
    Action,
    Agenda,
    CheckUse,
    ClearRefusals,
    EndHold,
    EndWindow,
    Recheck,
    Rewrite,
    Verify,
)
from varpd.engine.classify import KINDS
from varpd.engine.commands import (
    Command,
    Install,
    InstallReplicas,
    Note,
    RemoveRows,
    ReportDatapath,
    Resend,
    StartLookups,
)
from varpd.engine.events import Question
from varpd.engine.here import Here, Locality
from varpd.engine.limits import Bucket, Sources
from varpd.engine.settings import Rate, Settings
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target
from varpd.provider.query import Query
from varpd.targets.budget import Share
from varpd.targets.entries import Entry, Negative, Origin, Pending, Refreshing, Valid, is_still
from varpd.targets.uses import TargetUses

ROWS_GRACE: Final = 1.0
"""Seconds in which rows that were asked for may still be on their way to the kernel."""

NEVER: Final = float("inf")

_NO_TARGETS: Final[tuple[Target, ...]] = ()


class Shares(Struct):
    """What an overlay may use of the totals."""

    waiting: Share
    """Bytes of frames that wait."""

    targets: Share
    """Entries."""

    lookups: Share
    """Questions in progress."""


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
        self.checks: dict[bytes, Valid | None] = {}
        """MACs whose rows are being looked at, with what was in force when that was asked for.

        What becomes another entry meanwhile is taken out: what is found may be from before.
        """
        self.uses = TargetUses()
        self.running = False
        self.default: Target | None = None
        self.default_local = False
        self.refused_at = 0.0
        self.learned: set[bytes] = set()
        self.waits: OrderedDict[bytes | Question, float] = OrderedDict()
        self.deferred: OrderedDict[Question, float] = OrderedDict()
        self.agenda = Agenda(self._is_idle)
        self.here = Here(locality, settings)
        self._secret = secret
        self._complaints: dict[str, str] = {}
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take new settings."""
        self.settings = self.here.settings = settings
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

    def complain(self, about: str, message: str | None, out: list[Command]) -> None:
        """Degrade the overlay because of its datapath, or take back what was said `about` that."""
        if message is not None:
            self._complaints[about] = message
        elif self._complaints.pop(about, None) is None:
            return
        out.append(ReportDatapath(self.name, "; ".join(self._complaints.values()) or None))

    # -- questions -----------------------------------------------------------------------------

    def query(self, mac: bytes, packet: bytes) -> Query:
        """Return the question where a frame goes."""
        return Query(mac, self.settings.vnetid, packet, self.settings.headroom)

    def start(self, queries: list[Query], out: list[Command]) -> None:
        """Ask the plugin where frames go."""
        if queries:
            self.asked("lookup", len(queries))
            out.append(StartLookups(self.name, queries))

    def asked(self, operation: str, count: int = 1) -> None:
        """Note that the plugin is asked `count` questions."""
        self.shares.lookups.take(count)
        self.counters[f"asked.{operation}"] += count

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
        if self.checks:
            self.checks.pop(mac, None)
        if type(before) is Pending and type(entry) is not Pending:
            self.waits.pop(mac, None)

    def forget(self, mac: bytes) -> Entry | None:
        """Take away what is known of `mac`, and return it."""
        before = self.entries.pop(mac, None)
        if self.checks:
            self.checks.pop(mac, None)
        if before is not None:
            targets = targets_of(before)
            self.shares.targets.give(weight(targets))
            self.uses.replace(targets, ())
            self.waits.pop(mac, None)
        return before

    def has_target_at(self, addresses: frozenset[IpAddress]) -> bool:
        """Return whether any entry has a target at one of `addresses`."""
        return bool(addresses) and any(target.ip in addresses for target in self.uses)

    def valid(
        self, targets: tuple[Target, ...], now: float, origin: Origin = Origin.PLUGIN
    ) -> Valid:
        """Return the entry for MACs that are at `targets` as of now."""
        local = self.here.has_all(targets)
        return Valid(targets, now, NEVER if local else now + ROWS_GRACE, origin, local)

    # -- what goes out -------------------------------------------------------------------------

    def install(
        self,
        valid: Valid,
        macs: list[bytes],
        packets: list[bytes],
        out: list[Command],
        since: float = 0.0,
    ) -> None:
        """Write the rows of MACs that are now `valid`, and send frames, which came at `since`."""
        if valid.local:
            self.drop("local", len(packets))
            return
        if self.learned and valid.origin is not Origin.ADMINISTRATOR:
            self.claimed(macs, out)
        if macs and macs[0][0] & 1:
            remote = self.here.others(valid.targets)
            out.extend(InstallReplicas(self.name, mac, remote) for mac in macs)
            self.replicate(valid.targets, packets, out)
            return
        self.counters["resent"] += len(packets)
        out.append(Install(self.name, valid.targets[0], macs, packets, since))

    def replicate(
        self, targets: tuple[Target, ...], packets: list[bytes], out: list[Command]
    ) -> None:
        """Send a copy of frames to each target but this host."""
        if not packets:
            return
        remote = self.here.others(targets)
        if not remote:
            self.drop("local", len(packets))
            return
        self.counters["replicated"] += len(packets)
        out.extend(Resend(self.name, target, packets) for target in remote)

    def remove_rows(self, macs: Sequence[bytes], out: list[Command], reason: str = "") -> None:
        """Remove the rows of MACs, unicast and group; `reason` as in `RemoveRows`."""
        unicast = [mac for mac in macs if not mac[0] & 1]
        if unicast:
            out.append(RemoveRows(self.name, unicast, reason))
        out.extend(InstallReplicas(self.name, mac, ()) for mac in macs if mac[0] & 1)

    # -- time ----------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Return when something is due, or None."""
        fronts = [next(iter(times.values())) for times in (self.waits, self.deferred) if times]
        if self.agenda.next_due is not None:
            fronts.append(self.agenda.next_due)
        return min(fronts, default=None)

    def _is_idle(self, action: Action) -> bool:
        """Return whether a plan has nothing to do any more, whatever comes."""
        match action:
            case EndHold():
                entry = self.entries.get(action.mac)
                holds = entry.holds if isinstance(entry, Negative | Pending) else ()
                return not any(until == action.until for _, until in holds)
            case CheckUse():
                entries, valid = self.entries, action.valid
                return not any(is_still(entries.get(mac), valid) for mac in action.macs)
            case Verify() | Recheck() | ClearRefusals() | Rewrite() | EndWindow():
                return False
            case _:
                assert_never(action)


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
