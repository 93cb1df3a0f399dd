"""The way to the daemon, and the names that it knows."""

from pathlib import Path

import click
import pytest

from support.control_daemon import FakeDaemon
from varpd.cli.connection import complete_overlays, connect
from varpd.cli.main import overlayadm

ANY_PARAMETER = click.Argument(["name"])


def context(socket: Path) -> click.Context:
    return overlayadm.make_context("overlayadm", ["--socket", str(socket), "show"])


def completions(socket: Path, incomplete: str) -> list[str]:
    items = complete_overlays(context(socket), ANY_PARAMETER, incomplete)
    return [item.value for item in items]


def test_the_client_calls_the_socket_that_was_named(daemon: FakeDaemon) -> None:
    daemon.service.add("web0")
    with connect(context(daemon.socket)) as client:
        assert [overlay.name for overlay in client.overlays()] == ["web0"]


def test_the_socket_may_be_named_by_the_environment(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VARPD_SOCKET", str(daemon.socket))
    with connect(overlayadm.make_context("overlayadm", ["show"])) as client:
        assert client.overlays() == []


def test_names_of_overlays_are_completed(daemon: FakeDaemon) -> None:
    for name in ("web0", "web1", "db0"):
        daemon.service.add(name)
    assert completions(daemon.socket, "web") == ["web0", "web1"]
    assert completions(daemon.socket, "") == ["db0", "web0", "web1"]


def test_nothing_is_completed_without_a_daemon(tmp_path: Path) -> None:
    assert completions(tmp_path / "varpd.sock", "") == []
