"""``overlayadm capture``: the frames that go through the daemon, for Wireshark or to look at."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO

import click

from varpd.cli import output
from varpd.cli.connection import complete_overlays, connect
from varpd.cli.exits import Refused, complain
from varpd.cli.frames import describe
from varpd.control.captures import KINDS, SNAPLEN, Capture, CaptureKind
from varpd.net import pcapng
from varpd.net.decode import DecodeError

MODE = 0o600
"""Who may read a file with guests' traffic."""


@click.command(name="capture")
@click.argument("name", shell_complete=complete_overlays)
@click.option(
    "-w",
    "--write",
    "file",
    metavar="FILE",
    help="Write pcapng to FILE, - for the standard output, instead of a line for each frame.",
)
@click.option(
    "-c", "--count", type=click.IntRange(min=1), metavar="COUNT", help="End after COUNT frames."
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Only frames of this kind; may be repeated.",
)
@click.option(
    "-s",
    "--snaplen",
    type=click.IntRange(min=1, max=SNAPLEN),
    default=SNAPLEN,
    metavar="BYTES",
    help="Keep so many bytes of each frame; all unless given.",
)
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    file: str | None,
    count: int | None,
    kinds: tuple[CaptureKind, ...],
    snaplen: int,
) -> None:
    """Capture frames of the overlay NAME that go through the daemon, until interrupted.

    These are frames without a row, those that are sent on, and those that the daemon delivers to
    guests here. Frames with a row stay in the kernel and are not seen. This shows guests' traffic,
    so it needs the right to change.
    """
    wanted = Capture(tuple(dict.fromkeys(kinds)) or KINDS, snaplen, count)
    tally = _Tally()
    interrupted = False
    with connect(ctx) as client:
        pieces = client.capture(name, wanted)
        try:
            with _target(file) as target:
                for block in _blocks(pieces):
                    _take(block, wanted.kinds, tally, target)
        except KeyboardInterrupt:
            interrupted = True
    complain(tally.summary)
    if not interrupted and tally.frames != count:
        raise Refused("the daemon ended the capture: it stops, or the overlay is gone")


class _Tally:
    """How many frames there were."""

    def __init__(self) -> None:
        self.frames = 0
        self.lost: dict[int, int] = {}

    @property
    def summary(self) -> str:
        """What is said at the end."""
        return f"{self.frames} frames captured, {sum(self.lost.values())} lost to the capture"


def _blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    splitter = pcapng.Splitter()
    try:
        for piece in pieces:
            yield from splitter.feed(piece)
    except DecodeError as error:
        message = f"the daemon's capture is not understood; is it another version? ({error})"
        raise Refused(message) from error


def _take(
    block: bytes, kinds: tuple[CaptureKind, ...], tally: _Tally, target: IO[bytes] | None
) -> None:
    """Write a block, or a line about it, and count it."""
    found = pcapng.parse(block)
    if target is not None:
        target.write(block)
        target.flush()
    if isinstance(found, pcapng.Packet):
        tally.frames += 1
        if target is None:
            click.echo(output.printable(describe(kinds[found.interface], found)))
            sys.stdout.flush()
    elif isinstance(found, pcapng.Statistics):
        tally.lost[found.interface] = found.dropped


@contextlib.contextmanager
def _target(file: str | None) -> Iterator[IO[bytes] | None]:
    """Open where a capture is written; None: nowhere."""
    if file is None:
        yield None
    elif file == "-":
        yield sys.stdout.buffer
    else:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise Refused(f"cannot write {file}: {error.strerror}") from error
        with os.fdopen(descriptor, "wb") as opened:
            yield opened
