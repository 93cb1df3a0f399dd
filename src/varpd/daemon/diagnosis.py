"""What the control socket tells of what happens and why: the half of the service that explains."""

from varpd.control.messages import ControlError, ErrorCode
from varpd.control.streams import Stream
from varpd.daemon import hearing
from varpd.daemon.audience import LISTENERS, AudienceFull
from varpd.daemon.journal import Journal
from varpd.daemon.overlays import Overlays


class Diagnosis:
    """Explains overlays; changes nothing."""

    def __init__(self, overlays: Overlays, journal: Journal) -> None:
        """Take the overlays, and what remembers what happened."""
        self._overlays = overlays
        self._journal = journal

    async def events(self, name: str | None) -> Stream:
        """Return what happens from now on, in one overlay or in all, as lines of `EventInfo`."""
        if name is not None:
            self._overlays.find(name)
        try:
            return hearing.listen(self._journal.audience, name)
        except AudienceFull as exc:
            message = f"{LISTENERS} listen already, which is as many as may"
            raise ControlError(ErrorCode.BUSY, message) from exc

    def end_events(self) -> None:
        """Let those who listen hear no more."""
        self._journal.audience.end()
