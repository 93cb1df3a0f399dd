"""The half of the control client that only reads."""

from collections.abc import Iterator
from typing import Final, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from varpd.control.diagnosis import Diagnosis, Report
from varpd.control.explanation import Explanation
from varpd.control.messages import (
    API_VERSION,
    DEFAULT_SOCKET,
    ControlError,
    ErrorCode,
    EventInfo,
    HealthInfo,
    OverlayInfo,
    PluginsInfo,
    PortInfo,
    PropertyInfo,
    TargetInfo,
)
from varpd.control.stats import OverlayStats
from varpd.control.tracing import FIELDS, TraceInfo, TraceRequest
from varpd.control.transport import TIMEOUT, Transport

Answer = TypeVar("Answer")

OVERLAYS: Final = f"/v{API_VERSION}/overlays"
"""The path of all overlays."""


class Reader:
    """Asks the daemon. Every method raises `ControlError`, also when no daemon answers."""

    def __init__(self, path: str = DEFAULT_SOCKET, timeout: float = TIMEOUT) -> None:
        """Take the socket's path and the seconds to wait for the daemon; connect when called."""
        self._transport = Transport(path, timeout)
        self._call = self._transport.call

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def overlays(self) -> list[OverlayInfo]:
        """Return all overlays in the order of their names."""
        return decode(self._call("GET", OVERLAYS), list[OverlayInfo])

    def overlay(self, name: str) -> OverlayInfo:
        """Return one overlay."""
        return decode(self._call("GET", overlay_path(name)), OverlayInfo)

    def properties(self, name: str) -> list[PropertyInfo]:
        """Return the properties of an overlay."""
        return decode(self._call("GET", f"{overlay_path(name)}/properties"), list[PropertyInfo])

    def targets(self, name: str) -> list[TargetInfo]:
        """Return the table of an overlay in the order of the MACs."""
        return decode(self._call("GET", f"{overlay_path(name)}/targets"), list[TargetInfo])

    def ports(self, name: str) -> list[PortInfo]:
        """Return the guests' ports of an overlay in the order of their names."""
        return decode(self._call("GET", f"{overlay_path(name)}/ports"), list[PortInfo])

    def stats(self) -> list[OverlayStats]:
        """Return what was counted for all overlays, in the order of their names."""
        return decode(self._call("GET", f"/v{API_VERSION}/stats"), list[OverlayStats])

    def overlay_stats(self, name: str) -> OverlayStats:
        """Return what was counted for one overlay."""
        return decode(self._call("GET", f"{overlay_path(name)}/stats"), OverlayStats)

    def metrics(self) -> bytes:
        """Return the metrics of the daemon, as Prometheus reads them."""
        return self._call("GET", "/metrics")

    def plugins(self) -> PluginsInfo:
        """Return what overlays can be made of."""
        return decode(self._call("GET", f"/v{API_VERSION}/plugins"), PluginsInfo)

    def explain(self, name: str, address: str, *, ask: bool = False) -> Explanation:
        """Return why frames to a MAC, or to who has an overlay address, go where they go."""
        path = f"{overlay_path(name)}/explain/{quoted(address)}{'?ask=true' if ask else ''}"
        return decode(self._call("GET", path), Explanation)

    def trace(self, name: str, request: TraceRequest) -> TraceInfo:
        """Return step by step what would happen to a frame."""
        given = {key: value for key in FIELDS if (value := getattr(request, key)) is not None}
        query = urlencode(given | {"ask": "true" if request.ask else "false"})
        return decode(self._call("GET", f"{overlay_path(name)}/trace?{query}"), TraceInfo)

    def events(self, name: str | None = None) -> Iterator[EventInfo]:
        """Return what happens from now on, in one overlay or in all, until the daemon ends.

        No other call may be made meanwhile.
        """
        path = f"/v{API_VERSION}/events" if name is None else f"{overlay_path(name)}/events"
        lines = self._transport.lines("GET", path)
        return (decode(line, EventInfo) for line in lines)

    def diagnosis(self) -> Diagnosis:
        """Return what only the daemon knows of what may be wrong."""
        return decode(self._call("GET", f"/v{API_VERSION}/diagnosis"), Diagnosis)

    def report(self) -> Report:
        """Return what belongs into a bug report."""
        return decode(self._call("GET", f"/v{API_VERSION}/report"), Report)

    def health(self) -> HealthInfo:
        """Return whether the daemon works at all."""
        return decode(self._call("GET", "/healthz", also=(503,)), HealthInfo)

    def ready(self) -> HealthInfo:
        """Return whether all overlays have been brought up."""
        return decode(self._call("GET", "/readyz", also=(503,)), HealthInfo)


def overlay_path(name: str) -> str:
    """Return the path of an overlay.

    Raises:
        ControlError: no overlay can have this name.
    """
    return f"{OVERLAYS}/{quoted(name)}"


def quoted(text: str) -> str:
    """Return text as one segment of a path.

    Raises:
        ControlError: the text is empty or a step in the path, and so can be the name of nothing.
    """
    if text in ("", ".", ".."):
        raise ControlError(ErrorCode.NOT_FOUND, f"there is no {text!r}")
    return quote(text, safe="", errors="surrogateescape")


def decode(answer: bytes, kind: type[Answer]) -> Answer:
    """Return what an answer holds.

    Raises:
        ControlError: it is none of that kind.
    """
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise ControlError(
            ErrorCode.FAILED,
            f"the daemon's answer is not understood; is it another version? ({error})",
        ) from error
