"""The life of entries against a simple model, in every order of events that hypothesis finds.

The model is a plain record of what was said last about each MAC and which frames are where. It
knows nothing of tickets, shares or heaps.
"""

from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.script import HERE, OVERLAY, mac, packet, settings, target
from varpd.engine.commands import (
    AskUsage,
    CancelQuestions,
    Install,
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
    LocalAddressesChanged,
    LookupsAnswered,
    OverlayAdded,
    TableFlushed,
    TargetSet,
    UsageReported,
)
from varpd.provider.answers import Drop, Target
from varpd.provider.query import Query
from varpd.targets.entries import TRANSITIONS, State

MACS = st.integers(1, 4).map(mac).map(bytes)
HOSTS = st.integers(1, 4)
ETHERTYPES = st.sampled_from([0x88B5, 0x88B6])
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
    rows: dict[bytes, Target] = field(default_factory=dict)
    newest: dict[bytes, Target | None] = field(default_factory=dict)
    """The last word about a MAC: a target, or None for a word that leaves it without one."""

    pinned: dict[bytes, Target | None] = field(default_factory=dict)
    """The administrator's words."""

    punted: int = 0
    sent: list[bytes] = field(default_factory=list)
    local: frozenset[IPv4Address] = frozenset({HERE})


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
        self.tell(LocalAddressesChanged(frozenset({HERE})))
        self.tell(OverlayAdded(OVERLAY, settings(ttl=TTL)))
        self.tell(InstanceStarted(OVERLAY))

    # -- what happens --------------------------------------------------------------------------

    @rule(macs=st.lists(MACS, min_size=1, max_size=6), ethertype=ETHERTYPES)
    def frames_are_punted(self, macs: list[bytes], ethertype: int) -> None:
        packets = []
        for dst in macs:
            self.serial += 1
            packets.append(packet(dst, mac(99), self.serial.to_bytes(8, "big"), ethertype))
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
    @rule(data=st.data())
    def the_plugin_fails(self, data: st.DataObject) -> None:
        asked = self.pick(data)
        self.finish(asked)
        self.tell(LookupsAnswered(OVERLAY, [asked.query], [Failed("raised")]))

    @rule(host=st.none() | st.integers(0, 4), speaks=st.sampled_from(["", "invalidate", "set"]))
    def the_plugin_becomes_quick_or_slow(self, host: int | None, speaks: str) -> None:
        self.quick = host
        self.speaks = speaks

    @rule(dst=MACS, host=HOSTS)
    def the_plugin_sets_a_target(self, dst: bytes, host: int) -> None:
        self.supersede(dst)
        self.model.newest[dst] = target(host)
        self.tell(TargetSet(OVERLAY, dst, target(host)))

    @rule(dst=MACS)
    def the_plugin_invalidates(self, dst: bytes) -> None:
        self.supersede(dst)
        self.model.newest[dst] = None
        self.tell(Invalidated(OVERLAY, dst))

    @rule()
    def the_administrator_flushes(self) -> None:
        for dst in list(self.model.newest) + list(self.model.lookups):
            if dst not in self.model.pinned:
                self.supersede(dst)
                self.model.newest[dst] = None
        self.tell(TableFlushed(OVERLAY))

    @rule(dst=MACS, host=st.none() | HOSTS)
    def the_administrator_sets_an_entry(self, dst: bytes, host: int | None) -> None:
        self.supersede(dst, by_administrator=True)
        self.model.pinned[dst] = None if host is None else target(host)
        self.tell(EntrySet(OVERLAY, dst, self.model.pinned[dst]))

    @rule(dst=MACS)
    def the_administrator_deletes_an_entry(self, dst: bytes) -> None:
        self.supersede(dst, by_administrator=True)
        self.model.pinned.pop(dst, None)
        self.model.newest[dst] = None
        self.tell(EntryDeleted(OVERLAY, dst))

    @rule(hosts=st.sets(HOSTS))
    def local_addresses_change(self, hosts: set[int]) -> None:
        addresses = frozenset(IPv4Address(f"192.0.2.{host}") for host in hosts)
        became_local = addresses - self.model.local
        self.model.local = addresses
        for dst, known in self.model.newest.items():
            if known is not None and known.ip in became_local:
                self.supersede(dst)
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
        sent = counters.get("resent", 0)
        assert len(self.model.sent) == sent
        assert len(set(self.model.sent)) == len(self.model.sent)
        waiting = self.engine.waiting(OVERLAY)
        size = len(packet(mac(1), mac(2)))
        assert waiting % size == 0
        assert self.model.punted == sent + dropped + waiting // size

    @invariant()
    def rows_are_where_the_newest_word_says(self) -> None:
        for dst, row in self.model.rows.items():
            if dst in self.model.pinned:
                assert row == self.model.pinned[dst]
            else:
                assert row == self.model.newest.get(dst)
            assert row.ip not in self.model.local

    @invariant()
    def what_is_known_has_rows(self) -> None:
        for view in self.engine.entries(OVERLAY):
            known = view.targets[0] if view.targets else None
            remote = known is not None and known.ip not in self.model.local
            assert self.model.rows.get(view.mac) == (known if remote else None)

    @invariant()
    def remotes_are_the_targets_of_rows(self) -> None:
        assert self.engine.remotes(OVERLAY) == set(self.model.rows.values())

    @invariant()
    def the_administrator_is_above_all(self) -> None:
        views = {view.mac: view for view in self.engine.entries(OVERLAY)}
        for dst, said in self.model.pinned.items():
            assert views[dst].origin == "administrator"
            assert views[dst].targets == (() if said is None else (said,))

    @invariant()
    def one_lookup_at_a_time_for_a_mac(self) -> None:
        for asked in self.model.lookups.values():
            assert sum(not one.superseded for one in asked) <= 1

    # -- helpers -------------------------------------------------------------------------------

    def outstanding(self) -> list[Asked]:
        return [one for some in self.model.lookups.values() for one in some]

    def pick(self, data: st.DataObject) -> Asked:
        return data.draw(st.sampled_from(self.outstanding()))

    def finish(self, asked: Asked) -> bool:
        """Take a lookup out of the plugin's hands; return whether its answer counts."""
        self.model.lookups[asked.query.key].remove(asked)
        return not asked.superseded and asked.query.key not in self.model.pinned

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
            found = target(1 + self.serial % 4) if self.speaks == "set" else None
            self.supersede(dst)
            self.model.newest[dst] = found
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
                    and isinstance(answer, Target | Drop)
                    and self.finish(asked)
                ):
                    found = answer if isinstance(answer, Target) else None
                    self.model.newest[query.key] = found

    def carry_out(self, event: Event) -> None:
        before = self.views()
        commands = self.engine.handle(event, self.now)
        self.check_moves(before)
        for command in commands:
            match command:
                case StartLookups():
                    for query in command.queries:
                        asked = Asked(query, self.now)
                        self.model.lookups.setdefault(query.key, []).append(asked)
                    self.later.append(self.first_answers(command.queries))
                case Install():
                    for dst in command.macs:
                        self.model.rows[dst] = command.target
                    self.model.sent += command.packets
                case RemoveRows():
                    for dst in command.macs:
                        self.model.rows.pop(dst, None)
                case Resend():
                    self.model.sent += command.packets
                case AskUsage():
                    # Rows with an odd last byte are in use.
                    idle = [0.0 if dst[5] & 1 else 100.0 for dst in command.macs]
                    self.expect_expiry(command.macs)
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

    def expect_expiry(self, macs: list[bytes]) -> None:
        """Let the model forget what the engine may let go at the end of its ttl."""
        for dst in macs:
            if not dst[5] & 1 and dst not in self.model.pinned:
                views = {view.mac: view for view in self.engine.entries(OVERLAY)}
                if dst in views and views[dst].targets:
                    self.model.newest[dst] = views[dst].targets[0]

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


TestEntryLife = EntryLife.TestCase
TestEntryLife.settings = hypothesis_settings(max_examples=300, stateful_step_count=50)
