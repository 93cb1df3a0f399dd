"""What the daemon does for those who ask over the control socket."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from varpd.control.captures import Capture
from varpd.control.diagnosis import Diagnosis, Report
from varpd.control.explanation import Explanation
from varpd.control.messages import (
    CreateOverlay,
    HealthInfo,
    OverlayInfo,
    PluginsInfo,
    PortInfo,
    PropertyInfo,
    SetPort,
    TargetInfo,
)
from varpd.control.stats import OverlayStats
from varpd.control.streams import Stream
from varpd.control.tracing import TraceInfo, TraceRequest


class Changes(Protocol):
    """What can be changed.

    When a method returns, the change is in force and survives a restart; when it raises
    `ControlError`, nothing has changed.
    """

    async def create(self, request: CreateOverlay) -> OverlayInfo:
        """Make an overlay, or take over the links of one that a killed daemon left."""

    async def delete(self, name: str) -> None:
        """Remove an overlay, its links and rows."""

    async def set_properties(self, name: str, values: Mapping[str, str | None]) -> OverlayInfo:
        """Set properties of an overlay, all or none; None goes back to the default."""

    async def forget_state(self, name: str) -> OverlayInfo:
        """Forget what the plugin saved, and start it from its properties alone."""

    async def set_entry(self, name: str, mac: str, target: str) -> None:
        """Say where a MAC is (``IP:PORT``, ``[IPV6]:PORT``), or that frames to it are dropped."""

    async def delete_entry(self, name: str, mac: str) -> None:
        """Forget a MAC, be it the administrator's or the plugin's word."""

    async def flush(self, name: str) -> None:
        """Forget all that the plugin said; the administrator's entries stay."""

    async def set_port(self, name: str, port: str, change: SetPort) -> PortInfo:
        """Say who the guest at a port is, before or after the link is there."""

    async def delete_port(self, name: str, port: str) -> None:
        """Forget what was said of a guest's port."""


class Service(Changes, Protocol):
    """The daemon as its control socket sees it. Every method may raise `ControlError`."""

    async def overlays(self, names: Sequence[str]) -> list[OverlayInfo]:
        """Return the named overlays, or all in the order of their names."""

    async def properties(self, name: str) -> list[PropertyInfo]:
        """Return an overlay's properties: varpd's own, the encapsulation's, the plugin's."""

    async def targets(self, name: str) -> list[TargetInfo]:
        """Return an overlay's table in the order of the MACs."""

    async def ports(self, name: str) -> list[PortInfo]:
        """Return the guests' ports of an overlay in the order of their names."""

    async def stats(self, names: Sequence[str]) -> list[OverlayStats]:
        """Return what was counted for the named overlays, or all in the order of their names."""

    async def capture(self, name: str, wanted: Capture) -> Stream:
        """Return frames of an overlay from now on, as pcapng."""

    async def metrics(self) -> Stream:
        """Return the metrics of the daemon, as Prometheus reads them."""

    async def plugins(self) -> PluginsInfo:
        """Return what is loaded, what was refused, and the encapsulations."""

    async def explain(self, name: str, address: str, *, ask: bool) -> Explanation:
        """Say why frames to a MAC, or to who has an overlay address, go where they go.

        With `ask` the plugin is asked who has the address.
        """

    async def trace(self, name: str, request: TraceRequest) -> TraceInfo:
        """Say step by step what would happen to a frame; nothing is sent, nothing changes."""

    async def events(self, name: str | None) -> Stream:
        """Return what happens from now on, in one overlay or in all, as lines of `EventInfo`."""

    async def diagnosis(self) -> Diagnosis:
        """Return what only the daemon knows of what may be wrong; it may take seconds."""

    async def report(self) -> Report:
        """Return what belongs into a bug report, secrets left out; it may take seconds."""

    async def health(self) -> HealthInfo:
        """Return whether the daemon works at all."""

    async def ready(self) -> HealthInfo:
        """Return whether every overlay that should be there has been brought up or is degraded."""
