"""What is known of one MAC: the states of an entry.

    absent ──punt──► PENDING ──Target──► VALID ──ttl near, in use──► REFRESHING ──Target──► VALID
                      │  ▲                 ▲                          │ failure: VALID, stale
            DROP,     │  │ punt after      │ late Target,             │ DROP: absent
            time-out  ▼  │ the hold        │ host.set_target
                     NEGATIVE ─────────────┘

    any but the administrator's ──invalidate, flush──► absent (PENDING is asked anew)
    absent, PENDING ──its rows are in the kernel already──► VALID (origin ADOPTED)
    any ──administrator──► VALID (origin ADMINISTRATOR) or BLOCKED

Entries are immutable values. The `Query` of a lookup is its ticket: an answer counts only while
the entry in the table holds that very query object. Whatever supersedes a lookup puts another
entry in its place, so an answer that was asked for before an invalidate, a set_target, a flush,
an administrator's change or a becoming-local can never be taken after it.
"""

import enum
from typing import Final

from msgspec import Struct

from varpd.provider.answers import Target
from varpd.provider.query import Query


class State(enum.Enum):
    """The state of an entry; a MAC without one is absent."""

    PENDING = "pending"
    VALID = "valid"
    REFRESHING = "refreshing"
    NEGATIVE = "negative"
    BLOCKED = "blocked"


class Origin(enum.Enum):
    """Who said it."""

    PLUGIN = "plugin"
    ADMINISTRATOR = "administrator"
    ADOPTED = "adopted"
    """Its rows were in the kernel when varpd came; the plugin has not been asked yet."""


TRANSITIONS: Final[dict[State | None, frozenset[State | None]]] = {
    None: frozenset({State.PENDING, State.VALID, State.BLOCKED}),
    State.PENDING: frozenset({State.PENDING, State.VALID, State.NEGATIVE, State.BLOCKED, None}),
    State.VALID: frozenset({State.VALID, State.REFRESHING, State.BLOCKED, None}),
    State.REFRESHING: frozenset({State.REFRESHING, State.VALID, State.BLOCKED, None}),
    State.NEGATIVE: frozenset({State.NEGATIVE, State.PENDING, State.VALID, State.BLOCKED, None}),
    State.BLOCKED: frozenset({State.BLOCKED, State.VALID, None}),
}
"""Which state may follow which; None is absent."""


Shape = tuple[int | None, int | None]
"""Ethertype and VLAN: frames of one shape are dropped alike."""

Holds = tuple[tuple[Shape, float], ...]
"""Shapes whose frames are dropped without asking, each with the time at which that ends."""

MAX_HOLDS: Final = 8
"""Shapes that are held off at once for one MAC; a guest chooses them, so they are bounded."""


class Waiting(Struct, gc=False):
    """Frames that wait for the answer about one MAC, in their order."""

    packets: list[bytes]
    """Each with the encapsulation's header in front."""

    size: int
    """Bytes of them all."""

    since: float = 0.0
    """When the first of them came, as `FramesPunted.arrived` says."""

    def add(self, packet: bytes) -> None:
        """Put a frame behind the others."""
        self.packets.append(packet)
        self.size += len(packet)


class Pending(Struct, frozen=True, gc=False, eq=False):
    """A lookup is in progress; frames may wait for it."""

    query: Query
    """The ticket."""

    waiting: Waiting
    """Frames that wait for the answer; empty where varpd itself asked."""

    holds: Holds = ()
    """Shapes that the plugin has dropped a moment ago."""


class Valid(Struct, frozen=True, gc=False, eq=False):
    """The target is known; one object serves all MACs that were learnt in one turn."""

    targets: tuple[Target, ...]
    """One for a unicast MAC, any number for a group MAC."""

    since: float
    """When it was learnt."""

    rows_at: float
    """From when on a punt means that the rows are missing: they are then written again."""

    origin: Origin = Origin.PLUGIN
    local: bool = False
    """The target is this host: no rows, and frames are dropped; the bridge has offered them."""

    stale: bool = False
    """A refresh failed; it stays in force and is tried again."""

    refused: bool = False
    """The kernel refused the rows: it is known that they are missing."""


class Refreshing(Struct, frozen=True, gc=False, eq=False):
    """The target is in force and being asked for anew."""

    valid: Valid
    query: Query
    """The ticket."""


class Negative(Struct, frozen=True, gc=False, eq=False):
    """Frames of some shapes are dropped without asking."""

    holds: Holds
    query: Query | None = None
    """The ticket of a lookup that is overdue, which later frames join."""


class Blocked(Struct, frozen=True, gc=False, eq=False):
    """The administrator wants frames dropped."""

    since: float


Entry = Pending | Valid | Refreshing | Negative | Blocked

_STATES: Final[dict[type, State]] = {
    Pending: State.PENDING,
    Valid: State.VALID,
    Refreshing: State.REFRESHING,
    Negative: State.NEGATIVE,
    Blocked: State.BLOCKED,
}


def state_of(entry: Entry) -> State:
    """Return the state that an entry is in."""
    return _STATES[type(entry)]


def ticket_of(entry: Entry | None) -> Query | None:
    """Return the query whose answer would count for `entry`, if there is one."""
    if isinstance(entry, Pending | Refreshing | Negative):
        return entry.query
    return None


def valid_of(entry: Entry | None) -> Valid | None:
    """Return the target that is in force, if one is."""
    if isinstance(entry, Refreshing):
        return entry.valid
    return entry if isinstance(entry, Valid) else None


def with_valid(entry: Entry, valid: Valid) -> Entry:
    """Return `entry`, VALID or REFRESHING, with `valid` in force instead."""
    return Refreshing(valid, entry.query) if isinstance(entry, Refreshing) else valid


def is_administrators(entry: Entry | None) -> bool:
    """Return whether the entry is the administrator's, above all that a plugin says."""
    if isinstance(entry, Blocked):
        return True
    return isinstance(entry, Valid) and entry.origin is Origin.ADMINISTRATOR


def origin_of(entry: Entry) -> Origin:
    """Return who said what is known; it is the plugin that is asked where nothing is."""
    if isinstance(entry, Blocked):
        return Origin.ADMINISTRATOR
    valid = valid_of(entry)
    return Origin.PLUGIN if valid is None else valid.origin


def is_adopted(entry: Entry | None) -> bool:
    """Return whether what is in force was found in the kernel, and said by nobody since."""
    valid = valid_of(entry)
    return valid is not None and valid.origin is Origin.ADOPTED


def is_still(entry: Entry | None, valid: Valid) -> bool:
    """Return whether `entry` is in force as it was when it was `valid`."""
    if not isinstance(entry, Valid) or is_administrators(entry):
        return False
    return entry.since == valid.since and entry.targets == valid.targets


def held(holds: Holds, shape: Shape, now: float) -> bool:
    """Return whether frames of `shape` are dropped without asking."""
    return any(item == shape and now < until for item, until in holds)


def active(holds: Holds, now: float) -> Holds:
    """Return the holds that have not ended."""
    return tuple((item, until) for item, until in holds if now < until)


def hold(holds: Holds, shape: Shape, until: float, now: float) -> Holds:
    """Return `holds` with `shape` held until `until`, without those that have ended."""
    others = [(item, end) for item, end in active(holds, now) if item != shape]
    return (*others[-(MAX_HOLDS - 1) :], (shape, until))
