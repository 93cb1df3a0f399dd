"""The client of the control socket: plain blocking calls, for commands that live for an instant."""

from collections.abc import Iterator, Mapping

from varpd.control.captures import Capture
from varpd.control.messages import (
    CreateOverlay,
    OverlayInfo,
    PortInfo,
    SetEntry,
    SetPort,
    SetProperties,
)
from varpd.control.reader import OVERLAYS, Reader, decode, overlay_path, quoted


class Client(Reader):
    """Calls the daemon. Every method raises `ControlError`, also when no daemon answers."""

    def create(self, request: CreateOverlay) -> OverlayInfo:
        """Make an overlay."""
        return decode(self._call("POST", OVERLAYS, request), OverlayInfo)

    def delete(self, name: str) -> None:
        """Remove an overlay."""
        self._call("DELETE", overlay_path(name))

    def set_properties(self, name: str, values: Mapping[str, str | None]) -> OverlayInfo:
        """Set properties of an overlay, all or none; None goes back to the default."""
        body = SetProperties(dict(values))
        return decode(self._call("PATCH", f"{overlay_path(name)}/properties", body), OverlayInfo)

    def forget_state(self, name: str) -> OverlayInfo:
        """Forget what the plugin saved, and start it from its properties alone."""
        return decode(self._call("POST", f"{overlay_path(name)}/forget-state"), OverlayInfo)

    def set_entry(self, name: str, mac: str, target: str) -> None:
        """Say where a MAC is: ``IP:PORT``, ``[IPV6]:PORT`` or ``drop``."""
        self._call("PUT", f"{overlay_path(name)}/entries/{quoted(mac)}", SetEntry(target))

    def delete_entry(self, name: str, mac: str) -> None:
        """Forget a MAC."""
        self._call("DELETE", f"{overlay_path(name)}/entries/{quoted(mac)}")

    def set_port(self, name: str, port: str, change: SetPort) -> PortInfo:
        """Say who the guest at a port is; what is left out of the change stays as it is."""
        return decode(self._call("PATCH", _port_path(name, port), change), PortInfo)

    def delete_port(self, name: str, port: str) -> None:
        """Forget what was said of a guest's port."""
        self._call("DELETE", _port_path(name, port))

    def capture(self, name: str, wanted: Capture) -> Iterator[bytes]:
        """Return frames of an overlay from now on, as pcapng; no other call may be made meanwhile.

        It has begun when this returns.
        """
        return self._transport.stream("POST", f"{overlay_path(name)}/capture", wanted)

    def flush(self, name: str) -> None:
        """Forget all that the plugin said."""
        self._call("POST", f"{overlay_path(name)}/flush")


def _port_path(name: str, port: str) -> str:
    return f"{overlay_path(name)}/ports/{quoted(port)}"
