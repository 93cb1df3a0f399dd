"""What is remembered of an event or a command: a record a batch, of references, without words.

`varpd.daemon.happenings` puts records into words when somebody asks.
"""

import enum
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from varpd.engine import commands, events
from varpd.provider.answers import Target


class Kind(enum.Enum):
    """What happened; the values are those of `varpd.control.messages.EventInfo`."""

    ANSWERED = "answered"
    """The plugin was asked where MACs are. Detail: its answers."""

    NEIGHBOUR = "neighbour"
    """The plugin was asked who has addresses. Detail: addresses with its answers."""

    DHCP = "dhcp"
    """The plugin was asked for the DHCP server of clients. Detail: its answers."""

    TARGET_SET = "target-set"
    """The plugin said unasked where a MAC is. Detail: the target."""

    INVALIDATED = "invalidated"
    """The plugin said that what is known of a MAC no longer holds."""

    ENUMERATED = "enumerated"
    """The plugin told what it knows. Detail: the targets."""

    ANNOUNCED = "announced"
    """The plugin had an address announced to the guests. Detail: the address."""

    DEFAULT_SET = "default-set"
    """The one target of a POINT overlay is known, or another. Detail: the target."""

    ENTRY_SET = "entry-set"
    """The administrator said where a MAC is. Detail: the target; None: drop."""

    ENTRY_DELETED = "entry-deleted"
    """The administrator took an entry away."""

    FLUSHED = "flushed"
    """The administrator had all forgotten that the plugin said."""

    ROWS_WRITTEN = "rows-written"
    """Rows were handed to the kernel. Detail: the target, or those of a group MAC."""

    ROWS_REMOVED = "rows-removed"
    """Rows were taken from the kernel. Detail: why, if what came before does not say it."""

    ROWS_REFUSED = "rows-refused"
    """The kernel refused rows. Detail: what it said."""

    ADOPTED = "adopted"
    """Rows were found in the kernel when the links were taken over. Detail: their targets."""

    TORN = "torn"
    """Rows were found that are not as varpd writes them, likewise."""

    LEARNED = "learned"
    """The bridge saw MACs as sources on a guest's port."""

    FORGOTTEN = "forgotten"
    """The bridge no longer has MACs on a guest's port."""

    FAULT = "fault"
    """The engine found a fault of the plugin. Detail: the fault."""

    NOTE = "note"
    """Something that an operator may want to know. Detail: it."""

    DEGRADED = "degraded"
    """The overlay works badly, or for another reason. Detail: the cause and its message."""

    RECOVERED = "recovered"
    """A cause is gone. Detail: the cause."""

    STARTED = "started"
    """The plugin began to work."""

    STOPPED = "stopped"
    """The plugin ceased to work."""

    ADDED = "overlay-added"
    """The overlay was made."""

    CHANGED = "overlay-changed"
    """Settings of the overlay are others. Detail: which."""

    REMOVED = "overlay-removed"
    """The overlay was removed."""


TRAFFIC: Final = frozenset(
    {
        Kind.ANSWERED,
        Kind.NEIGHBOUR,
        Kind.DHCP,
        Kind.TARGET_SET,
        Kind.INVALIDATED,
        Kind.ENUMERATED,
        Kind.ANNOUNCED,
        Kind.ROWS_WRITTEN,
        Kind.ROWS_REMOVED,
        Kind.ROWS_REFUSED,
        Kind.ADOPTED,
        Kind.TORN,
        Kind.LEARNED,
        Kind.FORGOTTEN,
        Kind.FAULT,
        Kind.NOTE,
    }
)
"""What guests and plugins can cause in any number."""

KEPT: Final = 64
"""MACs of one record that are kept, as many as a batch of frames has; of more only the number."""

Detail = Any
"""What more there is to a record; each kind says what."""

Fields = tuple[str, Kind, Sequence[bytes], Detail]
"""Overlay, kind, MACs and detail of a record."""


class Record(Struct, frozen=True, gc=False):
    """Something that happened in one overlay."""

    number: int
    """Later records have higher ones."""

    at: float
    """When, by the clock of the loop."""

    kind: Kind
    macs: Sequence[bytes]
    """The first of the MACs that it is about; none: the overlay."""

    count: int
    """How many there were."""

    detail: Detail

    @property
    def weight(self) -> int:
        """What it takes of the memory, in records and MACs."""
        return 1 + len(self.macs)


