"""The client of the control socket: plain blocking calls, for commands that live for an instant."""

from collections.abc import Iterator, Mapping
from typing import Final, Self, TypeVar
from urllib.parse import quote

import msgspec

from varpd.control.diagnosis import Diagnosis, Report
from varpd.control.messages import (
    API_VERSION,
    DEFAULT_SOCKET,
    ControlError,
    CreateOverlay,
    ErrorCode,
    EventInfo,
    HealthInfo,
    OverlayInfo,
    PluginsInfo,
    PropertyInfo,
    SetEntry,
    SetProperties,
    TargetInfo,
)
from varpd.control.transport import TIMEOUT, Transport

Answer = TypeVar("Answer")

_OVERLAYS: Final = f"/v{API_VERSION}/overlays"


class Client:
    """Calls the daemon. Every method raises `ControlError`, also when no daemon answers."""

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

    def create(self, request: CreateOverlay) -> OverlayInfo:
        """Make an overlay."""
        return _decode(self._call("POST", _OVERLAYS, request), OverlayInfo)

    def delete(self, name: str) -> None:
        """Remove an overlay."""
        self._call("DELETE", _overlay(name))

    def set_properties(self, name: str, values: Mapping[str, str | None]) -> OverlayInfo:
        """Set properties of an overlay, all or none; None goes back to the default."""
        body = SetProperties(dict(values))
        return _decode(self._call("PATCH", f"{_overlay(name)}/properties", body), OverlayInfo)

    def set_entry(self, name: str, mac: str, target: str) -> None:
        """Say where a MAC is: ``IP:PORT``, ``[IPV6]:PORT`` or ``drop``."""
        self._call("PUT", f"{_overlay(name)}/entries/{_quoted(mac)}", SetEntry(target))

    def delete_entry(self, name: str, mac: str) -> None:
        """Forget a MAC."""
        self._call("DELETE", f"{_overlay(name)}/entries/{_quoted(mac)}")

    def flush(self, name: str) -> None:
        """Forget all that the plugin said."""
        self._call("POST", f"{_overlay(name)}/flush")

    def overlays(self) -> list[OverlayInfo]:
        """Return all overlays in the order of their names."""
        return _decode(self._call("GET", _OVERLAYS), list[OverlayInfo])

    def overlay(self, name: str) -> OverlayInfo:
        """Return one overlay."""
        return _decode(self._call("GET", _overlay(name)), OverlayInfo)

    def properties(self, name: str) -> list[PropertyInfo]:
        """Return the properties of an overlay."""
        return _decode(self._call("GET", f"{_overlay(name)}/properties"), list[PropertyInfo])

    def targets(self, name: str) -> list[TargetInfo]:
        """Return the table of an overlay in the order of the MACs."""
        return _decode(self._call("GET", f"{_overlay(name)}/targets"), list[TargetInfo])

    def plugins(self) -> PluginsInfo:
        """Return what overlays can be made of."""
        return _decode(self._call("GET", f"/v{API_VERSION}/plugins"), PluginsInfo)

    def events(self, name: str | None = None) -> Iterator[EventInfo]:
        """Return what happens from now on, in one overlay or in all, until the daemon ends.

        No other call may be made meanwhile.
        """
        path = f"/v{API_VERSION}/events" if name is None else f"{_overlay(name)}/events"
        lines = self._transport.lines("GET", path)
        return (_decode(line, EventInfo) for line in lines)

    def diagnosis(self) -> Diagnosis:
        """Return what only the daemon knows of what may be wrong."""
        return _decode(self._call("GET", f"/v{API_VERSION}/diagnosis"), Diagnosis)

    def report(self) -> Report:
        """Return what belongs into a bug report."""
        return _decode(self._call("GET", f"/v{API_VERSION}/report"), Report)

    def health(self) -> HealthInfo:
        """Return whether the daemon works at all."""
        return _decode(self._call("GET", "/healthz", also=(503,)), HealthInfo)

    def ready(self) -> HealthInfo:
        """Return whether all overlays have been brought up."""
        return _decode(self._call("GET", "/readyz", also=(503,)), HealthInfo)


def _overlay(name: str) -> str:
    return f"{_OVERLAYS}/{_quoted(name)}"


def _quoted(text: str) -> str:
    """Return text as one segment of a path.

    Raises:
        ControlError: the text is empty or a step in the path, and so can be the name of nothing.
    """
    if text in ("", ".", ".."):
        raise ControlError(ErrorCode.NOT_FOUND, f"there is no {text!r}")
    return quote(text, safe="", errors="surrogateescape")


def _decode(answer: bytes, kind: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise ControlError(
            ErrorCode.FAILED,
            f"the daemon's answer is not understood; is it another version? ({error})",
        ) from error
