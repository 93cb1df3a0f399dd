"""The HTTP server of the control socket: from requests to the service and back.

Nothing that comes over the socket ends the server. What a caller gets wrong is answered with an
error in JSON; what goes wrong in the service is logged and answered likewise.
"""

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from varpd.control import openapi
from varpd.control.access import Access, Right
from varpd.control.connection import Connection, Limits
from varpd.control.messages import (
    MAX_REQUEST,
    ControlError,
    ErrorCode,
    ErrorInfo,
    HealthInfo,
)
from varpd.control.routes import ROUTES, STATUS, Route
from varpd.control.service import Service
from varpd.control.streams import Stream

SLICE: Final = 500
"""Items of a long list that are encoded in one turn of the event loop: about 0.3 ms."""

SHUTDOWN: Final = 5.0
"""Seconds that requests in progress have when the server stops."""

_JSON: Final = "application/json"
_ENCODER: Final = msgspec.json.Encoder()
_log: Final = structlog.get_logger(__name__)


class ControlServer:
    """Answers callers on a listening unix socket."""

    def __init__(self, service: Service, access: Access, limits: Limits | None = None) -> None:
        """Serve `service` to those whom `access` lets in."""
        self._service = service
        self._access = access
        self._limits = limits or Limits()
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._streams: set[Stream] = set()
        self._stopping = False

    def set_access(self, access: Access) -> None:
        """Let in others from now on, those that are connected included."""
        self._access = access

    async def start(self, listening: socket.socket) -> None:
        """Answer on a listening, non-blocking unix socket, which is the server's from now on."""
        runner = web.AppRunner(self._application(), shutdown_timeout=SHUTDOWN)
        await runner.setup()
        server = runner.server
        if server is None:  # cannot be: setup() makes it
            raise RuntimeError("the HTTP library made no server")
        loop = asyncio.get_running_loop()
        users: Counter[int] = Counter()
        self._runner = runner
        self._server = await loop.create_unix_server(
            lambda: Connection(server, loop, self._limits, users), sock=listening
        )

    async def stop(self) -> None:
        """Accept nothing more, let requests in progress end, close every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._stopping = True
        for stream in list(self._streams):
            stream.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _application(self) -> web.Application:
        # The library refuses what is as long as its bound; ours is the longest that passes.
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_REQUEST + 1)
        for route in ROUTES:
            application.router.add_route(
                route.method, route.path, self._handler(route), expect_handler=_expect
            )
        application.router.add_route("GET", openapi.PATH, _document_handler())
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who may read, and turn every failure into an error in JSON."""
        connection = _connection(request)
        connection.request_began()
        try:
            self._check(request, Right.READ)
            return await handler(request)
        except ControlError as error:
            return _error(error)
        except web.HTTPException as error:
            return _http_error(request, error)
        except (ConnectionError, TimeoutError):  # the caller is gone, or takes no answer
            connection.force_close()
            raise
        finally:
            connection.request_ended()

    def _handler(self, route: Route[Any]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._check(request, route.right)
            body = await self._body(request, route.body)
            answer = await self._perform(request, route, body)
            return await self._answer(request, route.status, answer)

        return handle

    async def _perform(self, request: web.Request, route: Route[Any], body: Any) -> object:
        try:
            return await route.call(self._service, _varying(request, route), body)
        except ControlError:
            raise
        except Exception as error:
            _log.exception("request failed", method=request.method, path=request.path)
            raise ControlError(
                ErrorCode.FAILED, "the daemon failed at this; its log says more"
            ) from error

    def _check(self, request: web.Request, right: Right) -> None:
        peer = _connection(request).peer
        if peer is None or not self._access.allows(peer, right):
            raise ControlError(ErrorCode.FORBIDDEN, f"you may not {right.value} here")

    async def _body(self, request: web.Request, kind: type[Any]) -> Any:
        if kind is type(None):
            return None
        if (request.content_length or 0) > MAX_REQUEST:
            raise web.HTTPRequestEntityTooLarge(MAX_REQUEST)
        try:
            async with asyncio.timeout(self._limits.body):
                raw = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        return _decode(raw, kind)

    async def _answer(
        self, request: web.Request, status: HTTPStatus, answer: object
    ) -> web.StreamResponse:
        if isinstance(answer, Stream):
            return await self._answer_by_and_by(request, answer)
        if isinstance(answer, list) and len(answer) > SLICE:
            return await self._answer_in_slices(request, answer)
        if isinstance(answer, HealthInfo) and not answer.ok:
            status = HTTPStatus.SERVICE_UNAVAILABLE
        if answer is None:
            return web.Response(status=status)
        return web.Response(status=status, body=_ENCODER.encode(answer), content_type=_JSON)

    async def _answer_by_and_by(self, request: web.Request, stream: Stream) -> web.StreamResponse:
        """Send what comes, until it ends, the caller goes or the server stops."""
        connection = _connection(request)
        response = web.StreamResponse(headers={"Content-Type": stream.media})
        self._streams.add(stream)
        connection.when_lost = stream.close
        if self._stopping:
            stream.close()
        try:
            async with contextlib.aclosing(stream.chunks):
                await response.prepare(request)
                async for chunk in stream.chunks:
                    async with asyncio.timeout(self._limits.idle):
                        await response.write(chunk)
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            # The answer has begun, so all that can be said of it is that it breaks off.
            _log.exception("answer broke off", method=request.method, path=request.path)
            connection.force_close()
        finally:
            connection.when_lost = None
            self._streams.discard(stream)
            stream.close()
        return response

    async def _answer_in_slices(
        self, request: web.Request, items: list[object]
    ) -> web.StreamResponse:
        """Send a long list; other work has its turn between the slices."""
        response = web.StreamResponse()
        response.content_type = _JSON
        await response.prepare(request)
        opening = b"["
        for start in range(0, len(items), SLICE):
            encoded = _ENCODER.encode(items[start : start + SLICE])
            async with asyncio.timeout(self._limits.idle):
                await response.write(opening + encoded[1:-1])
            opening = b","
            await asyncio.sleep(0)
        await response.write(b"]")
        return response


def _varying(request: web.Request, route: Route[Any]) -> dict[str, str]:
    """Return what varies in the path, and what stands behind it.

    Raises:
        ControlError: something stands there that the route does not know.
    """
    unknown = sorted(set(request.query) - set(route.query))
    if unknown:
        message = f"{route.path} does not take {unknown[0]!r}"
        raise ControlError(ErrorCode.BAD_REQUEST, message, unknown[0])
    return {**request.query, **request.match_info}


def _connection(request: web.Request) -> Connection:
    connection = request.protocol
    if not isinstance(connection, Connection):
        raise TypeError("the request did not come over the control socket")
    return connection


async def _expect(request: web.Request) -> None:
    """Ask for the body if the caller waits to be asked (RFC 9110, section 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # this was not yet the answer


def _decode(raw: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        message = str(error)
        field = re.search(r"`\$\.([^`]+)`$|field `([^`]+)`", message)
        raise ControlError(
            ErrorCode.BAD_REQUEST,
            f"the request is not as it should be: {message}",
            field and (field[1] or field[2]),
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError(ErrorCode.BAD_REQUEST, f"the request is not JSON: {error}") from error


def _error(error: ControlError, status: int | None = None) -> web.Response:
    info = ErrorInfo(error.code, error.message, error.field)
    return web.Response(
        status=STATUS[error.code] if status is None else status,
        body=_ENCODER.encode(info),
        content_type=_JSON,
    )


def _http_error(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    match error:
        case web.HTTPNotFound():
            wrong = ControlError(ErrorCode.NOT_FOUND, f"there is no path {request.path}")
        case web.HTTPMethodNotAllowed():
            wrong = ControlError(
                ErrorCode.BAD_REQUEST, f"{request.path} does not take {request.method}"
            )
        case web.HTTPRequestEntityTooLarge():
            wrong = ControlError(
                ErrorCode.BAD_REQUEST, f"a request has at most {MAX_REQUEST} bytes"
            )
        case web.HTTPRequestTimeout():
            wrong = ControlError(ErrorCode.BAD_REQUEST, "the request did not come in time")
        case _:
            wrong = ControlError(ErrorCode.BAD_REQUEST, error.reason)
    response = _error(wrong, error.status)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    if isinstance(error, web.HTTPRequestTimeout):
        response.force_close()
    return response


def _document_handler() -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    encoded = _ENCODER.encode(openapi.document())

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=encoded, content_type=_JSON)

    return handle
