"""The README's start on two hosts, as it is written, on two hosts of the lab."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from support.guests import Pings
from support.lab import Host, Lab
from support.varpd_process import BIN

pytestmark = pytest.mark.integration

README: Final = Path(__file__).resolve().parents[2] / "README.md"
STEP: Final = re.compile(
    r"^\*\*([^*]+)\.\*\*(?:(?!^\*\*).)*?^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE
)
"""A step's name, and its commands."""

END: Final = "and so to the next step"


@contextmanager
def shell(host: Host) -> Iterator[subprocess.Popen[str]]:
    """Run a shell on a host; the network namespaces that it names end with it."""
    with host.namespace.popen(
        *("unshare", "--mount", "sh", "-c", "mount -t tmpfs run /run && exec sh -e 2>&1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "VARPD_SOCKET": str(host.varpd.socket),
        },
    ) as process:
        yield process


def run(process: subprocess.Popen[str], commands: str) -> str:
    """Run commands in a shell and return what they print."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{commands}\necho {END}\n")
    process.stdin.flush()
    said = ""
    while (line := process.stdout.readline()) != f"{END}\n":
        assert line, f"the shell ended:\n{said}"
        said += line
    return said


def test_the_start_on_two_hosts_works_as_it_is_written() -> None:
    steps = dict(STEP.findall(README.read_text(encoding="utf-8")))
    assert list(steps) == ["Mapping", "First host", "Second host", "Look"]

    with Lab() as lab:
        first, second = lab.hosts("first", "second")
        # Two hosts have an /etc each; these two share one with whoever runs the test.
        steps = {
            name: commands.replace("/etc/varpd", str(lab.directory / "etc"))
            for name, commands in steps.items()
        }
        with shell(first) as on_first, shell(second) as on_second:
            run(on_first, steps["Mapping"] + steps["First host"])
            run(on_second, steps["Mapping"] + steps["Second host"])
            said = run(on_second, steps["Look"])

    ipv4, ipv6 = said.split("PING ")[1:]
    assert (Pings.parse(ipv4).sent, Pings.parse(ipv4).lost) == (3, 0)
    assert (Pings.parse(ipv6).sent, Pings.parse(ipv6).lost) == (3, 0)
    assert said.splitlines()[-1].split() == ["blue", "02:00:5e:10:00:01", "192.0.2.1:4789"]
