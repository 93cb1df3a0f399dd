"""The life of entries against a simple model, in every order of events that hypothesis finds.

The model is a plain record of what was said last about each MAC and which frames are where. It
knows nothing of tickets, shares or heaps.
"""

from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec import structs

from support.script import HERE, OVERLAY, UNLIMITED, mac, packet, settings, target
from varpd.engine.commands import (
    AskUsage,
    CancelQuestions,
    Command,
    Install,
    InstallReplicas,
    RemoveRows,
    Resend,
    StartLookups,
)
from varpd.engine.engine import Engine
from varpd.engine.events import (
    DEFERRED,
    DeadlinePassed,
    EntryDeleted,
    EntrySet,
    Event,
    Failed,
    FramesPunted,
    InstanceStarted,
    InstanceStopped,
    Invalidated,
    LinksReady,
    LocalAddressesChanged,
    LookupsAnswered,
    OverlayAdded,
    RowsAdopted,
    TableFlushed,
    TargetSet,
    UsageReported,
)
from varpd.engine.settings import Limits
from varpd.provider.answers import Drop, Replicate, Target
from varpd.provider.query import REFRESH, Query
from varpd.targets.entries import TRANSITIONS, State

STATIONS = st.integers(1, 4).map(mac).map(bytes)
GROUP = bytes.fromhex("01005e000005")
"""A group for which rows are written."""

ALL_NODES = bytes.fromhex("333300000001")
"""A group for which rows are never written: each frame is a question of its own."""

MACS = STATIONS | st.sampled_from([GROUP, ALL_NODES])
HOSTS = st.integers(1, 4)
ETHERTYPES = st.sampled_from([0x88B5, 0x88B6])
VLANS = st.sampled_from([None, 5])
FRAME = len(packet(mac(1), mac(2)))
"""Bytes of each frame, tagged or not."""

WIDE = UNLIMITED
NARROW = structs.replace(UNLIMITED, waiting_mac=3 * FRAME, waiting=5 * FRAME, targets=3, lookups=3)
"""Bounds so small that each of them is met."""

TIMEOUT = 5.0
TTL = 60.0


@dataclass
class Asked:
    """A lookup that the plugin has in its hands."""

    query: Query
    since: float
    superseded: bool = False
    """Something newer was said about its MAC."""


