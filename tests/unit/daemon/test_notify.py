"""The messages to the service manager, with a real datagram socket in its place."""

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_stopping_and_status_are_said(manager: tuple[socket.socket, str]) -> None:
    server, path = manager
    notifier = Notifier(path)
    notifier.stopping()
    notifier.status("two overlays\ndegraded")
    assert server.recv(1024).startswith(b"STOPPING=1\n")
    assert server.recv(1024) == b"STATUS=two overlays degraded"


def test_an_abstract_address_begins_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0varpd-test-{uuid.uuid4()}")
        server.settimeout(5)
        Notifier("@" + server.getsockname()[1:].decode()).status("here")
        assert server.recv(1024) == b"STATUS=here"


def test_without_a_service_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    Notifier.from_environment().ready("running")


def test_the_environment_says_where_the_service_manager_is(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, path = manager
    monkeypatch.setenv(SOCKET_VARIABLE, path)
    Notifier.from_environment().status("here")
    assert server.recv(1024) == b"STATUS=here"


def test_a_service_manager_that_is_gone_disturbs_nobody(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "gone")).ready("running")


@pytest.mark.parametrize("address", ["relative", "@", "/"])
def test_an_address_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=SOCKET_VARIABLE):
        Notifier(address)
