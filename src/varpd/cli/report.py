"""``overlayadm report``: one JSON document for a bug report."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click
import msgspec

from varpd.cli.connection import connect
from varpd.cli.exits import Refused
from varpd.control.diagnosis import Report
from varpd.control.messages import ControlError
from varpd.doctor import checks
from varpd.doctor.facts import LinkFact, SystemFact
from varpd.doctor.findings import Finding

MODE: Final = 0o600
"""Of the file: it tells much about the host."""


class Document(msgspec.Struct, frozen=True):
    """What is written."""

    format: int
    """1; another number where fields change their meaning."""

    version: str
    """Of the command."""

    daemon: Report | None
    """What the daemon tells; null: it does not answer."""

    daemon_error: str | None
    metrics: str | None
    """What `/metrics` shows."""

    findings: tuple[Finding, ...]
    """Those of `overlayadm doctor`."""

    system: SystemFact
    links: tuple[LinkFact, ...] | None


@click.command(name="report")
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, which must not be there yet; else to standard output.",
)
@click.pass_context
def command(ctx: click.Context, file: Path | None) -> None:
    """Gather all that helps with a bug into one JSON document, secrets left out.

    It holds versions, configuration, overlays with their tables and counters, the last lines of
    the log, where threads are, and what `doctor` finds. Read it before you give it away: it names
    addresses, paths and guests' MACs.
    """
    from varpd.doctor import host  # only here, so that other commands do not load netlink

    own = version("varpd")
    with connect(ctx) as client:
        facts = host.gather(client, (), own)
        daemon, error, metrics = None, None, None
        try:
            daemon = client.report()
            metrics = client.metrics().decode()
        except ControlError as exc:
            error = str(exc)
    document = Document(
        format=1,
        version=own,
        daemon=daemon,
        daemon_error=error,
        metrics=metrics,
        findings=tuple(checks.run(facts)),
        system=facts.system,
        links=facts.links,
    )
    text = msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        # Never over a file that is there, nor through a link that somebody has put there.
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        with os.fdopen(opened, "wb") as writing:
            writing.write(text)
    except OSError as exc:
        raise Refused(f"cannot write {file}: {exc.strerror}") from exc
    click.echo(f"wrote {file}", err=True)
