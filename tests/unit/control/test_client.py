"""The client of the control socket."""

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.control_daemon import FakeDaemon, running
from support.fake_service import VERSION
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.control.connection import Limits
from varpd.control.messages import (
    MAX_REQUEST,
    ControlError,
    CreateOverlay,
    ErrorCode,
    TargetInfo,
)

MAC = "02:00:00:00:00:01"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with running(tmp_path) as daemon:
        daemon.service.add("web0")
        yield daemon


@pytest.fixture
def client(daemon: FakeDaemon) -> Iterator[Client]:
    with Client(str(daemon.socket)) as client:
        yield client


def test_overlays_come_and_go(client: Client, daemon: FakeDaemon) -> None:
    made = client.create(
        CreateOverlay(
            "db0", 7, "files", properties={"vxlan/listen_ip": "192.0.2.1", "files/config": "/a,b"}
        )
    )
    assert (made.name, made.vnetid, made.properties["files/config"]) == ("db0", 7, "/a,b")
    assert [overlay.name for overlay in client.overlays()] == ["db0", "web0"]
    assert client.overlay("db0") == made
    client.delete("db0")
    assert list(daemon.service.table) == ["web0"]


def test_properties_are_set_and_go_back_to_the_default(client: Client) -> None:
    assert client.set_properties("web0", {"mtu": "1400"}).properties["mtu"] == 1400
    assert client.set_properties("web0", {"mtu": None}).properties["mtu"] == 1450
    assert {item.name: item.value for item in client.properties("web0")}["mtu"] == 1450


def test_entries_are_set_deleted_and_flushed(client: Client, daemon: FakeDaemon) -> None:
    learned = TargetInfo("web0", MAC, "192.0.2.9", 4789, "valid", "plugin", 1.0)
    daemon.service.table["web0"].targets = [learned]
    client.set_entry("web0", "02:00:00:00:00:02", "[2001:db8::1]:4789")
    client.flush("web0")
    assert [(entry.mac, entry.ip) for entry in client.targets("web0")] == [
        ("02:00:00:00:00:02", "2001:db8::1")
    ]
    client.delete_entry("web0", "02:00:00:00:00:02")
    assert client.targets("web0") == []


def test_an_idle_connection_that_the_daemon_has_ended_is_made_anew(tmp_path: Path) -> None:
    with running(tmp_path, limits=Limits(idle=0.05)) as daemon:
        daemon.service.add("web0")
        with Client(str(daemon.socket)) as client:
            client.overlays()
            connection = client._transport._connection.sock
            wait_for("the end", lambda: select.select((connection,), (), (), 0)[0])
            client.set_entry("web0", MAC, "drop")
            assert [target.mac for target in client.targets("web0")] == [MAC]


def test_plugins_and_health_are_told(client: Client, daemon: FakeDaemon) -> None:
    assert [plugin.name for plugin in client.plugins().plugins] == ["direct", "files"]
    assert client.health().version == VERSION
    daemon.service.is_ready = False
    assert not client.ready().ok


def test_a_refusal_keeps_its_code_words_and_field(client: Client) -> None:
    with pytest.raises(ControlError) as caught:
        client.set_properties("web0", {"mtu": "wide"})
    assert caught.value.code is ErrorCode.INVALID
    assert caught.value.field == "mtu"
    assert str(caught.value) == "mtu: 'wide' is no number"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../web0", "a b", "%2e%2e", "é", "a\x00b", "a\nb", "\udcff", "?"]
)
def test_a_strange_name_is_the_name_of_nothing(client: Client, name: str) -> None:
    with pytest.raises(ControlError) as caught:
        client.overlay(name)
    assert caught.value.code is ErrorCode.NOT_FOUND


def test_text_that_is_no_utf_8_is_refused(client: Client) -> None:
    with pytest.raises(ControlError, match="UTF-8"):
        client.set_properties("web0", {"files/config": "/\udcff"})


def test_a_request_longer_than_the_bound_is_not_sent(client: Client) -> None:
    with pytest.raises(ControlError, match=str(MAX_REQUEST)):
        client.set_properties("web0", {"files/config": "x" * MAX_REQUEST})


def test_a_socket_that_is_not_there_is_named_and_how_to_start_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "varpd.sock"
    with pytest.raises(ControlError) as caught, Client(str(path)) as client:
        client.overlays()
    assert caught.value.code is ErrorCode.UNREACHABLE
    assert str(path) in str(caught.value)
    assert f"`varpd --socket {path}`" in str(caught.value)


def test_a_socket_that_a_dead_daemon_left_is_named(tmp_path: Path) -> None:
    path = tmp_path / "varpd.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(ControlError, match="any more") as caught, Client(str(path)) as client:
        client.overlays()
    assert caught.value.code is ErrorCode.UNREACHABLE


def test_a_path_too_long_for_a_socket_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ControlError, match="too long"),
        Client(str(tmp_path / ("x" * 200))) as client,
    ):
        client.overlays()


DENIED = """
import os, sys
from varpd.control.client import Client
from varpd.control.messages import ControlError
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    Client(sys.argv[1]).overlays()
except ControlError as error:
    print(error.code.value, error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_connect_is_told_the_group(daemon: FakeDaemon) -> None:
    said = subprocess.run(
        [sys.executable, "-c", DENIED, str(daemon.socket)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert said.startswith("forbidden permission denied on ")
    assert "group varpd" in said


@contextmanager
def answering(tmp_path: Path, answer: bytes | None) -> Iterator[Path]:
    """Be a server that says the same to everybody and hangs up; None: nothing, and hangs on."""
    path = tmp_path / "odd.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer_one() -> None:
            caller, _ = listening.accept()
            with caller:
                caller.recv(65536)
                if answer is None:
                    caller.recv(65536)
                else:
                    caller.sendall(answer)

        thread = threading.Thread(target=answer_one)
        thread.start()
        yield path
        thread.join()


def test_a_daemon_that_does_not_answer_in_time_is_an_error(tmp_path: Path) -> None:
    with answering(tmp_path, None) as path, Client(str(path), timeout=0.1) as client:
        with pytest.raises(ControlError, match=r"did not answer within 0\.1 s") as caught:
            client.overlays()
        assert caught.value.code is ErrorCode.UNREACHABLE


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "broke the connection off"),
        (b"SSH-2.0-OpenSSH\r\n", "broke the connection off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", "broke the connection off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noops", "not understood"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n[{"a":1}', "not understood"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\noops", "HTTP status 502"),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error(
    tmp_path: Path, answer: bytes, words: str
) -> None:
    with (
        answering(tmp_path, answer) as path,
        pytest.raises(ControlError, match=words),
        Client(str(path)) as client,
    ):
        client.overlays()


def test_importing_the_client_loads_no_http_server() -> None:
    script = "import sys, varpd.control.client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert {"aiohttp", "asyncio", "structlog", "rich"}.isdisjoint(loaded)
