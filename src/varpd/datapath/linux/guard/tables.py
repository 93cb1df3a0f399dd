"""The guard's rules in the kernel: put there, changed in steps, compared, put right.

Where the kernel has it, the tables are owned by the one socket that makes them, so that nobody
else can change them, and persist, so that they protect while no daemon runs; the next one takes
them over. Without that they are like anybody's tables, and need looking after all the more.

Everything here may block, and may be called from any thread.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

from varpd.datapath.linux.guard import antispoof, layout, matches, rules, shared, snapshot
from varpd.datapath.linux.guard.layout import BRIDGE, INET, NETDEV
from varpd.datapath.linux.guard.rules import Guarded
from varpd.datapath.linux.guard.snapshot import SHARED, Connection, Parts
from varpd.datapath.linux.nft import objects, reading, wire
from varpd.datapath.linux.nft.content import EMPTY, Content, difference, merge
from varpd.datapath.linux.nft.objects import Table
from varpd.datapath.linux.nft.session import Session
from varpd.datapath.linux.nft.wire import Message

_OWNED: Final = objects.OWNER | objects.PERSIST
_UNKNOWN_FLAGS: Final = (errno.EOPNOTSUPP, errno.EINVAL)


class GuardTables:
    """Keeps the rules of all overlays.

    What raises `OSError` has changed nothing in the kernel; what is wanted is kept in mind
    nevertheless, so that `check` tries again.
    """

    def __init__(self, connect: Callable[[], Connection] = Session) -> None:
        """`connect` returns a connection to nftables."""
        self.repairs = 0
        """How often something of ours was not as it should be, and was put right."""

        self._lock = threading.Lock()
        self._connect = connect
        self._session: Connection | None = None
        self._flags = _OWNED
        self._wanted: dict[str, Guarded] = {}
        self._there: Parts | None = None
        """What is in the kernel as far as is known; None: not known, or no tables."""

        self._tables: tuple[Table, ...] = (INET, NETDEV)
        """Those that are in use; once one more is, it stays until the last overlay goes."""

        self.lacking: OSError | None = None
        """Why there is no table for antispoof, though it is wanted; all else works without."""

    @property
    def port(self) -> int:
        """The netlink port that our changes come from; 0 before the first."""
        session = self._session
        return 0 if session is None else session.port

    @property
    def is_owner(self) -> bool:
        """Whether nobody else can change our tables."""
        return bool(self._flags)

    def put(self, item: Guarded) -> None:
        """Guard an overlay, or guard it otherwise.

        Raises:
            OSError: the kernel refuses.
        """
        with self._lock:
            self._wanted[item.overlay] = item
            self._look_at_bridge(item.overlay)
            self._bring((item.overlay, SHARED))

    def remove(self, overlay: str) -> None:
        """Guard an overlay no more; the tables go with the last one.

        Raises:
            OSError: the kernel refuses.
        """
        with self._lock:
            self._wanted.pop(overlay, None)
            self._bring((overlay, SHARED))

    def check(self, alive: Iterable[str] | None = None) -> bool:
        """Compare the tables with what is wanted and put them right; return whether they were.

        Args:
            alive: overlays whose links exist: what is there for others goes. None: all stay.

        Raises:
            OSError: the kernel refuses.
        """
        with self._lock:
            if not self._wanted and self._session is None:
                return True
            before = self._there
            self._take_over()
            there = self._there if self._there is not None else {}
            names = {*self._wanted, SHARED}
            if alive is not None:
                names |= set(there) - set(alive)
            changed = self._bring(names)
            if changed and before is not None:
                self.repairs += 1
            return not changed

    def counts(self) -> dict[int, tuple[int, int]]:
        """Return how many bridged packets netfilter saw, and how many got past all rules.

        The key is the family, 4 or 6.

        Raises:
            OSError: the kernel refuses.
        """
        with self._lock:
            if self._there is None:
                return {}
            seen, passed = (
                map(reading.counted, snapshot.read_rules(self._speaking(), INET, name))
                for name in (layout.SEEN, layout.PASSED)
            )
            return dict(zip(matches.NFPROTO, zip(seen, passed, strict=False), strict=False))

    def refused(self) -> dict[str, dict[str, int]]:
        """Return how many frames antispoof refused, by overlay and port, see `Datapath`.

        Raises:
            OSError: the kernel refuses.
        """
        found: dict[str, dict[str, int]] = {}
        with self._lock:
            if self._there is None or BRIDGE not in self._tables:
                return found
            for rule in snapshot.read_rules(self._speaking(), BRIDGE):
                port = layout.port_of(rule.chain)
                if port is not None:
                    counts = found.setdefault(layout.owner_of(rule.chain), {})
                    counts[port] = counts.get(port, 0) + reading.counted(rule)
        return found

    def close(self) -> None:
        """Let go; the tables stay, and protect."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def _content(self, name: str, left: bool) -> dict[Table, Content]:
        """Return what is wanted for an overlay, or of what all share, if any overlay is `left`."""
        if name == SHARED:
            found = {INET: shared.inet(os.geteuid(), self._ports())} if left else {}
            if left and BRIDGE in self._tables and _any_wanted(self._wanted):
                found[BRIDGE] = antispoof.shared()
            return found
        item = self._wanted.get(name)
        if item is None:
            return {}
        found = {INET: rules.inet(item), NETDEV: rules.netdev(item)}
        if BRIDGE in self._tables and antispoof.is_wanted(item):
            found[BRIDGE] = antispoof.bridge(item)
        return found

    def _ports(self) -> set[int]:
        """Return the listen ports; those of an earlier life too, while it is not over."""
        ports = {item.listen_port for item in self._wanted.values()}
        there = self._there if self._there is not None else {}
        if there.keys() - self._wanted.keys() - {SHARED}:
            shared = there.get(SHARED, {}).get(INET, EMPTY)
            ports |= {wire.number(e.key) for e in shared.elements if e.set == layout.PORTS}
        return ports

    def _look_at_bridge(self, overlay: str) -> None:
        """Forget the chain at a bridge if it is gone: before Linux 6.16 it goes with the bridge."""
        known = {} if self._there is None else self._there.get(overlay, {})
        name = layout.host_chain(overlay)
        if NETDEV in known and not self._speaking().has_chain(NETDEV, name):
            del known[NETDEV]

    def _bring(self, names: Iterable[str]) -> bool:
        """Make the named parts as they are wanted; return whether that took any change."""
        missing = BRIDGE not in self._tables and self.lacking is None
        if self._there is None or (missing and _any_wanted(self._wanted)):
            self._take_over()
        there = self._there if self._there is not None else {}
        names = sorted(names)
        kept = {name for name in there if name != SHARED} - set(names)
        left = bool(kept or self._wanted)
        if not left:
            self._delete()
            return bool(there)
        wanted = {name: self._content(name, left) for name in names}
        messages: list[Message] = []
        for table in self._tables:
            old = merge(there.get(name, {}).get(table, EMPTY) for name in names)
            new = merge(wanted[name].get(table, EMPTY) for name in names)
            messages += difference(table, old, new)
        try:
            self._change(messages)
        except OSError:
            self._rebuild({name: there[name] for name in kept})
            return True
        self._there = {name: parts for name, parts in {**there, **wanted}.items() if parts}
        return bool(messages)

    def _rebuild(self, kept: Parts) -> None:
        """Make the tables anew, all at one moment; for when steps do not lead there.

        `kept` is what is left of an earlier life.
        """
        wanted = kept | {name: self._content(name, left=True) for name in (*self._wanted, SHARED)}
        messages = []
        for table in self._tables:
            messages += [
                objects.new_table(table),
                objects.delete_table(table),
                objects.new_table(table, self._flags),
                *difference(table, EMPTY, merge(p.get(table, EMPTY) for p in wanted.values())),
            ]
        self._there = None
        self._change(messages)
        self._there = wanted

    def _delete(self) -> None:
        """Remove the tables."""
        messages = []
        for table in self._tables:
            messages += [objects.new_table(table), objects.delete_table(table)]
        self._change(messages)
        self._there = None
        self._tables = (INET, NETDEV)
        self.lacking = None

    def _change(self, messages: list[Message]) -> None:
        self._speaking().change(messages)

    def _speaking(self) -> Connection:
        if self._session is None:
            self._session = self._connect()
        return self._session

    def _take_over(self) -> None:
        """See that the tables are there and ours, and read what is in them."""
        try:
            self._change(_owned(self._tables, self._flags))
        except OSError as error:
            if error.errno not in _UNKNOWN_FLAGS:
                raise
            if self._flags:
                self._flags = 0
                with suppress(OSError):
                    self._change(_owned(self._tables, self._flags))
        self.lacking = None
        if _any_wanted(self._wanted):
            self._add_bridge()
        self._there = snapshot.read(self._speaking())
        if any(BRIDGE in parts for parts in self._there.values()):
            # Also that of an earlier life: only who owns it may take it away.
            self._add_bridge()

    def _add_bridge(self) -> None:
        """Use the table for antispoof, too, where the kernel has its family."""
        if BRIDGE in self._tables:
            return
        try:
            self._change(_owned((BRIDGE,), self._flags))
        except OSError as error:
            self.lacking = error
        else:
            self._tables = (*self._tables, BRIDGE)


def _owned(tables: Iterable[Table], flags: int) -> list[Message]:
    """Return the messages that make tables, or take over those without an owner."""
    return [objects.new_table(table, flags) for table in tables]


def _any_wanted(items: Mapping[str, Guarded]) -> bool:
    """Return whether antispoof is on anywhere."""
    return any(map(antispoof.is_wanted, items.values()))
