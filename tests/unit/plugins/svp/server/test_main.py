"""The command `varpd-svp-server`, as a program of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.waiting import wait_for
from varpd.net.addresses import MacAddress
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.messages import Ping, Pong, Vl2Ack, Vl2Request
from varpd.plugins.svp.wire import Message, Stream, serialize

PROGRAM = str(Path(sys.executable).parent / "varpd-svp-server")
MAC = "02:00:5e:00:00:01"
GOOD: dict[str, Any] = {
    "hosts": {"one": "192.0.2.1"},
    "overlays": {"7": {MAC: {"ip": "192.0.2.1"}}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.json"
    path.write_text(json.dumps(GOOD))
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


class Server:
    """The program at work."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def ask(self, request: Message) -> Message | None:
        """Ask; None if nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10) as peer:
                peer.sendall(serialize(1, request))
                stream = Stream()
                while (frame := stream.next_frame()) is None:
                    data = peer.recv(4096)
                    if not data:
                        return None
                    stream.feed(data)
                return frame.message()
        except ConnectionRefusedError:
            return None

    def where(self) -> object:
        """Return where the server says that the MAC is."""
        answer = self.ask(Vl2Request(MacAddress.parse(MAC), 7))
        assert isinstance(answer, Vl2Ack)
        return str(answer.ip) if answer.status is Status.OK else answer.status


@contextmanager
def serving(file: Path, *options: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = file.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [PROGRAM, str(file), "--port", str(port), *options], stderr=output, text=True
        )
        try:
            server = Server(process, port, log)
            wait_for("the server", lambda: server.ask(Ping()) == Pong())
            yield server
        finally:
            process.kill()
            process.wait()


def replace(file: Path, content: object) -> None:
    new = file.with_suffix(".new")
    new.write_text(content if isinstance(content, str) else json.dumps(content))
    new.replace(file)


def test_it_answers_from_the_file_as_it_is(file: Path) -> None:
    with serving(file) as server:
        assert server.where() == "192.0.2.1"
        replace(file, {"overlays": {"7": {MAC: {"ip": "192.0.2.2"}}}})
        wait_for("the change", lambda: server.where() == "192.0.2.2")


def test_a_bad_file_changes_nothing_and_is_told_once(file: Path) -> None:
    with serving(file) as server:
        replace(file, '{"overlays": {"7": {"web": {}}}}')
        wait_for("the complaint", lambda: "what was there before stays" in server.log.read_text())
        assert server.where() == "192.0.2.1"
        # Who asks is told again.
        server.process.send_signal(signal.SIGHUP)
        wait_for("the answer", lambda: server.log.read_text().count("stays") == 2)
        replace(file, {"overlays": {}})
        wait_for("the change", lambda: server.where() is Status.NOT_FOUND)
        assert server.log.read_text().count("stays") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(file: Path, number: signal.Signals) -> None:
    with serving(file) as server, socket.create_connection(("127.0.0.1", server.port)) as idle:
        idle.settimeout(10)
        os.kill(server.process.pid, number)
        assert idle.recv(1) == b""
        assert server.process.wait(10) == 0
        assert "Traceback" not in server.log.read_text()


def test_it_answers_over_both_ip_versions(file: Path) -> None:
    with serving(file) as server, socket.create_connection(("::1", server.port), 10) as peer:
        peer.sendall(serialize(1, Ping()))
        assert peer.recv(100) == serialize(1, Pong())


def test_a_file_can_be_checked(file: Path) -> None:
    assert run(file, "--check").stdout == f"{file}: 1 hosts, 1 mappings\n"
    replace(file, '{"overlays": {"x": {}}}')
    done = run(file, "--check")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{file}: overlays, x: no virtual network identifier" in done.stderr


def test_what_keeps_it_from_starting_is_one_line(file: Path, tmp_path: Path) -> None:
    missing = run(tmp_path / "missing.json")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "missing.json: No such file or directory" in missing.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run(file, "--listen", "127.0.0.1", "--port", port)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert f"127.0.0.1 port {port}: Address already in use" in refused.stderr


def test_the_help_names_all_options() -> None:
    said = run("--help").stdout
    for word in ("--listen", "--port", "--connections", "--check", "SIGHUP", "docs/triton.md"):
        assert word in said
