"""One connection: its caller, its bounds."""

import contextlib
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from support import raw_http
from support.control_daemon import running
from varpd.control.connection import Limits

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: varpd\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET", HEALTH[:-2]], ids=["nothing", "a word", "a head"])
def test_who_never_finishes_a_request_is_put_out(tmp_path: Path, sent: bytes) -> None:
    with (
        running(tmp_path, limits=Limits(idle=0.2)) as daemon,
        raw_http.connected(daemon.socket) as slow,
    ):
        slow.sendall(sent)
        assert raw_http.read_to_end(slow) == b""


def test_who_drips_a_head_is_put_out_all_the_same(tmp_path: Path) -> None:
    with (
        running(tmp_path, limits=Limits(idle=0.3)) as daemon,
        raw_http.connected(daemon.socket) as slow,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\n")
        slow.settimeout(0.05)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            drip(slow)


def drip(connection: socket.socket) -> None:
    """Send a header now and then until the server has had enough."""
    deadline = time.monotonic() + raw_http.PATIENCE
    while time.monotonic() < deadline:
        connection.sendall(b"A: b\r\n")
        with contextlib.suppress(TimeoutError):
            connection.recv(1)


def test_who_has_had_an_answer_may_ask_again(tmp_path: Path) -> None:
    with running(tmp_path) as daemon, raw_http.connected(daemon.socket) as caller:
        for _ in range(3):
            caller.sendall(HEALTH)
            assert caller.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_who_asks_no_more_is_put_out(tmp_path: Path) -> None:
    with (
        running(tmp_path, limits=Limits(idle=1.0)) as daemon,
        raw_http.connected(daemon.socket) as caller,
    ):
        caller.sendall(HEALTH)
        assert raw_http.read_to_end(caller).startswith(b"HTTP/1.1 200 OK")


def test_a_user_has_so_many_connections_and_no_more(tmp_path: Path) -> None:
    with running(tmp_path, limits=Limits(connections=3)) as daemon, ExitStack() as stack:
        for _ in range(3):
            caller = stack.enter_context(raw_http.connected(daemon.socket))
            caller.sendall(HEALTH)
            assert caller.recv(65536).startswith(b"HTTP/1.1 200 OK")
        with raw_http.connected(daemon.socket) as one_too_many:
            assert raw_http.read_to_end(one_too_many) == b""


def test_a_connection_that_has_ended_makes_room(tmp_path: Path) -> None:
    with running(tmp_path, limits=Limits(connections=1)) as daemon:
        for _ in range(5):
            # The answer ends with the server's closing, which is when the room is free.
            answer = raw_http.exchange(daemon.socket, raw_http.request("GET", "/healthz"))
            assert answer.status == 200
