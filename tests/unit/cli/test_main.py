"""``overlayadm`` as a process: what it loads, how it ends."""

import contextlib
import importlib.metadata
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner

from support.control_daemon import FakeDaemon
from varpd.cli.main import VERBS, overlayadm
from varpd.control.messages import ControlError, ErrorCode, TargetInfo

# As an operator has it: output that goes elsewhere than to a terminal is buffered.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

COMMAND = [sys.executable, "-c", "from varpd.cli.main import main; main()"]


@contextmanager
def started(
    path: Path, *arguments: str, stdout: int | IO[Any] = subprocess.PIPE, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*COMMAND, *arguments],
        text=True,
        env=BUFFERED | {"VARPD_SOCKET": str(path)} | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(path: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Return the exit status, stdout and stderr."""
    with started(path, *arguments, stdout=subprocess.PIPE, **environment) as process:
        out, err = process.communicate()
        return process.returncode, out, err


def many(count: int) -> list[TargetInfo]:
    mac = "02:00:00:00:00:01"
    return [TargetInfo("web0", mac, "192.0.2.1", 4789, "valid", "plugin", 1.0)] * count


def test_a_whole_command_works(daemon: FakeDaemon) -> None:
    made = run(
        daemon.socket, "create", "p0", "-v", "7", "-s", "direct",
        "-p", "vxlan/listen_ip=192.0.2.1", "-p", "direct/dest_ip=192.0.2.2",
        "-p", "direct/dest_port=4789",
    )  # fmt: skip
    assert made == (0, "", "")
    status, out, _ = run(daemon.socket, "show", "--parsable", "-o", "value", "p0")
    assert (status, out.splitlines()[-1]) == (0, "4789")


def test_without_a_daemon_one_line_says_so_and_how_to_start_it(tmp_path: Path) -> None:
    path = tmp_path / "varpd.sock"
    status, out, err = run(path, "show")
    assert (status, out) == (1, "")
    assert err.startswith(f"overlayadm: no daemon: {path} does not exist; start it with ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_help_without_a_daemon(verb: str) -> None:
    result = CliRunner().invoke(overlayadm, [verb, "--help"])
    assert result.exit_code == 0
    assert f"overlayadm {verb}" in result.stdout


def test_the_verbs_are_listed() -> None:
    listed = CliRunner().invoke(overlayadm, ["--help"]).stdout
    assert all(f"\n  {verb} " in listed for verb in VERBS)


@pytest.mark.parametrize("arguments", [[], ["colour"], ["--colour", "show"], ["showx"]])
def test_an_unknown_verb_or_option_is_status_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(overlayadm, arguments).exit_code == 2


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(overlayadm, ["--version"])
    assert result.stdout == f"overlayadm {importlib.metadata.version('varpd')}\n"


def test_a_refusal_reads_as_one_line(daemon: FakeDaemon) -> None:
    daemon.service.failure = ControlError(ErrorCode.FAILED, "two\nlines\x1b[2J")
    assert run(daemon.socket, "show") == (1, "", "overlayadm: two\\nlines\\x1b[2J\n")


def test_a_reader_that_goes_away_ends_it_in_silence(daemon: FakeDaemon) -> None:
    daemon.service.add("web0", targets=many(20_000))
    with started(daemon.socket, "show", "-t") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("LINK")
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_a_full_disk_is_an_error(daemon: FakeDaemon) -> None:
    with (
        Path("/dev/full").open("w") as full,
        started(daemon.socket, "show", stdout=full) as process,
    ):
        _, err = process.communicate()
        assert process.returncode == 1
    assert err == "overlayadm: cannot write: No space left on device\n"


def test_an_interrupt_is_status_130(tmp_path: Path) -> None:
    path = tmp_path / "varpd.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with started(path, "show") as process:
            caller, _ = silent.accept()
            with caller:
                assert caller.recv(65536)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate()
            assert (process.returncode, out, err) == (130, "", "")


def on_a_terminal(path: Path, *arguments: str, columns: int) -> str:
    """Return what is shown on a terminal so wide."""
    ours, theirs = pty.openpty()
    width = {"COLUMNS": str(columns), "TERM": "xterm"}
    shown = b""
    with ExitStack() as stack:
        screen = stack.enter_context(os.fdopen(ours, "rb", buffering=0))
        with os.fdopen(theirs, "wb") as terminal:
            process = stack.enter_context(started(path, *arguments, stdout=terminal, **width))
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
            while part := screen.read(65536):
                shown += part
        assert process.wait() == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")


def test_a_table_on_a_wide_terminal_looks_as_it_does_in_a_file(daemon: FakeDaemon) -> None:
    daemon.service.add("web0", targets=many(1))
    shown = on_a_terminal(daemon.socket, "show", "-t", columns=120)
    _, out, _ = run(daemon.socket, "show", "-t")
    assert [line.split() for line in shown.splitlines()] == [
        line.split() for line in out.splitlines()
    ]


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_on_a_narrow_terminal_no_value_is_cut(daemon: FakeDaemon, columns: int) -> None:
    daemon.service.add("web0").values["files/config"] = "/[red]/" + "0123456789" * 8
    shown = on_a_terminal(daemon.socket, "show", "web0", columns=columns)
    _, out, _ = run(daemon.socket, "show", "web0")
    assert max(map(len, shown.splitlines())) <= columns
    # Folding moves characters about; it must lose none.
    assert sorted(re.sub(r"\s", "", shown)) == sorted(re.sub(r"\s", "", out))


@pytest.mark.parametrize(
    ("arguments", "not_loaded"),
    [
        (["show"], {"rich", "aiohttp", "asyncio", "structlog", "varpd.daemon", "varpd.cli.create"}),
        (["show", "--json"], {"rich", "aiohttp", "asyncio", "structlog"}),
        (["create", "--help"], {"rich", "varpd.cli.show"}),
    ],
)
def test_only_what_is_needed_is_loaded(
    daemon: FakeDaemon, arguments: list[str], not_loaded: set[str]
) -> None:
    script = (
        "import sys\nfrom varpd.cli.main import main\n"
        "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script, "--socket", str(daemon.socket), *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stderr.split()
    assert not_loaded.isdisjoint(loaded)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("overlayadm sh", ["plain,show"]),
        ("overlayadm delete we", ["plain,web0", "plain,web1"]),
        ("overlayadm show web0 d", ["plain,db0"]),
        ("overlayadm modify ", ["plain,db0", "plain,web0", "plain,web1"]),
        ("overlayadm create ", []),
    ],
)
def test_verbs_and_names_of_overlays_are_completed(
    daemon: FakeDaemon, words: str, completed: list[str]
) -> None:
    for name in ("db0", "web0", "web1"):
        daemon.service.add(name)
    status, out, err = run(
        daemon.socket,
        _OVERLAYADM_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(words.count(" ")),
    )
    assert (status, out.split(), err) == (0, completed, "")
