"""What happened: everything that the engine can be told.

On the path of a punted frame one event carries a batch.
"""

from typing import Final

from msgspec import Struct

from varpd.engine.settings import Settings
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Answer, DhcpAnswer, NeighbourAnswer, Target
from varpd.provider.query import Query


class NeighbourQuestion(Struct, frozen=True, gc=False, eq=False):
    """Who has `address`? The object itself is what the answer belongs to."""

    address: IpAddress
    """The overlay address asked about."""


Question = Query | NeighbourQuestion
"""What a plugin is asked; the object itself is what the answer belongs to."""


class Deferred(Struct, frozen=True, gc=False):
    """No answer yet: the plugin thinks about it, the answer comes in a later event."""


class Failed(Struct, frozen=True, gc=False):
    """No answer: the plugin failed, was stopped, or took too long. It is counted elsewhere."""

    reason: str
    """Why, in words that may stand in a log."""


DEFERRED: Final = Deferred()


class OverlayAdded(Struct, frozen=True):
    """An overlay exists; its links are there."""

    overlay: str
    settings: Settings


class OverlayChanged(Struct, frozen=True):
    """An overlay's settings changed; vnetid, mode, kinds and headroom never do."""

    overlay: str
    settings: Settings


class OverlayRemoved(Struct, frozen=True):
    """An overlay goes; nothing more is done for it."""

    overlay: str


class InstanceStarted(Struct, frozen=True):
    """The overlay's instance answers questions from now on."""

    overlay: str


class InstanceStopped(Struct, frozen=True):
    """The overlay's instance answers no more; its outstanding questions are dropped.

    Each of them has `Failed` as its answer, which comes soon.
    """

    overlay: str


class FramesPunted(Struct, frozen=True, gc=False):
    """The kernel had no row for frames of an overlay."""

    overlay: str
    packets: list[bytes]
    """Each with the encapsulation's header in front, so that it can be resent as it is."""

    arrived: float = 0.0
    """When the first of them came, on the datapath's own clock; 0: that is not known."""


class LookupsAnswered(Struct, frozen=True, gc=False):
    """Answers to `StartLookups`; every query gets exactly one that is not `Deferred`.

    Targets in it are valid for the overlay and interned.
    """

    overlay: str
    queries: list[Query]
    answers: list[Answer | Deferred | Failed]


class NeighboursAnswered(Struct, frozen=True, gc=False):
    """Answers to `StartNeighbours`, likewise."""

    overlay: str
    questions: list[NeighbourQuestion]
    answers: list[NeighbourAnswer | Deferred | Failed]


class DhcpAnswered(Struct, frozen=True, gc=False):
    """Answers to `StartDhcp`, likewise."""

    overlay: str
    queries: list[Query]
    answers: list[DhcpAnswer | Deferred | Failed]


class TargetSet(Struct, frozen=True):
    """The plugin said, unasked, where a MAC is."""

    overlay: str
    mac: bytes
    target: Target


class Invalidated(Struct, frozen=True):
    """The plugin said that what is known of a MAC no longer holds."""

    overlay: str
    mac: bytes


class TargetsEnumerated(Struct, frozen=True):
    """The plugin told a slice of all that it knows; what is known already is left alone."""

    overlay: str
    pairs: list[tuple[bytes, Target]]


class Announced(Struct, frozen=True):
    """The plugin wants the local guests to hear that an address is at a MAC."""

    overlay: str
    mac: bytes
    address: IpAddress
    vlan: int | None
    destination: bytes | None


class DefaultTargetSet(Struct, frozen=True):
    """A POINT overlay's one target is known, or another."""

    overlay: str
    target: Target


class EntrySet(Struct, frozen=True):
    """The administrator said where a MAC is; None: frames to it are dropped."""

    overlay: str
    mac: bytes
    target: Target | None


class EntryDeleted(Struct, frozen=True):
    """The administrator took back an entry, or wants a MAC forgotten."""

    overlay: str
    mac: bytes


class TableFlushed(Struct, frozen=True):
    """The administrator wants all forgotten that the plugin said."""

    overlay: str


class LocalAddressesChanged(Struct, frozen=True):
    """The addresses that lead to this host, all of them."""

    addresses: frozenset[IpAddress]


class MacsLearned(Struct, frozen=True):
    """The kernel saw MACs as sources on a guest's port of the overlay's bridge."""

    overlay: str
    macs: list[bytes]