@dataclass
class Model:
    """What an onlooker knows."""

    lookups: dict[bytes, list[Asked]] = field(default_factory=dict)
    rows: dict[bytes, tuple[Target, ...]] = field(default_factory=dict)
    newest: dict[bytes, tuple[Target, ...]] = field(default_factory=dict)
    """The last word about a MAC: its targets, none for a word that leaves it without one."""

    untouched: dict[bytes, tuple[Target, ...]] = field(default_factory=dict)
    """Rows that were found, and that nobody has written since."""

    denied: set[bytes] | None = field(default_factory=set)
    """MACs of which was said before the links were there that what is known no longer holds."""

    pinned: dict[bytes, Target | None] = field(default_factory=dict)
    """The administrator's words."""

    punted: int = 0
    sent: list[tuple[bytes, Target]] = field(default_factory=list)
    local: frozenset[IPv4Address] = frozenset({HERE})

    def remote(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        return tuple(one for one in targets if one.ip not in self.local)


class EntryLife(RuleBasedStateMachine):
    """Punts, answers, time-outs, and everything that may come between."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine()
        self.model = Model()
        self.now = 1000.0
        self.serial = 0
        self.quick: int | None = None
        self.speaks = ""
        self.has_spoken = False
        self.later: deque[Event] = deque()
        self.limits = WIDE

    @initialize(limits=st.sampled_from([WIDE, NARROW]))
    def the_overlay_is_made(self, limits: Limits) -> None:
        self.limits = limits
        self.tell(LocalAddressesChanged(frozenset({HERE})))
        self.tell(OverlayAdded(OVERLAY, settings(ttl=TTL, limits=limits)))
        self.tell(InstanceStarted(OVERLAY))

    # -- what happens --------------------------------------------------------------------------

    @rule(macs=st.lists(MACS, min_size=1, max_size=6), ethertype=ETHERTYPES, vlan=VLANS)
    def frames_are_punted(self, macs: list[bytes], ethertype: int, vlan: int | None) -> None:
        packets = []
        for dst in macs:
            self.serial += 1
            payload = self.serial.to_bytes(8, "big")
            if vlan is None:
                frame = packet(dst, mac(99), payload, ethertype)
            else:
                tag = vlan.to_bytes(2, "big") + ethertype.to_bytes(2, "big")
                frame = packet(dst, mac(99), tag + payload, 0x8100)
            packets.append(frame)
        self.model.punted += len(packets)
        self.has_spoken = False
        self.tell(FramesPunted(OVERLAY, packets))

    @precondition(lambda self: self.outstanding())
    @rule(data=st.data(), host=HOSTS)
    def the_plugin_finds_a_target(self, data: st.DataObject, host: int) -> None:
        asked = self.pick(data)
        self.tell(LookupsAnswered(OVERLAY, [asked.query], [target(host)]))

    @precondition(lambda self: self.outstanding())
    @rule(data=st.data(), hold=st.sampled_from([None, 0.0, 3.0]))
    def the_plugin_drops(self, data: st.DataObject, hold: float | None) -> None:
        asked = self.pick(data)
        self.tell(LookupsAnswered(OVERLAY, [asked.query], [Drop(hold)]))

    @precondition(lambda self: self.outstanding())
    @rule(data=st.data(), hosts=st.lists(HOSTS, unique=True, max_size=3))
    def the_plugin_replicates(self, data: st.DataObject, hosts: list[int]) -> None:
        asked = self.pick(data)
        if asked.query.cause is not REFRESH or asked.query.key[0] & 1:
            answer = Replicate.to(*map(target, hosts))
            self.tell(LookupsAnswered(OVERLAY, [asked.query], [answer]))

    @precondition(lambda self: self.outstanding())
    @rule(data=st.data())
    def the_plugin_fails(self, data: st.DataObject) -> None:
        asked = self.pick(data)
        self.finish(asked)
        self.tell(LookupsAnswered(OVERLAY, [asked.query], [Failed("raised")]))

    @rule(host=st.none() | st.integers(0, 4), speaks=st.sampled_from(["", "invalidate", "set"]))
    def the_plugin_becomes_quick_or_slow(self, host: int | None, speaks: str) -> None:
        self.quick = host
        self.speaks = speaks

    @rule(dst=STATIONS, host=HOSTS)
    def the_plugin_sets_a_target(self, dst: bytes, host: int) -> None:
        self.supersede(dst)
        self.model.newest[dst] = (target(host),)
        self.tell(TargetSet(OVERLAY, dst, target(host)))

    @rule(dst=MACS)
    def the_plugin_invalidates(self, dst: bytes) -> None:
        self.supersede(dst)
        self.model.newest[dst] = ()
        if dst not in self.model.pinned:
            self.deny(dst)
        self.tell(Invalidated(OVERLAY, dst))

    @rule()
    def the_administrator_flushes(self) -> None:
        for dst in list(self.model.newest) + list(self.model.lookups):
            if dst not in self.model.pinned:
                self.supersede(dst)
                self.model.newest[dst] = ()
        self.tell(TableFlushed(OVERLAY))

    @rule(dst=STATIONS, host=st.none() | HOSTS)
    def the_administrator_sets_an_entry(self, dst: bytes, host: int | None) -> None:
        self.supersede(dst, by_administrator=True)
        self.model.pinned[dst] = None if host is None else target(host)
        self.tell(EntrySet(OVERLAY, dst, self.model.pinned[dst]))

    @rule(dst=MACS)
    def the_administrator_deletes_an_entry(self, dst: bytes) -> None:
        self.supersede(dst, by_administrator=True)
        self.model.pinned.pop(dst, None)
        self.model.newest[dst] = ()
        self.deny(dst)
        self.tell(EntryDeleted(OVERLAY, dst))

    @rule(
        found=st.dictionaries(MACS, st.lists(HOSTS, unique=True, min_size=1, max_size=3)),
        whole=st.booleans(),
        lost=st.booleans(),
    )
    def rows_are_found(self, found: dict[bytes, list[int]], whole: bool, lost: bool) -> None:
        """The links are taken over; rows may be torn, and not say any more where they lead."""
        rows = {
            dst: tuple(map(target, hosts if dst[0] & 1 else hosts[:1]))
            for dst, hosts in found.items()
        }
        before = {view.mac: view for view in self.engine.entries(OVERLAY)}
        adopted = []
        for dst, targets in rows.items():
            self.model.rows[dst] = targets
            view = before.get(dst)
            if dst in self.model.pinned or (view is not None and view.state != "pending"):
                continue
            if dst in (self.model.denied or ()) or dst == ALL_NODES or (lost and not whole):
                continue
            if self.model.remote(targets):
                adopted.append(dst)
        if whole:
            self.model.untouched |= rows
            event = RowsAdopted(OVERLAY, list(rows.items()), [])
        else:
            for dst in rows:
                self.model.untouched.pop(dst, None)
            torn = {dst: () if lost else targets for dst, targets in rows.items()}
            event = RowsAdopted(OVERLAY, [], list(torn.items()))
        self.tell(event)
        for dst in before.keys() & rows:
            # What the plugin says anew of what was known already may be written anew.
            self.model.untouched.pop(dst, None)
        views = {view.mac: view for view in self.engine.entries(OVERLAY)}
        for dst in adopted:
            taken = dst in views and views[dst].origin == "adopted"
            assert taken or self.limits is NARROW
            if taken:
                self.supersede(dst)
                self.model.newest[dst] = rows[dst]

    @rule()
    def the_links_are_ready(self) -> None:
        self.model.denied = None
        self.tell(LinksReady(OVERLAY))

    @rule(hosts=st.sets(HOSTS))
    def local_addresses_change(self, hosts: set[int]) -> None:
        addresses = frozenset(IPv4Address(f"192.0.2.{host}") for host in hosts)
        views = self.engine.entries(OVERLAY)
        before = {view.mac for view in views if self.model.remote(view.targets)}
        self.model.local = addresses
        for view in views:
            if view.mac in before and not self.model.remote(view.targets):
                self.supersede(view.mac)
        self.tell(LocalAddressesChanged(frozenset(addresses)))

    @rule(seconds=st.sampled_from([0.1, 0.9, 1.1, 4.9, 5.1, 31.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.engine.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.tell(DeadlinePassed())
        self.now = end

    @rule()
    def the_instance_starts_anew(self) -> None:
        self.tell(InstanceStopped(OVERLAY))
        for dst in list(self.model.lookups):
            self.supersede(dst)
        for asked in [one for some in self.model.lookups.values() for one in some]:
            self.finish(asked)
            self.tell(LookupsAnswered(OVERLAY, [asked.query], [Failed("stopped")]))
        self.tell(InstanceStarted(OVERLAY))

    # -- what must hold ------------------------------------------------------------------------

    @invariant()
    def frames_are_neither_lost_nor_doubled(self) -> None:
        counters = self.engine.counters(OVERLAY)
        dropped = sum(n for name, n in counters.items() if name.startswith("dropped."))
        sent = counters.get("resent", 0) + counters.get("replicated", 0)
        assert len({frame for frame, _ in self.model.sent}) == sent
        assert len(set(self.model.sent)) == len(self.model.sent)
        waiting = self.engine.waiting(OVERLAY)
        assert waiting % FRAME == 0
        assert self.model.punted == sent + dropped + waiting // FRAME

    @invariant()
    def no_bound_is_passed_and_all_that_was_taken_is_given_back(self) -> None:
        assert self.engine.waiting(OVERLAY) <= self.limits.waiting
        assert self.engine.in_progress(OVERLAY) == len(self.outstanding())
        assert len(self.outstanding()) <= self.limits.lookups

    @invariant()
    def rows_are_where_the_newest_word_says(self) -> None:
        for dst, row in self.model.rows.items():
            said = self.model.pinned.get(dst)
            if dst not in self.model.pinned:
                assert alike(row, self.model.remote(self.model.newest[dst]))
            else:
                assert said is not None
                assert row == (said,)
            assert row == self.model.remote(row)
            assert dst != ALL_NODES

    @invariant()
    def what_is_known_has_rows(self) -> None:
        for view in self.engine.entries(OVERLAY):
            assert alike(self.model.rows.get(view.mac, ()), self.model.remote(view.targets))

    @invariant()
    def remotes_are_the_targets_of_rows(self) -> None:
        rows = {one for targets in self.model.rows.values() for one in targets}
        assert self.engine.remotes(OVERLAY) == rows

    @invariant()
    def the_administrator_is_above_all(self) -> None:
        views = {view.mac: view for view in self.engine.entries(OVERLAY)}
        for dst, said in self.model.pinned.items():
            assert views[dst].origin == "administrator"
            assert views[dst].targets == (() if said is None else (said,))

    @invariant()
    def one_lookup_at_a_time_for_a_mac(self) -> None:
        for dst, asked in self.model.lookups.items():
            assert dst == ALL_NODES or sum(not one.superseded for one in asked) <= 1

    # -- helpers -------------------------------------------------------------------------------

    def outstanding(self) -> list[Asked]:
        return [one for some in self.model.lookups.values() for one in some]

    def pick(self, data: st.DataObject) -> Asked:
        return data.draw(st.sampled_from(self.outstanding()))

    def finish(self, asked: Asked) -> bool:
        """Take a lookup out of the plugin's hands; return whether its answer counts."""
        self.model.lookups[asked.query.key].remove(asked)
        return not asked.superseded and asked.query.key not in self.model.pinned

    def deny(self, dst: bytes) -> None:
        """Something that was known of a MAC no longer holds: neither does a row found later."""
        denied = self.model.denied
        if denied is not None and len(denied) < self.limits.targets:
            denied.add(dst)

    def supersede(self, dst: bytes, *, by_administrator: bool = False) -> None:
        if dst in self.model.pinned and not by_administrator:
            return
        for asked in self.model.lookups.get(dst, []):
            asked.superseded = True

    def first_answers(self, queries: list[Query]) -> LookupsAnswered:
        """Return what the plugin says at once: an answer if it is quick, or that it thinks."""
        if self.quick is None:
            return LookupsAnswered(OVERLAY, queries, [DEFERRED for _ in queries])
        if self.speaks and not self.has_spoken:
            # What the plugin says inside its operation counts before that operation's answer.
            self.has_spoken = True
            dst = queries[-1].key
            sets = self.speaks == "set" and not dst[0] & 1
            found = target(1 + self.serial % 4) if sets else None
            self.supersede(dst)
            self.model.newest[dst] = () if found is None else (found,)
            if found is None and dst not in self.model.pinned:
                self.deny(dst)
            self.later.append(
                Invalidated(OVERLAY, dst) if found is None else TargetSet(OVERLAY, dst, found)
            )
        # Each answer is another, so that it shows which one was taken.
        self.serial += 1
        answer = Drop() if self.quick == 0 else target(1 + (self.quick + self.serial) % 4)
        return LookupsAnswered(OVERLAY, queries, [answer for _ in queries])

    def tell(self, event: Event) -> None:
        """Tell the engine, and do what it asks for; answers come after all of it is done."""
        if isinstance(event, LookupsAnswered):
            self.take_note(event)
        self.carry_out(event)
        while self.later:
            self.tell(self.later.popleft())

    def take_note(self, event: LookupsAnswered) -> None:
        """Let the model know of quick answers."""
        for query, answer in zip(event.queries, event.answers, strict=True):
            for asked in self.outstanding():
                if (
                    asked.query is query
                    and isinstance(answer, Target | Replicate | Drop)
                    and self.finish(asked)
                ):
                    self.model.newest[query.key] = installed(query.key, answer)

    def carry_out(self, event: Event) -> None:
        before = self.views()
        commands = self.engine.handle(event, self.now)
        self.check_moves(before)
        # Here, since what is evicted for being too much is gone a moment later.
        taken = sum(max(1, len(view.targets)) for view in self.engine.entries(OVERLAY))
        assert taken <= self.limits.targets + len(self.model.pinned)
        for command in commands:
            self.check_writes(event, command)
            match command:
                case StartLookups():
                    for query in command.queries:
                        asked = Asked(query, self.now)
                        self.model.lookups.setdefault(query.key, []).append(asked)
                    self.later.append(self.first_answers(command.queries))
                case Install():
                    for dst in command.macs:
                        self.model.rows[dst] = (command.target,)
                    self.sent(command)
                case InstallReplicas(mac=dst, targets=targets):
                    self.model.rows.pop(dst, None)
                    if targets:
                        self.model.rows[dst] = targets
                case RemoveRows():
                    for dst in command.macs:
                        self.model.rows.pop(dst, None)
                case Resend():
                    self.sent(command)
                case AskUsage():
                    # Rows with an odd last byte are in use.
                    idle = [0.0 if dst[5] & 1 else 100.0 for dst in command.macs]
                    self.later.append(UsageReported(OVERLAY, command.macs, list(idle)))
                case CancelQuestions():
                    for question in command.questions:
                        assert isinstance(question, Query)
                        (asked,) = [one for one in self.outstanding() if one.query is question]
                        assert self.now - asked.since >= TIMEOUT
                        self.finish(asked)
                        answers = [Failed("cancelled")]
                        self.later.append(LookupsAnswered(OVERLAY, [question], list(answers)))
                case _:
                    pass
        self.confirmed(event)

    def confirmed(self, event: Event) -> None:
        """What the plugin has said once, it may say again: the same rows may then be written."""
        if isinstance(event, TargetSet):
            self.model.untouched.pop(event.mac, None)
        elif isinstance(event, LookupsAnswered):
            for query, answer in zip(event.queries, event.answers, strict=True):
                if answer is not DEFERRED:
                    self.model.untouched.pop(query.key, None)

    def check_writes(self, event: Event, command: Command) -> None:
        """No row is written that was found as it is to be, but when frames show that it is not."""
        rows: dict[bytes, tuple[Target, ...]] = {}
        match command:
            case Install():
                rows = dict.fromkeys(command.macs, (command.target,))
            case InstallReplicas():
                rows = {command.mac: command.targets}
            case RemoveRows():
                rows = dict.fromkeys(command.macs, ())
            case _:
                pass
        for dst, targets in rows.items():
            found = self.model.untouched.pop(dst, None)
            if found is not None and isinstance(event, LookupsAnswered | TargetSet | RowsAdopted):
                assert set(found) != set(targets)

    def sent(self, command: Install | Resend) -> None:
        self.model.sent += [(frame, command.target) for frame in command.packets]

    def views(self) -> dict[bytes, State]:
        return {
            view.mac: State("valid" if view.state == "stale" else view.state)
            for view in self.engine.entries(OVERLAY)
        }

    def check_moves(self, before: dict[bytes, State]) -> None:
        after = self.views()
        for dst in before.keys() | after.keys():
            old, new = before.get(dst), after.get(dst)
            assert old == new or new in TRANSITIONS[old], f"{old} to {new}"


def alike(one: tuple[Target, ...], other: tuple[Target, ...]) -> bool:
    """Return whether rows lead to the same places: the kernel keeps no order of several."""
    return len(one) == len(other) and set(one) == set(other)


def installed(dst: bytes, answer: Target | Replicate | Drop) -> tuple[Target, ...]:
    """Return the targets that an answer leaves a MAC with."""
    match answer:
        case Target():
            return (answer,)
        case Replicate() if dst[0] & 1:
            return answer.targets
        case _:
            return ()


TestEntryLife = EntryLife.TestCase
TestEntryLife.settings = hypothesis_settings(max_examples=300, stateful_step_count=50)
