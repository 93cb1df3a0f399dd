"""Which overlays there are on this host, and what each has for itself alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon import catalogue, creation, stored
from varpd.daemon.overlay import Overlay
from varpd.daemon.stored import Claim
from varpd.daemon.waiting import Waiting
from varpd.store.base import StoredOverlay

Defined = Overlay | Waiting
"""An overlay, at work or not."""


class Definitions:
    """All overlays of this host, by name."""

    def __init__(self) -> None:
        self._defined: dict[str, Defined] = {}
        self._claims: dict[str, Claim] = {}  # those of overlays that are being made, too

    def all(self) -> list[Overlay]:
        """Return all that are at work, in the order of their names."""
        return [item for item in self.defined() if isinstance(item, Overlay)]

    def defined(self) -> list[Defined]:
        """Return all, at work or not, in the order of their names."""
        return [self._defined[name] for name in sorted(self._defined)]

    def get(self, name: str) -> Defined:
        """Return one, at work or not.

        Raises:
            ControlError: there is none of that name.
        """
        found = self._defined.get(name)
        if found is None:
            raise ControlError(ErrorCode.NOT_FOUND, f"no overlay {name!r}", "name")
        return found

    def only_from_targets(self) -> list[str]:
        """Return the names of those whose wrapped frames may come from their targets only."""
        only = catalogue.TARGETS
        return [o.name for o in self.all() if o.plan.effective().get(catalogue.ALLOW_FROM) == only]

    def find(self, name: str) -> Overlay:
        """Return one that is at work.

        Raises:
            ControlError: there is none of that name, or it is not at work.
        """
        found = self.get(name)
        if isinstance(found, Waiting):
            message = f"overlay {name} is not at work: {found.why}"
            raise ControlError(ErrorCode.FAILED, message)
        return found

    @asynccontextmanager
    async def changing(self, name: str) -> AsyncIterator[Defined]:
        """Keep other changes of an overlay away, and give what there is of it now.

        Raises:
            ControlError: there is none, or another change takes too long.
        """
        async with self.get(name).turn.taken():
            yield self.get(name)

    def define(self, overlay: Defined) -> None:
        """Take in an overlay, in place of what there was under its name; it has its claim."""
        self._defined[overlay.name] = overlay

    def undefine(self, name: str) -> None:
        """Let go of an overlay and its claim."""
        self._defined.pop(name, None)
        self._claims.pop(name, None)

    def free_number(self, name: str) -> int:
        """Return a number for a new overlay.

        Raises:
            ControlError: there is an overlay of that name, or there are too many.
        """
        if name in self._claims:
            raise ControlError(ErrorCode.EXISTS, f"there is an overlay {name} already", "name")
        return creation.free_number(claim.number for claim in self._claims.values())

    def claim(self, record: StoredOverlay) -> None:
        """Keep name, number and vnetid for an overlay, from before it is made until it is gone.

        Raises:
            ControlError: another overlay has the vnetid.
        """
        claim = stored.claim_of(record)
        stored.check_claim(claim, self._claims.values())
        self._claims[claim.name] = claim
