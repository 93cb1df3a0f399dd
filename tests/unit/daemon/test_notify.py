"""The messages to the service manager, with a real datagram socket in its place."""

import os
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from varpd.daemon import notify
from varpd.daemon.notify import PATIENCE, SOCKET_VARIABLE, Notifier


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


def test_the_start_says_how_far_it_has_come_and_asks_for_more_time(
    manager: tuple[socket.socket, str],
) -> None:
    server, path = manager
    Notifier(path).starting("restoring overlays: 1 of 3")
    said = server.recv(1024)
    assert said == b"STATUS=restoring overlays: 1 of 3\nEXTEND_TIMEOUT_USEC=60000000"


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


def test_a_socket_is_handed_over_to_be_kept_under_a_name(
    manager: tuple[socket.socket, str],
) -> None:
    server, path = manager
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as punt:
        punt.bind(("127.0.0.1", 0))
        Notifier(path).keep("blue", punt)
        message, (descriptor,), *_ = socket.recv_fds(server, 1024, 4)
        with socket.socket(fileno=descriptor) as copy:
            assert copy.getsockname() == punt.getsockname()
    assert message == b"FDSTORE=1\nFDNAME=blue\nFDPOLL=0"


def test_forgetting_waits_until_the_manager_has_done_it(
    manager: tuple[socket.socket, str],
) -> None:
    server, path = manager
    with ThreadPoolExecutor(1) as executor:
        done = executor.submit(Notifier(path).forget, "blue")
        assert server.recv(1024) == b"FDSTOREREMOVE=1\nFDNAME=blue"
        message, (barrier,), *_ = socket.recv_fds(server, 1024, 4)
        assert message == b"BARRIER=1"
        assert not done.done()
        os.close(barrier)
        done.result(PATIENCE)


def test_a_manager_that_never_answers_is_not_waited_for_for_ever(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PATIENCE", 0.01)
    Notifier(manager[1]).forget("blue")


def test_nobody_is_asked_to_forget_where_there_is_no_manager(tmp_path: Path) -> None:
    Notifier(None).forget("blue")
    Notifier(str(tmp_path / "gone")).forget("blue")
