"""Tells the datapath which targets there are, where only targets may send wrapped frames.

New ones are let in when frames are sent to them; this is for those that are no longer.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target

PERIOD: Final = 10.0
"""Seconds after which an address that is no target any more is let in no more, at most."""


class Known(Protocol):
    """Who knows the targets of an overlay."""

    def remotes(self, overlay: str) -> Iterable[Target]:
        """Return the targets that an overlay's frames are sent to, but for this host."""


class Sources:
    """Tells again and again; from `start` to `stop` in the event loop."""

    def __init__(
        self,
        overlays: Callable[[], Iterable[str]],
        known: Known,
        follow: Callable[[str, frozenset[IpAddress]], None],
    ) -> None:
        """Take what names the overlays where that is so, who knows targets, and who is told."""
        self._overlays = overlays
        self._known = known
        self._follow = follow
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin."""
        self._timer = asyncio.get_running_loop().call_later(PERIOD, self._tell)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        for overlay in self._overlays():
            remotes = self._known.remotes(overlay)
            self._follow(overlay, frozenset(t.ip for t in remotes if t.ip is not None))
        self.start()
