"""The load generator: a small C program, so that it is not what limits.

It is compiled when it is first needed; `load.c` says what it does.
"""

import array
import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.guests import INTERFACE
from support.namespaces import Namespace

SOURCE: Final = Path(__file__).with_name("load.c")
PROGRAM: Final = Path("build/bench/load")

QUIET: Final = 0.5
"""Seconds without a frame after which no more are expected."""

KIND: Final = 0x62
"""The second byte of the MACs that frames are sent to."""


def mac(number: int) -> bytes:
    """Return the MAC that frame `number` of a load goes to."""
    return bytes((0x02, KIND)) + number.to_bytes(4, "big")


def program() -> str:
    """Return the program, compiled.

    Raises:
        subprocess.CalledProcessError: there is no compiler that takes it.
    """
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < SOURCE.stat().st_mtime:
        PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-o", str(PROGRAM), str(SOURCE)], check=True)
    return str(PROGRAM.absolute())


@dataclass(slots=True)
class Arrivals:
    """The frames that came; the lists are in the order of their coming."""

    sent: list[float] = field(default_factory=list)
    """When each was sent, seconds since the epoch."""

    came: list[float] = field(default_factory=list)
    """When each came."""

    numbers: list[int] = field(default_factory=list)
    """Which MAC each was for."""

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return self.came[-1] - self.came[0]

    @property
    def delays(self) -> list[float]:
        """Seconds that each was on its way."""
        return [came - sent for sent, came in zip(self.sent, self.came, strict=True)]

    def read(self, file: Path) -> None:
        """Take in what the program wrote."""
        records = array.array("Q")
        records.frombytes(file.read_bytes())
        self.sent = [value / 1e9 for value in records[0::3]]
        self.came = [value / 1e9 for value in records[1::3]]
        self.numbers = list(records[2::3])


@contextlib.contextmanager
def arrivals(
    namespace: Namespace, count: int, *, port: int = 4789, quiet: float = QUIET
) -> Iterator[Arrivals]:
    """Count frames that arrive wrapped meanwhile; what is yielded is filled in when this ends.

    It ends when `count` have come, or none for `quiet` seconds.
    """
    found = Arrivals()
    with tempfile.NamedTemporaryFile(prefix="varpd-load-") as file:
        command = (program(), "count", str(port), str(quiet), str(count), file.name)
        with namespace.popen(*command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise AssertionError("the load generator does not count")
            yield found
            if process.wait(60) != 0:
                raise AssertionError("the load generator failed")
        found.read(Path(file.name))


def send(
    namespace: Namespace,
    count: int,
    rate: int,
    first: int = 0,
    *,
    span: int | None = None,
    interface: str = INTERFACE,
) -> None:
    """Send `count` frames, `rate` a second (0: as fast as it goes), to MACs from `first` on.

    They go to `span` MACs in turn; each to one of its own unless given.
    """
    namespace.run(program(), "send", interface, *map(str, (count, rate, first, span or count)))
