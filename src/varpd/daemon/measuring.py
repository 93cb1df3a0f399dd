"""What the control socket tells of how much and how fast: the half of the service that measures."""

from collections.abc import Sequence

from varpd.control.captures import Capture
from varpd.control.messages import ControlError, ErrorCode
from varpd.control.stats import OverlayStats
from varpd.control.streams import Stream
from varpd.daemon import exposition
from varpd.daemon.capturing import CAPTURES, Captures, CapturesFull
from varpd.daemon.metrics import Metrics
from varpd.daemon.overlays import Overlays
from varpd.daemon.runner import Runner


class Measuring:
    """Measures overlays; changes nothing."""

    def __init__(self, overlays: Overlays, runner: Runner, metrics: Metrics) -> None:
        """Take the overlays, the runner that serves them, and who collects what is counted."""
        self._overlays = overlays
        self._metrics = metrics
        self._captures = Captures(runner.observers)

    async def stats(self, names: Sequence[str]) -> list[OverlayStats]:
        """Return what was counted for the named overlays, or all in the order of their names."""
        found = [self._overlays.find(name) for name in names] if names else self._overlays.all()
        return await self._metrics.stats(found)

    async def metrics(self) -> Stream:
        """Return the metrics of the daemon, as Prometheus reads them."""
        return Stream(exposition.MEDIA, self._metrics.text())

    async def capture(self, name: str, wanted: Capture) -> Stream:
        """Return frames of an overlay from now on, as pcapng."""
        overlay = self._overlays.find(name)
        if not wanted.kinds:
            raise ControlError(ErrorCode.INVALID, "no kind of frames is asked for", "kinds")
        try:
            return self._captures.begin(name, overlay.plan.settings().headroom, wanted)
        except CapturesFull as exc:
            message = f"{CAPTURES} captures go on already, which is as many as may"
            raise ControlError(ErrorCode.BUSY, message) from exc
