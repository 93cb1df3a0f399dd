"""Traffic that goes on while a test does something else.

with pings(web, db.ipv4) as run:
    ...                                   # what must not disturb
assert run.lost == 0

with stream(web, db) as run:
    ...
assert run.pauses == []
"""

import contextlib
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

from support.guests import Guest
from support.waiting import PATIENCE, wait_for

INTERVAL: Final = 0.05
"""Seconds between two pings."""

REPORT: Final = 0.2
"""Seconds of each interval of a stream's report."""

_ANSWERED: Final = re.compile(r"icmp_seq=(\d+) .*time=([0-9.]+) ms")
_AMOUNT: Final = re.compile(r" sec +([0-9.]+ [KMG]?)Bytes")
_PORT: Final = ":5201"


@dataclass(slots=True)
class PingRun:
    """Pings that went on for a while."""

    times: dict[int, float] = field(default_factory=dict)
    """Milliseconds by sequence number, of those that were answered."""

    @property
    def lost(self) -> int:
        """How many had no answer, but for the last ones that were still on their way."""
        return max(self.times, default=0) - len(self.times)


@contextlib.contextmanager
def pings(guest: Guest, address: str, interval: float = INTERVAL) -> Iterator[PingRun]:
    """Ping an address meanwhile; at least one answer is there when the block begins and ends."""
    run = PingRun()

    def answered() -> int:
        output.seek(0)
        run.times |= {int(seq): float(time) for seq, time in _ANSWERED.findall(output.read())}
        return len(run.times)

    command = ("ping", "-n", "-i", str(interval), address)
    with _output() as output, guest.popen(*command, stdout=output) as process:
        wait_for(f"the first answer of {address}", answered)
        yield run
        before = answered()
        # One that was sent after all that the block did, and those before it had their time.
        with contextlib.suppress(AssertionError):
            wait_for(f"another answer of {address}", lambda: answered() > before)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        answered()
    assert before > 0


@dataclass(slots=True)
class StreamRun:
    """A TCP stream that went on for a while."""

    amounts: list[str] = field(default_factory=list)
    """What arrived in each interval of `REPORT` seconds, such as ``11.9 M`` (of bytes)."""

    @property
    def pauses(self) -> list[int]:
        """The numbers of the intervals in which nothing arrived."""
        return [n for n, amount in enumerate(self.amounts) if float(amount.split()[0]) == 0]


@contextlib.contextmanager
def stream(source: Guest, sink: Guest, rate: str = "200M") -> Iterator[StreamRun]:
    """Send as much as `rate` bits a second by TCP (iperf3) meanwhile."""
    run = StreamRun()
    serve = ("iperf3", "--server", "--one-off", "--forceflush", "--interval", str(REPORT))
    send = ("iperf3", "--client", sink.ipv4, "--time", "3600", "--bitrate", rate)

    def listening() -> bool:
        return _PORT in sink.run("ss", "--listening", "--tcp", "--numeric").stdout

    def arrived() -> list[str]:
        output.seek(0)
        run.amounts = _AMOUNT.findall(output.read())
        return run.amounts

    with _output() as output, sink.popen(*serve, stdout=output):
        wait_for("iperf3 to listen", listening)
        with source.popen(*send, stdout=subprocess.DEVNULL) as sender:
            wait_for("the first bytes of the stream", arrived)
            yield run
            before = len(arrived())
            # The interval after the one in which the block ended.
            wait_for("the end of an interval", lambda: len(arrived()) > before + 1)
            assert sender.poll() is None, "the stream broke off"


def _output() -> IO[str]:
    """Return a file for what a program prints: a pipe that nobody reads would stop it."""
    return tempfile.TemporaryFile("w+", encoding="utf-8")
