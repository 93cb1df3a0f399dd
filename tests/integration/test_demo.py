"""The demo, as anybody runs it."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

import pytest

from support.lacking import lacking

pytestmark = pytest.mark.integration

DEMO: Final = Path(__file__).resolve().parents[2] / "scripts" / "demo"
TIMEOUT: Final = 110.0
"""Seconds that the demo may take here, where other things run beside it."""


WITHOUT_RIGHTS: Final = ("setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all")
"""Who may not make network namespaces but in a user namespace, as users may not.

Root needs one capability to be root there, too (user_namespaces(7))."""


def start(directory: Path, *wrapper: str) -> subprocess.Popen[str]:
    """Start the demo with a directory for its files."""
    return subprocess.Popen(
        [*wrapper, DEMO],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(directory)},
        start_new_session=True,
    )


def may_make_user_namespaces(wrapper: tuple[str, ...]) -> bool:
    """Return whether the system allows what the demo does without rights."""
    command = (*wrapper, "unshare", "--user", "--map-root-user", "--net", "true")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def processes_with(text: str) -> list[str]:
    """Return the command lines of processes in which a text stands."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


@pytest.mark.parametrize("wrapper", [(), WITHOUT_RIGHTS], ids=["as-root", "without-rights"])
def test_the_demo_loses_nothing_and_leaves_nothing(
    tmp_path: Path, wrapper: tuple[str, ...]
) -> None:
    if wrapper and not may_make_user_namespaces(wrapper):
        lacking("this system allows no unprivileged user namespaces")
    with start(tmp_path, *wrapper) as demo:
        output, _ = demo.communicate(timeout=TIMEOUT)

    assert demo.returncode == 0, output
    assert " pings, 0 lost" in output.splitlines()[-1]
    assert "LOST" not in output
    assert list(tmp_path.iterdir()) == []
    assert processes_with(str(tmp_path)) == []


def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        assert demo.stdout is not None
        lines = iter(demo.stdout.readline, "")
        assert any("all ready" in line for line in lines), "the demo said nothing"
        assert processes_with(str(tmp_path)) != []
        os.killpg(demo.pid, signal.SIGINT)
        output, _ = demo.communicate(timeout=TIMEOUT)

    assert demo.returncode == 130, output
    assert list(tmp_path.iterdir()) == []
    assert processes_with(str(tmp_path)) == []
