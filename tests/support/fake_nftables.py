"""nftables without a kernel: takes the messages that the kernel takes, and tells what is there.

    there = FakeNftables()                 # or owners=False: a kernel that knows of no owners
    tables = GuardTables(there.session)
    there.flush()                          # what `nft flush ruleset` does

Of what the kernel checks, it checks what a batch in the wrong order would break.
"""

import copy
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft import expressions, objects, reading, wire
from varpd.datapath.linux.nft.reading import Attributes
from varpd.datapath.linux.nft.wire import Family, Kind, Message

TableName = tuple[int, str]


@dataclass
class FakeTable:
    """One table and all that is in it."""

    flags: int = 0
    owner: int = 0
    chains: dict[str, Attributes] = field(default_factory=dict)
    rules: list[Attributes] = field(default_factory=list)
    sets: dict[str, Attributes] = field(default_factory=dict)
    elements: dict[tuple[str, bytes, bool], Attributes] = field(default_factory=dict)


class FakeNftables:
    """The rule sets of one network namespace."""

    def __init__(self, *, owners: bool = True) -> None:
        """`owners`: whether the kernel knows owners of tables."""
        self.tables: dict[TableName, FakeTable] = {}
        self.refuse: int | None = None
        """An error number with which every change is refused."""

        self.lacks: frozenset[Family] = frozenset()
        """Families that the kernel does not have."""

        self.changes: list[list[Kind]] = []
        """What each change so far was made of."""

        self.disturbed = 0
        """How many dumps are still disturbed by somebody."""

        self._owners = owners
        self._ports = 100

    def session(self) -> "FakeSession":
        """Return a connection."""
        self._ports += 1
        return FakeSession(self, self._ports)

    def flush(self) -> None:
        """Remove all tables that nobody owns."""
        self.tables = {name: table for name, table in self.tables.items() if table.owner}

    def unregister(self, device: str) -> None:
        """Have a device be deleted, with whose ingress chain older kernels delete its chain."""
        for table in self.tables.values():
            for name in [n for n, c in table.chains.items() if _device(c) == device]:
                del table.chains[name]
                table.rules = [item for item in table.rules if item[2] != wire.text(name)]

    def names(self) -> list[str]:
        """Return the names of all chains, sorted."""
        return sorted(name for table in self.tables.values() for name in table.chains)

    def comments(self, chain: str) -> list[str]:
        """Return the comments of the rules of a chain."""
        return [
            rule.comment
            for table in self.tables.values()
            for rule in map(reading.rule, table.rules)
            if rule.chain == chain
        ]

    def apply(self, port: int, messages: Sequence[Message]) -> None:
        """Make changes, all or none.

        Raises:
            OSError: one is refused.
        """
        if self.refuse is not None:
            raise OSError(self.refuse, os.strerror(self.refuse))
        before = self.tables
        self.tables = copy.deepcopy(before)
        try:
            for message in messages:
                self._apply(port, message)
        except OSError:
            self.tables = before
            raise
        self.changes.append([message.kind for message in messages])

    def _apply(self, port: int, message: Message) -> None:
        found = netlink.attributes(message.attributes, 0, len(message.attributes))
        key = (int(message.family), wire.parse_text(found[1]))
        if message.family in self.lacks:
            raise _refusal(errno.EAFNOSUPPORT)
        if message.kind is Kind.NEWTABLE:
            self._new_table(key, wire.number(found.get(2, b"")), port)
            return
        table = self.tables.get(key)
        if table is None:
            raise _refusal(errno.ENOENT)
        if table.owner not in (0, port):
            raise _refusal(errno.EPERM)
        match message.kind:
            case Kind.DELTABLE:
                del self.tables[key]
            case Kind.NEWCHAIN | Kind.DELCHAIN:
                _change_chain(table, message.kind, found)
            case Kind.NEWRULE | Kind.DELRULE:
                _change_rules(table, message.kind, found)
            case Kind.NEWSET | Kind.DELSET:
                _change_set(table, message.kind, found)
            case Kind.NEWSETELEM | Kind.DELSETELEM:
                _change_elements(table, message.kind, found)
            case _:
                raise AssertionError(message.kind)

    def _new_table(self, key: TableName, flags: int, port: int) -> None:
        if flags and not self._owners:
            raise _refusal(errno.EOPNOTSUPP)
        table = self.tables.setdefault(key, FakeTable(flags))
        if table.owner not in (0, port):
            raise _refusal(errno.EPERM)
        if flags & objects.OWNER:
            if not table.flags & objects.PERSIST:
                raise _refusal(errno.EOPNOTSUPP)
            table.owner = port


