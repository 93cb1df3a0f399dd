"""What the control socket tells of how much and how fast: the half of the service that measures."""

from collections.abc import Sequence

from varpd.control.stats import OverlayStats
from varpd.control.streams import Stream
from varpd.daemon import exposition
from varpd.daemon.metrics import Metrics
from varpd.daemon.overlays import Overlays


class Measuring:
    """Measures overlays; changes nothing."""

    def __init__(self, overlays: Overlays, metrics: Metrics) -> None:
        """Take the overlays, and who collects what is counted."""
        self._overlays = overlays
        self._metrics = metrics

    async def stats(self, names: Sequence[str]) -> list[OverlayStats]:
        """Return what was counted for the named overlays, or all in the order of their names."""
        found = [self._overlays.find(name) for name in names] if names else self._overlays.all()
        return [await self._metrics.stats(overlay) for overlay in found]

    async def metrics(self) -> Stream:
        """Return the metrics of the daemon, as Prometheus reads them."""
        return Stream(exposition.MEDIA, self._metrics.text())
