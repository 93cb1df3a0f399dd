"""The HTTP server: answers, errors, long lists."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from support import raw_http
from support.control_daemon import FakeDaemon, running
from support.fake_service import FakeService
from varpd.control.access import Access
from varpd.control.listener import Listener, listen
from varpd.control.messages import ControlError, ErrorCode, TargetInfo
from varpd.control.openapi import document
from varpd.control.routes import STATUS
from varpd.control.server import SLICE, ControlServer
from varpd.control.streams import JSON_LINES, Feed, Stream


@pytest.fixture
def service() -> FakeService:
    service = FakeService()
    service.add("web0")
    return service


def get(path: Path, target: str) -> raw_http.Answer:
    return raw_http.exchange(path, raw_http.request("GET", target))


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_of_the_service_is_answered_with_its_status_and_its_words(
    tmp_path: Path, service: FakeService, code: ErrorCode
) -> None:
    service.failure = ControlError(code, "It is not so.", "mtu")
    with running(tmp_path, service) as daemon:
        answer = get(daemon.socket, "/v1/overlays/web0")
    assert answer.status == STATUS[code]
    assert answer.json == {"code": code.value, "message": "It is not so.", "field": "mtu"}


@pytest.mark.parametrize(
    "failure", [RuntimeError("secret"), TimeoutError(), ConnectionResetError(), OSError(5, "I/O")]
)
def test_a_fault_in_the_service_is_answered_and_logged_and_the_server_lives(
    tmp_path: Path, service: FakeService, failure: Exception
) -> None:
    service.failure = failure
    with running(tmp_path, service) as daemon, capture_logs() as logs:
        answer = get(daemon.socket, "/v1/overlays/web0")
        service.failure = None
        assert get(daemon.socket, "/v1/overlays/web0").status == 200
    assert answer.status == 500
    assert answer.json["code"] == "failed"
    assert "secret" not in answer.json["message"]
    assert [(log["event"], log["path"]) for log in logs] == [
        ("request failed", "/v1/overlays/web0")
    ]


def test_an_unknown_path_is_answered_in_json(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        answer = get(daemon.socket, "/v2/overlays")
    assert (answer.status, answer.json["code"]) == (404, "not-found")


def test_a_method_that_a_path_does_not_take_is_answered_with_those_it_takes(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as daemon:
        answer = raw_http.exchange(daemon.socket, raw_http.request("PUT", "/v1/overlays"))
    assert (answer.status, answer.json["code"]) == (405, "bad-request")
    assert answer.headers["allow"] == "GET, POST"


def test_readiness_is_in_the_status(tmp_path: Path, service: FakeService) -> None:
    with running(tmp_path, service) as daemon:
        assert get(daemon.socket, "/readyz").status == 200
        service.is_ready = False
        answer = get(daemon.socket, "/readyz")
        assert get(daemon.socket, "/healthz").status == 200
    assert answer.status == 503
    assert answer.json["detail"] == "overlays are being brought up"


def test_the_document_is_shown(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        assert get(daemon.socket, "/openapi.json").json == document()


def test_who_may_only_read_may_not_change(tmp_path: Path, service: FakeService) -> None:
    everybody = frozenset(range(100_000))
    access = Access(changing_users=frozenset(), reading_users=everybody)
    with running(tmp_path, service, access) as daemon:
        assert get(daemon.socket, "/v1/overlays").status == 200
        answer = raw_http.exchange(daemon.socket, raw_http.request("DELETE", "/v1/overlays/web0"))
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "web0" in service.table


def test_who_may_nothing_sees_nothing(tmp_path: Path) -> None:
    with running(tmp_path, access=Access(changing_users=frozenset())) as daemon:
        for target in ("/v1/overlays", "/healthz", "/openapi.json", "/nowhere"):
            assert get(daemon.socket, target).status == 403


def test_who_waits_to_be_asked_for_the_body_is_asked(tmp_path: Path, service: FakeService) -> None:
    with running(tmp_path, service) as daemon, raw_http.connected(daemon.socket) as caller:
        body = b'{"target": "drop"}'
        whole = raw_http.request(
            "PUT",
            "/v1/overlays/web0/entries/02:00:00:00:00:01",
            body,
            "Expect: 100-continue\r\n",
        )
        caller.sendall(whole.removesuffix(body))
        assert caller.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(body)
        assert raw_http.parse(raw_http.read_to_end(caller)).status == 204


@contextlib.asynccontextmanager
async def in_this_loop(listener: Listener, service: FakeService) -> AsyncIterator[ControlServer]:
    server = ControlServer(service, Access.usual())
    await server.start(listener.socket)
    try:
        yield server
    finally:
        await server.stop()


class Watched(list[Any]):
    """A list that notes in which turn of the loop each slice of it was taken."""

    turn = 0

    def __init__(self, items: list[TargetInfo]) -> None:
        super().__init__(items)
        self.turns: list[int] = []

    def __getitem__(self, index: Any) -> Any:
        self.turns.append(self.turn)
        return super().__getitem__(index)


@pytest.fixture
def control_socket(tmp_path: Path) -> Any:
    with listen(tmp_path / "varpd.sock") as listener:
        yield listener


async def test_a_long_list_is_sent_whole_and_leaves_others_their_turns(
    control_socket: Listener, service: FakeService
) -> None:
    targets = Watched(
        [
            TargetInfo(
                "web0",
                f"02:00:00:{i >> 16:02x}:{i >> 8 & 255:02x}:{i & 255:02x}",
                "192.0.2.1",
                4789,
                "valid",
                "plugin",
                float(i),
            )
            for i in range(100_000)
        ]
    )
    service.table["web0"].targets = targets

    async def count_turns() -> None:
        while True:
            targets.turn += 1
            await asyncio.sleep(0)

    async with in_this_loop(control_socket, service), asyncio.TaskGroup() as group:
        reader, writer = await asyncio.open_unix_connection(str(control_socket.path))
        counting = group.create_task(count_turns())
        writer.write(raw_http.request("GET", "/v1/overlays/web0/targets", headers=""))
        raw = await reader.read()
        counting.cancel()
        writer.close()
        await writer.wait_closed()

    body = b"".join(dechunked(raw.partition(b"\r\n\r\n")[2]))
    assert msgspec.json.decode(body, type=list[TargetInfo]) == list(targets)
    assert len(targets.turns) == 100_000 // SLICE
    assert len(set(targets.turns)) == len(targets.turns)


def dechunked(body: bytes) -> list[bytes]:
    chunks = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return chunks


async def test_who_has_lost_the_right_is_refused_on_an_open_connection(
    control_socket: Listener, service: FakeService
) -> None:
    async def ask() -> bytes:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: varpd\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"}")
        return head.split()[1]

    async with in_this_loop(control_socket, service) as server:
        reader, writer = await asyncio.open_unix_connection(str(control_socket.path))
        assert await ask() == b"200"
        server.set_access(Access(changing_users=frozenset()))
        assert await ask() == b"403"
        writer.close()
        await writer.wait_closed()


async def test_stopping_closes_the_connections(
    control_socket: Listener, service: FakeService
) -> None:
    async with in_this_loop(control_socket, service):
        reader, writer = await asyncio.open_unix_connection(str(control_socket.path))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: varpd\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert b"0.0-fake" in await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_server_that_was_not_started_can_be_stopped(service: FakeService) -> None:
    await ControlServer(service, Access.usual()).stop()


class Telling(FakeService):
    """Answers one of its routes by and by."""

    def __init__(self) -> None:
        super().__init__()
        self.feed: Feed[bytes]
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.fails = False

    async def plugins(self) -> Any:
        self.feed = Feed(100, 100)
        return Stream(JSON_LINES, self._chunks(), self.feed.close)

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            yield b"begin\n"
            self.begun.set()
            while chunks := await self.feed.take():
                yield b"".join(chunks)
                if self.fails:
                    raise RuntimeError("broken")
            yield b"end\n"
        finally:
            self.ended.set()


@contextlib.contextmanager
def listening(daemon: FakeDaemon, service: Telling) -> Iterator[socket.socket]:
    with raw_http.connected(daemon.socket) as caller:
        caller.sendall(raw_http.request("GET", "/v1/plugins"))
        assert service.begun.wait(raw_http.PATIENCE)
        yield caller


def test_a_stream_is_sent_as_it_comes_until_it_ends(tmp_path: Path) -> None:
    service = Telling()
    with running(tmp_path, service) as daemon, listening(daemon, service) as caller:
        assert b"begin\n" in caller.recv(65536)
        daemon.call(service.feed.put, b"news\n")
        assert b"news\n" in caller.recv(65536)
        daemon.call(service.feed.close)
        assert b"end\n" in raw_http.read_to_end(caller)
    assert service.ended.is_set()


def test_a_caller_who_goes_ends_the_stream(tmp_path: Path) -> None:
    service = Telling()
    with running(tmp_path, service) as daemon:
        with listening(daemon, service):
            pass
        assert service.ended.wait(raw_http.PATIENCE)


def test_a_server_that_stops_ends_the_stream_with_its_last_word(tmp_path: Path) -> None:
    service = Telling()
    with contextlib.ExitStack() as stack:
        with running(tmp_path, service) as daemon:
            caller = stack.enter_context(listening(daemon, service))
        assert b"end\n" in raw_http.read_to_end(caller)


def test_a_stream_that_fails_breaks_off_and_is_logged(tmp_path: Path) -> None:
    service = Telling()
    service.fails = True
    with (
        running(tmp_path, service) as daemon,
        capture_logs() as logs,
        listening(daemon, service) as caller,
    ):
        daemon.call(service.feed.put, b"news\n")
        assert b"end\n" not in raw_http.read_to_end(caller)
    assert [log["event"] for log in logs] == ["answer broke off"]
