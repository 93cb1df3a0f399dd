"""What is in the guard's tables, by the overlay that each part of it is for."""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from varpd.datapath.linux import netlink
from varpd.datapath.linux.guard import layout
from varpd.datapath.linux.guard.layout import TABLES
from varpd.datapath.linux.nft import reading, wire
from varpd.datapath.linux.nft.content import Content
from varpd.datapath.linux.nft.objects import Chain, Element, Rule, Set, Table
from varpd.datapath.linux.nft.reading import Attributes
from varpd.datapath.linux.nft.wire import Family, Kind, Message

SHARED: Final = ""
"""In the place of an overlay's name: what all overlays share."""

TRIES: Final = 5
"""How often a table is read that somebody changes meanwhile."""

Parts = dict[str, dict[Table, Content]]
"""What is in the tables, by overlay or `SHARED`."""


class Connection(Protocol):
    """What `Session` is, as far as it is used here."""

    port: int

    def close(self) -> None:
        """End the connection."""

    def change(self, messages: Sequence[Message]) -> None:
        """Make changes, all at one moment."""

    def dump(
        self, kind: Kind, family: Family, attributes: bytes = b""
    ) -> Iterator[tuple[int, Attributes]]:
        """Return all objects of a kind."""

    def has_chain(self, table: Table, name: str) -> bool:
        """Return whether a table has a chain with that name."""


def read(session: Connection) -> Parts:
    """Return what is in our tables, which somebody may be changing meanwhile.

    Raises:
        OSError: the kernel refuses.
    """
    for _ in range(TRIES):
        try:
            return _read_once(session)
        except OSError as error:
            if error.errno != errno.EINTR:
                raise
    raise OSError(errno.EINTR, os.strerror(errno.EINTR))


def _read_once(session: Connection) -> Parts:
    parts: Parts = {}
    for table in TABLES:
        for name, content in by_owner(*_read_table(session, table)).items():
            parts.setdefault(name, {})[table] = content
    return parts


def _read_table(
    session: Connection, table: Table
) -> tuple[list[Chain], list[Set], list[Rule], list[Element]]:
    chains = [
        found.chain
        for family, item in session.dump(Kind.GETCHAIN, table.family)
        if (found := reading.chain(family, item)).table == table.name
    ]
    named = netlink.attribute(1, wire.text(table.name))
    if table == layout.BRIDGE and not chains:
        # It is there only where it is needed, and the kernel refuses to tell of no table.
        return [], [], [], []
    sets = [reading.named_set(item) for _, item in session.dump(Kind.GETSET, table.family, named)]
    elements = [
        element
        for item in sets
        for _, found in session.dump(
            Kind.GETSETELEM, table.family, named + netlink.attribute(2, wire.text(item.name))
        )
        for element in reading.elements(found)
    ]
    return chains, sets, read_rules(session, table), elements


def read_rules(session: Connection, table: Table, chain: str | None = None) -> list[Rule]:
    """Return the rules of a table, or of one chain of it.

    Raises:
        OSError: the kernel refuses.
    """
    which = netlink.attribute(1, wire.text(table.name))
    if chain is not None:
        which += netlink.attribute(2, wire.text(chain))
    return [reading.rule(item) for _, item in session.dump(Kind.GETRULE, table.family, which)]


def by_owner(
    chains: Iterable[Chain], sets: Iterable[Set], items: Iterable[Rule], elements: Iterable[Element]
) -> Mapping[str, Content]:
    """Return the content of a table by the overlay that each object is for."""
    names: dict[str, tuple[list[Chain], list[Set], list[Rule], list[Element]]] = {}

    def of(name: str) -> tuple[list[Chain], list[Set], list[Rule], list[Element]]:
        return names.setdefault(name, ([], [], [], []))

    for chain in chains:
        of(layout.owner_of(chain.name))[0].append(chain)
    for item in sets:
        of(layout.owner_of(item.name))[1].append(item)
    for rule in items:
        of(layout.owner_of(rule.chain))[2].append(rule)
    for element in elements:
        owner = layout.owner_of(element.set) or element.comment.partition(":")[0]
        of(owner)[3].append(element)
    return {
        name: Content(tuple(found[0]), tuple(found[1]), tuple(found[2]), frozenset(found[3]))
        for name, found in names.items()
    }
