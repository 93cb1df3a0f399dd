"""The command ``varpd``: options, the real process, its signals and its refusals to start."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from varpd.control.client import Client
from varpd.control.messages import CreateOverlay
from varpd.daemon import config, main
from varpd.daemon.main import Options

DEADLINE: Final = 30.0
"""Seconds that a process may take to start or end."""


class Place:
    """A configuration, and the directories of a daemon that belongs to the test alone."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "varpd.toml"
        self.socket = directory / "run" / "varpd.sock"
        self.state = directory / "state"
        self.write("")

    def write(self, more: str) -> None:
        """Write the configuration."""
        self.config.write_text(
            f"[daemon]\ndatapath = 'memory'\nplugin_dirs = []\n"
            f"socket = '{self.socket}'\nstate_dir = '{self.state}'\n{more}"
        )

    def command(self, *options: str) -> list[str]:
        """Return the command that runs the daemon."""
        return [sys.executable, "-m", "varpd.daemon", "--config", str(self.config), *options]

    def is_healthy(self) -> bool:
        """Return what the daemon says of itself."""
        with Client(str(self.socket)) as client:
            return client.health().ok

    def fails(self, *options: str) -> str:
        """Run a daemon that cannot start; return what it said."""
        ended = subprocess.run(
            self.command(*options), capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        assert ended.returncode == 1
        said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
        assert len(said) == 1, ended.stderr
        return said[0]

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Run a daemon that answers; end it at the end, if it still runs."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(f"\0varpd-test-{uuid.uuid4()}")
            manager.settimeout(DEADLINE)
            environment = os.environ | {"NOTIFY_SOCKET": "@" + manager.getsockname()[1:].decode()}
            with subprocess.Popen(
                self.command(), env=environment, stderr=subprocess.PIPE, text=True
            ) as process:
                try:
                    while not (said := manager.recv(1024)).startswith(b"READY=1"):
                        assert said.startswith(b"STATUS=restoring overlays")
                    self.manager = manager
                    yield process
                finally:
                    process.kill()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def end_of(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, object]]]:
    """Return how a process ended and what it logged."""
    _, text = process.communicate(timeout=DEADLINE)
    return process.returncode, [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_answers_and_ends_in_order_when_told(place: Place, number: signal.Signals) -> None:
    with place.running() as process:
        assert place.is_healthy()
        process.send_signal(number)
        status, lines = end_of(process)
    assert status == 0
    assert lines[-1]["event"] == "varpd ends"
    assert not place.socket.exists()


def test_a_second_daemon_is_refused_in_one_line_with_the_firsts_process(place: Place) -> None:
    with place.running() as process:
        said = place.fails()
        assert said == (
            f"varpd: another varpd uses the state directory {place.state} (process {process.pid})"
        )
        other = place.fails("--state-dir", str(place.state.parent / "other"))
        assert "another daemon listens there" in other
        assert place.is_healthy()


def test_after_a_kill_the_next_daemon_starts(place: Place) -> None:
    with place.running() as process:
        process.kill()
        process.wait()
    with place.running():
        assert place.is_healthy()


def test_a_hangup_has_the_configuration_read_again(place: Place) -> None:
    with place.running() as process:
        place.write("log_level = 'debug'\nlog_format = 'json'\n")
        process.send_signal(signal.SIGHUP)
        assert place.manager.recv(1024).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert place.manager.recv(1024).startswith(b"READY=1")
        process.terminate()
        assert place.manager.recv(1024).startswith(b"STOPPING=1")
        status, lines = end_of(process)
    assert status == 0
    assert [line["keys"] for line in lines if "keys" in line] == [["daemon.log_format"]]


def test_a_broken_configuration_at_a_hangup_is_logged_and_changes_nothing(place: Place) -> None:
    with place.running() as process:
        place.write("colour = 'red'\n")
        process.send_signal(signal.SIGHUP)
        assert place.manager.recv(1024).startswith(b"RELOADING=1")
        assert place.manager.recv(1024).startswith(b"READY=1")
        assert place.is_healthy()
        process.terminate()
        status, lines = end_of(process)
    assert status == 0
    (error,) = [line for line in lines if line["level"] == "error"]
    assert "daemon.colour" in str(error["error"])


def test_a_configuration_with_faults_is_one_line_that_names_them_all(place: Place) -> None:
    place.write("colour = 'red'\n[defaults]\nmtu = 1\n")
    said = place.fails()
    assert said.startswith(f"varpd: {place.config}: ")
    assert "daemon.colour" in said
    assert "defaults.mtu" in said


def test_a_state_directory_that_cannot_be_made_is_one_line(place: Place) -> None:
    place.state.touch()
    assert str(place.state) in place.fails()


def test_a_configuration_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.config.unlink()
    assert "there is no such file" in place.fails()


def test_a_second_signal_ends_a_daemon_that_hangs(place: Place, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    (plugins / "slow.py").write_text(
        "import asyncio\n"
        "from varpd.provider import DROP, DynamicPlugin\n"
        "class Slow(DynamicPlugin):\n"
        "    api_version = 1\n"
        "    name = 'slow'\n"
        "    def lookup(self, query): return DROP\n"
        "    async def stop(self, reason): await asyncio.sleep(1000)\n"
    )
    text = place.config.read_text().replace("plugin_dirs = []", f"plugin_dirs = ['{plugins}']")
    place.config.write_text(text)
    with place.running() as process:
        request = CreateOverlay("blue", 7, "slow", properties={"vxlan/listen_ip": "192.0.2.1"})
        with Client(str(place.socket)) as client:
            client.create(request)
        process.terminate()
        assert place.manager.recv(1024).startswith(b"STOPPING=1")
        process.send_signal(signal.SIGINT)
        status, lines = end_of(process)
    assert status == 1
    assert "at once" in str(lines[-1]["event"])


def test_options_win_over_the_configuration(place: Place) -> None:
    place.write("log_level = 'error'\n")
    given = Options.parse(
        [
            *("--config", str(place.config)),
            *("-i", "/a", "--plugin-dir", "/b"),
            *("--socket", "/c.sock"),
            *("--state-dir", "/d"),
            *("--log-level", "debug"),
        ]
    )
    daemon = given.read().daemon
    assert daemon.plugin_dirs == (Path("/a"), Path("/b"))
    assert (daemon.socket, daemon.state_dir) == (Path("/c.sock"), Path("/d"))
    assert (daemon.log_level, daemon.datapath) == ("debug", "memory")


def test_without_options_the_configuration_holds(place: Place) -> None:
    place.write("log_level = 'error'\n")
    found = Options.parse(["--config", str(place.config)]).read()
    assert found == config.read(place.config)


def test_a_relative_path_is_taken_from_where_the_command_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Options.parse(["--socket", "varpd.sock"]).socket == tmp_path / "varpd.sock"


@pytest.mark.parametrize("arguments", [["--log-level", "loud"], ["--colour"], ["extra"]])
def test_a_wrong_command_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Options.parse(arguments)
    assert caught.value.code == 2


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("varpd 0.")


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        main.raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_usual_plugin_directory_need_not_be_there_but_others_must(tmp_path: Path) -> None:
    usual = main.load_plugins(config.Daemon().plugin_dirs)
    other = main.load_plugins([tmp_path / "nothing"])
    assert "direct" in usual.plugins
    assert [item.origin for item in other.refused] == [str(tmp_path / "nothing")]


def test_a_damaged_database_is_refused_in_one_line_and_left_as_it_is(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.state.mkdir()
    database = place.state / "varpd.db"
    database.write_bytes(b"rubbish" * 1000)
    said = place.fails()
    assert str(database) in said
    assert "restore it from a copy, or move it away" in said
    assert database.read_bytes() == b"rubbish" * 1000


def test_what_a_daemon_made_the_next_one_has(tmp_path: Path) -> None:
    place = Place(tmp_path)
    properties: dict[str, str | None] = {
        "vxlan/listen_ip": "192.0.2.1",
        "direct/dest_ip": "192.0.2.2",
        "direct/dest_port": "4789",
    }
    with place.running(), Client(str(place.socket)) as client:
        made = client.create(CreateOverlay("blue", 7, "direct", properties=properties))
    with place.running(), Client(str(place.socket)) as client:
        assert client.overlays() == [made]