class FakeSession:
    """A connection to `FakeNftables`, in the place of a `Session`."""

    def __init__(self, nftables: FakeNftables, port: int) -> None:
        """Made by `FakeNftables.session`."""
        self.port = port
        self._nftables = nftables

    def close(self) -> None:
        """See `Session.close`."""
        for name, table in list(self._nftables.tables.items()):
            if table.owner == self.port:
                table.owner = 0
                if not table.flags & objects.PERSIST:
                    del self._nftables.tables[name]

    def change(self, messages: Sequence[Message]) -> None:
        """See `Session.change`."""
        if messages:
            self._nftables.apply(self.port, messages)

    def dump(
        self, kind: Kind, family: Family, attributes: bytes = b""
    ) -> Iterator[tuple[int, Attributes]]:
        """See `Session.dump`."""
        if self._nftables.disturbed:
            self._nftables.disturbed -= 1
            raise _refusal(errno.EINTR)
        wanted = netlink.attributes(attributes, 0, len(attributes))
        found: list[tuple[int, Attributes]] = []
        for (number, name), table in self._nftables.tables.items():
            if number == family and wire.text(name) == wanted.get(1, wire.text(name)):
                found += [(number, item) for item in _told(table, kind, wanted)]
        return iter(found)

    def has_chain(self, table: objects.Table, name: str) -> bool:
        """See `Session.has_chain`."""
        found = self._nftables.tables.get((int(table.family), table.name))
        return found is not None and name in found.chains


def _told(table: FakeTable, kind: Kind, wanted: Attributes) -> list[Attributes]:
    match kind:
        case Kind.GETCHAIN:
            return list(table.chains.values())
        case Kind.GETRULE:
            return [item for item in table.rules if item[2] == wanted.get(2, item[2])]
        case Kind.GETSET:
            return list(table.sets.values())
        case Kind.GETSETELEM:
            return [item for key, item in table.elements.items() if wire.text(key[0]) == wanted[2]]
        case _:
            raise AssertionError(kind)


def _device(chain: Attributes) -> str | None:
    return reading.chain(0, chain).chain.device


def _refusal(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _change_chain(table: FakeTable, kind: Kind, found: Attributes) -> None:
    name = wire.parse_text(found[3])
    if kind is Kind.NEWCHAIN:
        table.chains[name] = found
        return
    targets = {e.goto for item in table.elements.values() for e in reading.elements(item)}
    if name not in table.chains:
        raise _refusal(errno.ENOENT)
    if name in targets or any(item[2] == found[3] for item in table.rules):
        raise _refusal(errno.EBUSY)
    del table.chains[name]


def _change_rules(table: FakeTable, kind: Kind, found: Attributes) -> None:
    if wire.parse_text(found[2]) not in table.chains:
        raise _refusal(errno.ENOENT)
    if kind is Kind.DELRULE:
        table.rules = [item for item in table.rules if item[2] != found[2]]
        return
    for name in _sets_of(found):
        if name not in table.sets:
            raise _refusal(errno.ENOENT)
    table.rules.append(found)


def _sets_of(rule: Attributes) -> list[str]:
    steps = expressions.parse(rule[4])
    return [wire.parse_text(step.attributes[1]) for step in steps if step.name == "lookup"]


def _change_set(table: FakeTable, kind: Kind, found: Attributes) -> None:
    name = wire.parse_text(found[2])
    if kind is Kind.NEWSET:
        table.sets[name] = found
        return
    if any(name in _sets_of(rule) for rule in table.rules):
        raise _refusal(errno.EBUSY)
    del table.sets[name]
    table.elements = {key: item for key, item in table.elements.items() if key[0] != name}


def _change_elements(table: FakeTable, kind: Kind, found: Attributes) -> None:
    name = wire.parse_text(found[2])
    if name not in table.sets:
        raise _refusal(errno.ENOENT)
    if 3 not in found:
        table.elements = {key: item for key, item in table.elements.items() if key[0] != name}
        return
    for element in reading.elements(found):
        key = (name, element.key, element.ends)
        if kind is Kind.NEWSETELEM:
            if element.goto is not None and element.goto not in table.chains:
                raise _refusal(errno.ENOENT)
            table.elements.setdefault(key, found)
        elif table.elements.pop(key, None) is None:
            raise _refusal(errno.ENOENT)


EVERYTHING: Final = (Family.INET, Family.NETDEV)
"""The families of the guard's tables."""