class MacsForgotten(Struct, frozen=True):
    """The kernel no longer has MACs on a guest's port."""

    overlay: str
    macs: list[bytes]


class RowsRefused(Struct, frozen=True):
    """The kernel refused rows; nothing of them is left in it."""

    overlay: str
    macs: list[bytes]
    error: str
    """What the kernel said, in words."""


class RowsAdopted(Struct, frozen=True):
    """Rows were in the kernel when the links of an overlay were taken over; a slice of them.

    What a later event says of the same MACs is newer.
    """

    overlay: str
    rows: list[tuple[bytes, tuple[Target, ...]]]
    """MACs, unicast and group, whose rows are whole, and where they lead."""

    torn: list[tuple[bytes, tuple[Target, ...]]]
    """MACs whose rows are not as varpd writes them: where they are meant to lead, as far as that
    can be told, else nothing."""


class LinksReady(Struct, frozen=True):
    """The links of an overlay are there, and all that was in them has been told."""

    overlay: str


class UsageReported(Struct, frozen=True):
    """The answer to `AskUsage`."""

    overlay: str
    macs: list[bytes]
    idle: list[float | None]
    """Seconds since each row carried a frame, or None where there is no row."""


class FoundRow(Struct, frozen=True, gc=False):
    """What the datapath has of one MAC."""

    targets: tuple[Target, ...] = ()
    """Where the tunnel device sends its frames; empty: the device has no row."""

    bridged: bool = False
    """Whether the bridge has the MAC behind the tunnel device."""

    fault: str = ""
    """What else keeps the rows from being as varpd writes them, in words; empty: nothing."""


class RowsTouched(Struct, frozen=True):
    """Somebody wrote or removed rows: who is not known, so it may have been varpd."""

    overlay: str
    written: list[bytes]
    """MACs with a row that varpd does not write so."""

    removed: list[bytes]
    """MACs that a row was removed of."""


class RowsFound(Struct, frozen=True):
    """The answer to `CheckRows`."""

    overlay: str
    macs: list[bytes]
    found: list[FoundRow | None]
    """For each MAC what there is; None where that cannot be found out."""


class TableRead(Struct, frozen=True):
    """A slice of the MACs that an overlay's tables have; it may be outdated by now."""

    overlay: str
    macs: list[bytes]


class TableLost(Struct, frozen=True):
    """All rows of an overlay went with its links, which were made anew."""

    overlay: str


class TablesDoubted(Struct, frozen=True):
    """What others did to rows was not seen: any row of any overlay may be amiss."""


class LinksDrifted(Struct, frozen=True):
    """Somebody changed an overlay's links."""

    overlay: str
    differences: list[str]
    """What was found, each in words."""

    repaired: bool
    """Whether it has been put right."""


class LinksWrong(Struct, frozen=True):
    """What is still amiss with an overlay's links, or None: all is well again."""

    overlay: str
    message: str | None


class PortsSeen(Struct, frozen=True):
    """The guests' ports that an overlay's bridge has now."""

    overlay: str
    ports: tuple[str, ...]


class GuardReported(Struct, frozen=True):
    """What keeps an overlay apart from others is amiss, in words; None: all is well."""

    overlay: str
    message: str | None


class CheckDue(Struct, frozen=True):
    """It is time to check the next `count` rows of the round through all overlays."""

    count: int


class DeadlinePassed(Struct, frozen=True):
    """The time that `Engine.next_deadline` named has come."""


Event = (
    OverlayAdded
    | OverlayChanged
    | OverlayRemoved
    | InstanceStarted
    | InstanceStopped
    | FramesPunted
    | LookupsAnswered
    | NeighboursAnswered
    | DhcpAnswered
    | TargetSet
    | Invalidated
    | TargetsEnumerated
    | Announced
    | DefaultTargetSet
    | EntrySet
    | EntryDeleted
    | TableFlushed
    | LocalAddressesChanged
    | MacsLearned
    | MacsForgotten
    | RowsRefused
    | RowsAdopted
    | LinksReady
    | UsageReported
    | RowsTouched
    | RowsFound
    | TableRead
    | TableLost
    | TablesDoubted
    | LinksDrifted
    | LinksWrong
    | PortsSeen
    | CheckDue
    | GuardReported
    | DeadlinePassed
)
