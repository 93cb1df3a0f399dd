"""The namespaces that all other integration tests stand on."""

import os
import socket
from pathlib import Path

import pytest

from support.namespaces import Namespace, connect

pytestmark = pytest.mark.integration


def interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def test_a_thread_sees_the_inside_only_while_it_is_in() -> None:
    with Namespace("one") as one:
        one.run("ip", "link", "add", "marker", "type", "bridge")

        assert "marker" not in interfaces()
        with one.entered():
            assert "marker" in interfaces()
        assert "marker" not in interfaces()
        assert "marker" in one.call(interfaces)


def test_two_namespaces_with_a_cable_reach_each_other() -> None:
    with Namespace("left") as left, Namespace("right") as right:
        connect(left, "eth0", right, "eth0")
        left.run("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
        right.run("ip", "address", "add", "192.0.2.2/24", "dev", "eth0")

        assert left.run("ping", "-c1", "-W2", "192.0.2.2").returncode == 0


def test_a_namespace_goes_with_the_processes_in_it() -> None:
    with Namespace("busy") as busy, busy.popen("sleep", "600") as process:
        assert str(process.pid) in busy.run("ip", "netns", "pids", busy.name).stdout
        busy.__exit__(None, None, None)
        assert process.wait(10) != 0
        assert not (Path("/run/netns") / busy.name).exists()
        busy.__enter__()  # so that leaving finds one to remove
    assert not (Path("/run/netns") / busy.name).exists()


def test_a_command_that_fails_says_what_it_said() -> None:
    with Namespace("one") as one, pytest.raises(AssertionError, match="does not exist"):
        one.run("ip", "link", "show", "dev", f"none{os.getpid() % 1000}")