class Batch(Struct, frozen=True, gc=False):
    """Targets that the plugin answered, all of one batch: what comes in thousands a second."""

    number: int
    at: float
    found: list[tuple[Target, list[bytes]]]
    """The targets with their MACs, whose rows were handed to the kernel."""

    def records(self) -> Iterator[Record]:
        """Yield the same as records, the latest first."""
        macs: list[bytes] = []
        answers: list[Target] = []
        for target, some in reversed(self.found):
            kept = some[:KEPT]
            yield Record(self.number, self.at, Kind.ROWS_WRITTEN, kept, len(some), target)
            macs += kept
            answers += [target] * len(kept)
        yield Record(self.number, self.at, Kind.ANSWERED, macs, len(macs), answers)


def _replicas(command: commands.InstallReplicas) -> Fields:
    kind = Kind.ROWS_WRITTEN if command.targets else Kind.ROWS_REMOVED
    return command.overlay, kind, (command.mac,), command.targets


def _adopted(event: events.RowsAdopted) -> Fields:
    # Slices have one or the other.
    kind, found = (Kind.ADOPTED, event.rows) if event.rows else (Kind.TORN, event.torn)
    return event.overlay, kind, [mac for mac, _ in found], [to for _, to in found[:KEPT]]


def _report(command: commands.ReportDatapath | commands.ReportGuard) -> Fields | None:
    # What is gone is told by the causes of the instance.
    if command.message is None:
        return None
    return command.overlay, Kind.NOTE, (), command.message


MAKERS: Final[dict[type, Callable[[Any], Fields | None]]] = {
    events.LookupsAnswered: lambda event: (
        event.overlay,
        Kind.ANSWERED,
        [query.key for query in event.queries],
        event.answers,
    ),
    events.NeighboursAnswered: lambda event: (
        event.overlay,
        Kind.NEIGHBOUR,
        (),
        [(q.address, answer) for q, answer in zip(event.questions, event.answers, strict=True)],
    ),
    events.DhcpAnswered: lambda event: (
        event.overlay,
        Kind.DHCP,
        [bytes(query.src or query.dst) for query in event.queries],
        event.answers,
    ),
    events.TargetSet: lambda event: (event.overlay, Kind.TARGET_SET, (event.mac,), event.target),
    events.Invalidated: lambda event: (event.overlay, Kind.INVALIDATED, (event.mac,), None),
    events.TargetsEnumerated: lambda event: (
        event.overlay,
        Kind.ENUMERATED,
        [mac for mac, _ in event.pairs],
        [target for _, target in event.pairs[:KEPT]],
    ),
    events.Announced: lambda event: (event.overlay, Kind.ANNOUNCED, (event.mac,), event.address),
    events.DefaultTargetSet: lambda event: (event.overlay, Kind.DEFAULT_SET, (), event.target),
    events.EntrySet: lambda event: (event.overlay, Kind.ENTRY_SET, (event.mac,), event.target),
    events.EntryDeleted: lambda event: (event.overlay, Kind.ENTRY_DELETED, (event.mac,), None),
    events.TableFlushed: lambda event: (event.overlay, Kind.FLUSHED, (), None),
    events.MacsLearned: lambda event: (event.overlay, Kind.LEARNED, event.macs, None),
    events.MacsForgotten: lambda event: (event.overlay, Kind.FORGOTTEN, event.macs, None),
    events.RowsRefused: lambda event: (
        event.overlay,
        Kind.ROWS_REFUSED,
        event.macs,
        event.error,
    ),
    events.RowsAdopted: _adopted,
    events.InstanceStarted: lambda event: (event.overlay, Kind.STARTED, (), None),
    events.InstanceStopped: lambda event: (event.overlay, Kind.STOPPED, (), None),
    events.OverlayAdded: lambda event: (event.overlay, Kind.ADDED, (), None),
    events.OverlayRemoved: lambda event: (event.overlay, Kind.REMOVED, (), None),
    commands.Install: lambda command: (
        (command.overlay, Kind.ROWS_WRITTEN, command.macs, command.target) if command.macs else None
    ),
    commands.InstallReplicas: _replicas,
    commands.RemoveRows: lambda command: (
        command.overlay,
        Kind.ROWS_REMOVED,
        command.macs,
        command.reason,
    ),
    commands.ReportFault: lambda command: (command.overlay, Kind.FAULT, (), command.message),
    commands.ReportDatapath: _report,
    commands.ReportGuard: _report,
    commands.Note: lambda command: (
        command.overlay,
        Kind.NOTE,
        () if command.mac is None else (command.mac,),
        command.text,
    ),
}
"""What is remembered of which event and command; of others nothing is."""
