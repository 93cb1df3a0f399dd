"""The client of the control socket: plain blocking calls, for commands that live for an instant."""

import http.client
import socket
from collections.abc import Mapping
from typing import Final, Self, TypeVar
from urllib.parse import quote

import msgspec

from varpd.control.messages import (
    API_VERSION,
    DEFAULT_SOCKET,
    GROUP,
    MAX_REQUEST,
    ControlError,
    CreateOverlay,
    ErrorCode,
    ErrorInfo,
    HealthInfo,
    OverlayInfo,
    PluginsInfo,
    PropertyInfo,
    SetEntry,
    SetProperties,
    TargetInfo,
)

TIMEOUT: Final = 60.0
"""Seconds without a byte from the daemon after which a call is given up. A creation may have to
wait for a plugin, which has 30 s to start."""

Answer = TypeVar("Answer")

_OVERLAYS: Final = f"/v{API_VERSION}/overlays"


class Client:
    """Calls the daemon. Every method raises `ControlError`, also when no daemon answers."""

    def __init__(self, path: str = DEFAULT_SOCKET, timeout: float = TIMEOUT) -> None:
        """Take the socket's path and the seconds to wait for the daemon; connect when called."""
        self._path = path
        self._timeout = timeout
        self._connection = _UnixConnection(path, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

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

    def health(self) -> HealthInfo:
        """Return whether the daemon works at all."""
        return _decode(self._call("GET", "/healthz", also=(503,)), HealthInfo)

    def ready(self) -> HealthInfo:
        """Return whether all overlays have been brought up."""
        return _decode(self._call("GET", "/readyz", also=(503,)), HealthInfo)

    def _call(
        self, method: str, path: str, body: msgspec.Struct | None = None, also: tuple[int, ...] = ()
    ) -> bytes:
        """Return the body of the answer; statuses in `also` are no errors."""
        content = None if body is None else _encode(body)
        try:
            self._connection.request(
                method, path, content, {"Content-Type": "application/json"} if content else {}
            )
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._unreachable(error) from error
        if response.status >= http.client.BAD_REQUEST and response.status not in also:
            raise _refusal(response.status, answer)
        return answer

    def _unreachable(self, error: Exception) -> ControlError:
        at = self._path
        code = ErrorCode.UNREACHABLE
        match error:
            case FileNotFoundError():
                message = f"no daemon: {at} does not exist; start it with `{self._start()}`"
            case TimeoutError():
                message = (
                    f"the daemon at {at} did not answer within {self._timeout:g} s; what was asked"
                    " may still be done"
                )
            case ConnectionRefusedError():
                message = f"no daemon listens on {at} any more; start it with `{self._start()}`"
            case PermissionError():
                code = ErrorCode.FORBIDDEN
                message = f"permission denied on {at}: be root, or a member of group {GROUP}"
            case ConnectionError() | http.client.HTTPException():
                message = f"the daemon at {at} broke the connection off"
            case _:
                message = f"cannot connect to {at}: {error}"
        return ControlError(code, message)

    def _start(self) -> str:
        return "varpd" if self._path == DEFAULT_SOCKET else f"varpd --socket {self._path}"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost")
        self._unix_path = path
        self._unix_timeout = timeout

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._unix_timeout)
        self.sock.connect(self._unix_path)


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


def _encode(body: msgspec.Struct) -> bytes:
    try:
        encoded = msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise ControlError(ErrorCode.BAD_REQUEST, "the request holds text not in UTF-8") from error
    if len(encoded) > MAX_REQUEST:
        raise ControlError(ErrorCode.BAD_REQUEST, f"a request has at most {MAX_REQUEST} bytes")
    return encoded


def _decode(answer: bytes, kind: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise ControlError(
            ErrorCode.FAILED,
            f"the daemon's answer is not understood; is it another version? ({error})",
        ) from error


def _refusal(status: int, answer: bytes) -> ControlError:
    try:
        info = msgspec.json.decode(answer, type=ErrorInfo)
    except msgspec.DecodeError:
        return ControlError(ErrorCode.FAILED, f"the daemon answers with HTTP status {status}")
    return ControlError(info.code, info.message, info.field)
