"""Why an instance works badly: a set of causes, each with a message and a time."""

import enum
from typing import Final

from msgspec import Struct

FAULT_QUIET: Final = 10.0
"""Seconds without a fault after which, with one good operation since, the fault is forgotten."""


class CauseKind(enum.Enum):
    """Who says that the instance works badly; the gravest first."""

    PANIC = "panic"
    """It gave up and is being restored."""

    RESTORE = "restore"
    """It could not be restored from its saved state."""

    START = "start"
    """It could not be started."""

    DATAPATH = "datapath"
    """The kernel does not do what it should."""

    GUARD = "guard"
    """Guests, host and underlay are not kept apart, or a firewall is in the way of frames."""

    PLUGIN = "plugin"
    """The plugin says so itself."""

    FAULT = "fault"
    """An operation failed."""

    SAVE = "save"
    """Its state cannot be saved."""


class Cause(Struct, frozen=True):
    """One reason why an instance works badly."""

    cause: CauseKind
    message: str
    """One sentence for the operator."""

    since: float
    """When it began, seconds since the epoch."""


_GRAVITY: Final = {kind: place for place, kind in enumerate(CauseKind)}


class Degradation:
    """The causes of one instance. Each is cleared only by who set it; `fault` clears by itself.

    ::

        no fault ──fault──► FAULT ──good──► FAULT, good since ──10 s without one──► no fault
                              ▲◄───────────fault───────┘
    """

    def __init__(self) -> None:
        self._causes: dict[CauseKind, Cause] = {}
        self._last_fault = 0.0
        self._good = False

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes, the gravest first."""
        return tuple(sorted(self._causes.values(), key=lambda cause: _GRAVITY[cause.cause]))

    @property
    def waits_for_good(self) -> bool:
        """Whether a good operation would help to clear the fault."""
        return CauseKind.FAULT in self._causes and not self._good

    def set(self, kind: CauseKind, message: str, epoch: float) -> bool:
        """Set a cause or give it another message, at `epoch`; return whether anything changed."""
        old = self._causes.get(kind)
        if old is not None and old.message == message:
            return False
        self._causes[kind] = Cause(kind, message, epoch if old is None else old.since)
        return True

    def clear(self, kind: CauseKind) -> bool:
        """Take a cause away; return whether it was there."""
        return self._causes.pop(kind, None) is not None

    def fault(self, message: str, now: float, epoch: float) -> bool:
        """Note a fault at `now` (monotonic); return whether anything changed."""
        self._last_fault = now
        self._good = False
        return self.set(CauseKind.FAULT, message, epoch)

    def good(self) -> None:
        """Note that an operation went well."""
        self._good = True

    def next_deadline(self) -> float | None:
        """When `advance` may have something to do (monotonic), or None."""
        if CauseKind.FAULT in self._causes and self._good:
            return self._last_fault + FAULT_QUIET
        return None

    def advance(self, now: float) -> bool:
        """Clear the fault if its time has come; return whether anything changed."""
        deadline = self.next_deadline()
        return deadline is not None and now >= deadline and self.clear(CauseKind.FAULT)
