"""One connection to the control socket: who it is, and how long and how much it may ask."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

import msgspec
from aiohttp import web

from varpd.control.access import Peer
from varpd.control.messages import ErrorCode, ErrorInfo


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may take of the daemon."""

    idle: float = 30.0
    """Seconds from the connection, or the last answer, to the end of the next request's head; and
    seconds in which an answer must be taken."""

    body: float = 10.0
    """Seconds in which a request's body must have come."""

    connections: int = 64
    """Connections of one user at a time; protects the daemon's file descriptors."""


LINGER: Final = 2.0
"""Seconds in which the rest of a refused request is read, so that the caller sees the answer."""


class Connection(web.RequestHandler):
    """The HTTP protocol of the library, with the kernel's word on who is there, and with bounds."""

    __slots__ = ("_limits", "_own_loop", "_timer", "_users", "peer", "when_lost")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        users: Counter[int],
    ) -> None:
        """Serve one connection.

        Args:
            server: Whose handler answers the requests.
            loop: The running loop.
            limits: The bounds.
            users: Connections by user id; shared by all connections.
        """
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is how the library is told: no log
            auto_decompress=False,
            keepalive_timeout=limits.idle,
            lingering_time=LINGER,
        )
        self._own_loop = loop
        self._limits = limits
        self._users = users
        self._timer: asyncio.TimerHandle | None = None
        self.peer: Peer | None = None
        self.when_lost: Callable[[], None] | None = None
        """Called once the caller has gone, which nobody notices who has nothing to say to him."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who it is and start the clock."""
        super().connection_made(transport)
        peer = Peer.of(transport.get_extra_info("socket"))
        self.peer = peer
        self._users[peer.uid] += 1
        if self._users[peer.uid] > self._limits.connections:
            cast(asyncio.Transport, transport).abort()
        else:
            self.request_ended()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._stop_clock()
        if self.peer is not None:
            self._users[self.peer.uid] -= 1
            self._users += Counter()  # drops who has none left
        if self.when_lost is not None:
            self.when_lost()
        super().connection_lost(exc)

    def request_began(self) -> None:
        """Stop the clock: the daemon works, and for that the caller is not to blame."""
        self._stop_clock()

    def request_ended(self) -> None:
        """Start the clock: the caller must take the answer and ask again, or go."""
        self._stop_clock()
        if self.transport is not None:
            self._timer = self._own_loop.call_later(self._limits.idle, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP with an error in JSON, like every other error."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has already begun")
        # The library draws where in the input it stumbled; its first line says what is wrong.
        reason = (message or HTTPStatus(status).phrase).strip().partition("\n")[0].rstrip(":")
        error = ErrorInfo(ErrorCode.BAD_REQUEST, f"this is no request: {reason}")
        response = web.Response(
            status=status, body=msgspec.json.encode(error), content_type="application/json"
        )
        response.force_close()
        return response
