"""Requests of the control client and what comes back: HTTP over a unix socket.

Every failure is a `ControlError` with a sentence for the operator, also where no daemon answers.
"""

import http.client
import select
import socket
from collections.abc import Iterator
from typing import Final

import msgspec

from varpd.control.messages import (
    DEFAULT_SOCKET,
    GROUP,
    MAX_REQUEST,
    ControlError,
    ErrorCode,
    ErrorInfo,
)

TIMEOUT: Final = 60.0
"""Seconds without a byte from the daemon after which a call is given up. A creation may have to
wait for a plugin, which has 30 s to start."""

STREAM_PIECE: Final = 1 << 16
"""Bytes of a stream that are taken at once."""


class Transport:
    """One connection to the daemon. Every method raises `ControlError`."""

    def __init__(self, path: str, timeout: float) -> None:
        """Take the socket's path and the seconds to wait for the daemon; connect when called."""
        self._path = path
        self._timeout = timeout
        self._connection = _UnixConnection(path, timeout)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(
        self, method: str, path: str, body: msgspec.Struct | None = None, also: tuple[int, ...] = ()
    ) -> bytes:
        """Return the body of the answer; statuses in `also` are no errors."""
        try:
            response = self._request(method, path, body)
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._unreachable(error) from error
        if response.status >= http.client.BAD_REQUEST and response.status not in also:
            raise _refusal(response.status, answer)
        return answer

    def stream(self, method: str, path: str, body: msgspec.Struct | None = None) -> Iterator[bytes]:
        """Return what the daemon answers by and by, as it comes, however long nothing comes.

        The answer has begun when this returns, so nothing is missed of what is done afterwards. No
        other call may be made until the pieces have ended or are closed.
        """
        try:
            response = self._request(method, path, body)
            if response.status >= http.client.BAD_REQUEST:
                raise _refusal(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._unreachable(error) from error
        self._connection.wait_for_ever()
        return self._pieces(response)

    def lines(self, method: str, path: str, body: msgspec.Struct | None = None) -> Iterator[bytes]:
        """Return the same line by line, without the ends of the lines."""
        return _lines(self.stream(method, path, body))

    def _pieces(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := response.read1(STREAM_PIECE):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            self._connection.close()

    def _request(
        self, method: str, path: str, body: msgspec.Struct | None
    ) -> http.client.HTTPResponse:
        content = None if body is None else _encode(body)
        headers = {"Content-Type": "application/json"} if content else {}
        self._connection.leave_if_ended()
        self._connection.request(method, path, content, headers)
        return self._connection.getresponse()

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

    def leave_if_ended(self) -> None:
        """Have the next request connect anew where the daemon has ended an idle connection."""
        # Between two calls there is nothing to read but the end.
        if self.sock is not None and select.select((self.sock,), (), (), 0)[0]:
            self.close()

    def wait_for_ever(self) -> None:
        """Give up no more when nothing comes."""
        self.sock.settimeout(None)


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def _encode(body: msgspec.Struct) -> bytes:
    try:
        encoded = msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise ControlError(ErrorCode.BAD_REQUEST, "the request holds text not in UTF-8") from error
    if len(encoded) > MAX_REQUEST:
        raise ControlError(ErrorCode.BAD_REQUEST, f"a request has at most {MAX_REQUEST} bytes")
    return encoded


def _refusal(status: int, answer: bytes) -> ControlError:
    try:
        info = msgspec.json.decode(answer, type=ErrorInfo)
    except msgspec.DecodeError:
        return ControlError(ErrorCode.FAILED, f"the daemon answers with HTTP status {status}")
    return ControlError(info.code, info.message, info.field)
