"""The messages to the service manager, with a real datagram socket in its place."""

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from varpd.daemon.notify import SOCKET_VARIABLE, Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket and its address."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(5)
        yield server, path


def test_ready_is_said_with_a_status(manager: tuple[socket.socket, str]) -> None:
    server, path = manager
    Notifier(path).ready("running")
    assert server.recv(1024) == b"READY=1\nSTATUS=running"


def test_reloading_carries_the_monotonic_time_in_microseconds(
    manager: tuple[socket.socket, str],
) -> None:
    server, path = manager
    Notifier(path).reloading(12.5)
    assert server.recv(1024) == b"RELOADING=1\nMONOTONIC_USEC=12500000"


def test_stopping_is_said(manager: tuple[socket.socket, str]) -> None:
    server, path = manager
    Notifier(path).stopping()
    assert server.recv(1024).startswith(b"STOPPING=1\n")


def test_a_status_is_one_line(manager: tuple[socket.socket, str]) -> None:
    server, path = manager
    Notifier(path).ready("two overlays\ndegraded")
    assert server.recv(1024) == b"READY=1\nSTATUS=two overlays degraded"


def test_an_abstract_address_begins_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0varpd-test-{uuid.uuid4()}")
        server.settimeout(5)
        Notifier("@" + server.getsockname()[1:].decode()).ready("here")
        assert server.recv(1024) == b"READY=1\nSTATUS=here"


def test_without_a_service_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    Notifier.from_environment().ready("running")


def test_the_environment_says_where_the_service_manager_is(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, path = manager
    monkeypatch.setenv(SOCKET_VARIABLE, path)
    Notifier.from_environment().ready("here")
    assert server.recv(1024) == b"READY=1\nSTATUS=here"


def test_an_address_that_cannot_be_used_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, "vsock:2:1234")
    with capture_logs() as lines:
        Notifier.from_environment().ready("running")
    (line,) = lines
    assert line["log_level"] == "warning"
    assert "vsock:2:1234" in line["why"]


def test_a_service_manager_that_is_gone_disturbs_nobody(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "gone")).ready("running")


@pytest.mark.parametrize("address", ["relative", "@", "/"])
def test_an_address_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=SOCKET_VARIABLE):
        Notifier(address)
