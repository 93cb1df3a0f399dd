"""Those who hear of everything at once. None of them can make the daemon slower.

Each has a feed with a bound; what comes while it is full is lost to that one, who is told how much.
Records are put into words by who sends them, so that nothing is done here that need not be.
"""

from typing import Final

from varpd.control.streams import Feed
from varpd.daemon.records import Record

LISTENERS: Final = 16
"""Who may listen at a time; protects the daemon's time and memory."""

QUEUE: Final = 1024
"""Records that wait for one listener."""

WEIGHT: Final = 65_536
"""Records and MACs in them that wait for one listener, together."""

Heard = tuple[str, Record]
"""An overlay and what happened in it."""


class AudienceFull(Exception):  # noqa: N818 - named like what a plugin raises beside it
    """As many listen as may."""


class Audience:
    """All who listen."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.is_there = False
        """Whether anybody listens."""

        self._feeds: dict[Feed[Heard], str | None] = {}
        self._ended = False

    def listen(self, overlay: str | None = None) -> Feed[Heard]:
        """Return what is told of everything from now on, of one overlay or of all.

        Raises:
            AudienceFull: as many listen as may.
        """
        if len(self._feeds) >= LISTENERS:
            raise AudienceFull
        feed: Feed[Heard] = Feed(QUEUE, WEIGHT, lambda heard: heard[1].weight)
        if self._ended:
            feed.close()
        self._feeds[feed] = overlay
        self.is_there = True
        return feed

    def leave(self, feed: Feed[Heard]) -> None:
        """Let one go; that may be done more than once."""
        feed.close()
        self._feeds.pop(feed, None)
        self.is_there = bool(self._feeds)

    def tell(self, overlay: str, record: Record) -> None:
        """Let all hear of a record that care for its overlay."""
        for feed, wanted in self._feeds.items():
            if wanted is None or wanted == overlay:
                feed.put((overlay, record))

    def end(self) -> None:
        """Let nobody hear of anything more."""
        self._ended = True
        for feed in self._feeds:
            feed.close()
