"""Sockets that outlive a daemon, with a real datagram socket in the service manager's place."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from varpd.daemon import sockets
from varpd.daemon.notify import Notifier
from varpd.daemon.sockets import KeptSockets

HERE = ip_address("127.0.0.1")


class Manager(Notifier):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__(None)
        self.said: list[str] = []

    def keep(self, name: str, kept: socket.socket) -> None:
        self.said.append(f"keep {name} {kept.getsockname()[1]}")

    def forget(self, name: str) -> None:
        self.said.append(f"forget {name}")


@pytest.fixture
def punt() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((str(HERE), 0))
        yield made


def port(of: socket.socket) -> int:
    number: int = of.getsockname()[1]
    return number


def test_a_kept_socket_is_found_by_its_address_once(punt: socket.socket) -> None:
    manager = Manager()
    kept = KeptSockets(manager, [("blue", punt)])

    assert kept.take("blue", HERE, port(punt) - 1) is None
    assert kept.take("blue", ip_address("127.0.0.2"), port(punt)) is None
    assert kept.take("blue", HERE, port(punt)) is punt
    assert kept.take("blue", HERE, port(punt)) is None
    assert manager.said == []


def test_a_socket_that_goes_to_another_overlay_loses_its_old_name(punt: socket.socket) -> None:
    manager = Manager()
    kept = KeptSockets(manager, [("blue", punt)])
    assert kept.take("red", HERE, port(punt)) is punt
    assert manager.said == ["forget blue"]


def test_keeping_and_forgetting_are_the_managers_work(punt: socket.socket) -> None:
    manager = Manager()
    kept = KeptSockets(manager)
    kept.keep("blue", punt)
    kept.forget("blue")
    assert manager.said == [f"keep blue {port(punt)}", "forget blue"]


def test_what_nobody_took_is_closed_at_the_end_and_the_manager_keeps_it(
    punt: socket.socket,
) -> None:
    manager = Manager()
    kept = KeptSockets(manager, [("blue", punt)])
    kept.close()
    assert punt.fileno() == -1
    assert manager.said == []


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "blue"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "blue"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "blue"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
    ],
)
def test_what_is_for_somebody_else_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert sockets.inherited() == []
    assert not [name for name in os.environ if name.startswith("LISTEN_")]


SHOW = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
from varpd.daemon import sockets
for name, kept in sockets.inherited():
    print(name, *kept.getsockname()[:2], kept.get_inheritable(), kept.getblocking())
print([number for number in (3, 4, 5) if os.path.exists(f"/proc/self/fd/{number}")])
"""


def test_what_is_handed_over_is_taken_and_what_is_no_udp_socket_is_closed(
    punt: socket.socket,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        stream.bind((str(HERE), 0))
        script = (
            f"exec 3<&{punt.fileno()} 4</dev/null 5<&{stream.fileno()};"
            f' exec "{sys.executable}" -c "$0"'
        )
        done = subprocess.run(
            ["bash", "-c", script, SHOW],
            pass_fds=(punt.fileno(), stream.fileno()),
            env={**os.environ, "LISTEN_FDS": "3", "LISTEN_FDNAMES": "blue:file:stream"},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    lines = done.stdout.splitlines()
    assert lines[-2:] == [f"blue 127.0.0.1 {port(punt)} False False", "[3]"]
