"""What the engine knows of one MAC, for those who explain it. Looking changes nothing."""

from msgspec import Struct

from varpd.engine.overlay import Overlay
from varpd.provider.answers import Target
from varpd.targets.entries import (
    Entry,
    Negative,
    Pending,
    Shape,
    active,
    is_administrators,
    origin_of,
    state_of,
    ticket_of,
    valid_of,
)


class Hold(Struct, frozen=True):
    """Frames of one shape are dropped without asking."""

    shape: Shape
    ends_in: float
    """Seconds until the plugin is asked again."""


class Portrait(Struct, frozen=True):
    """One MAC of an overlay at one moment."""

    state: str
    """As in `EntryView`, or ``absent``."""

    origin: str | None
    """``plugin``, ``administrator`` or ``adopted``; None where nothing is known."""

    targets: tuple[Target, ...]
    """Where its frames go; empty unless that is known."""

    remote: tuple[Target, ...]
    """The targets that are not this host: those that rows lead to."""

    local: bool
    """Whether all targets are this host, so that there are no rows."""

    age: float | None
    """Seconds since the target was learnt."""

    expires_in: float | None
    """Seconds until the target ends unless it is in use; None: it holds until further notice."""

    rows_due: bool
    """Whether the rows must be in the kernel by now; else they may be on their way."""

    asked: bool
    """Whether the plugin is being asked."""

    waiting_frames: int
    waiting_bytes: int
    """What waits for the answer."""

    holds: tuple[Hold, ...]
    learned: bool
    """Whether a guest here has sent from it."""


def portray(overlay: Overlay, mac: bytes, now: float) -> Portrait:
    """Return what is known of a MAC."""
    entry = overlay.entries.get(mac)
    valid = valid_of(entry)
    targets = () if valid is None else valid.targets
    waiting = entry.waiting if isinstance(entry, Pending) else None
    holds = active(entry.holds, now) if isinstance(entry, Pending | Negative) else ()
    return Portrait(
        state=_state(entry),
        origin=None if entry is None else origin_of(entry).value,
        targets=targets,
        remote=overlay.here.others(targets),
        local=valid is not None and valid.local,
        age=None if valid is None else now - valid.since,
        expires_in=_expires_in(overlay, entry, now),
        rows_due=valid is not None and not valid.local and valid.rows_at <= now,
        asked=ticket_of(entry) is not None,
        waiting_frames=0 if waiting is None else len(waiting.packets),
        waiting_bytes=0 if waiting is None else waiting.size,
        holds=tuple(Hold(shape, until - now) for shape, until in holds),
        learned=mac in overlay.learned,
    )


def _state(entry: Entry | None) -> str:
    if entry is None:
        return "absent"
    valid = valid_of(entry)
    return "stale" if valid is entry and valid.stale else state_of(entry).value


def _expires_in(overlay: Overlay, entry: Entry | None, now: float) -> float | None:
    valid, ttl = valid_of(entry), overlay.settings.ttl
    if valid is None or ttl is None or is_administrators(entry):
        return None
    return max(0.0, valid.since + ttl - now)
