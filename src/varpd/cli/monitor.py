"""``overlayadm monitor``: what happens, as it happens."""

import sys
from datetime import datetime

import click

from varpd.cli import output
from varpd.cli.connection import complete_overlays, connect
from varpd.cli.exits import Refused
from varpd.control.messages import EventInfo

SHOWN = 4
"""MACs that a line names; of more it has the number."""


@click.command(name="monitor")
@click.argument("name", required=False, metavar="[NAME]", shell_complete=complete_overlays)
@click.option("--json", "as_json", is_flag=True, help="JSON, an event a line.")
@click.pass_context
def command(ctx: click.Context, name: str | None, as_json: bool) -> None:
    """Show what happens in the overlay NAME, or in all, until interrupted.

    Exits with 1 when the daemon ends.
    """
    with connect(ctx) as client:
        for event in client.events(name):
            if as_json:
                output.print_json(event)
            else:
                click.echo(output.printable(line(event)))
            sys.stdout.flush()
    raise Refused("the daemon has ended; run the command again when it is back")


def line(event: EventInfo) -> str:
    """Return an event on one line, in local time."""
    time = datetime.fromisoformat(event.time).astimezone().isoformat(" ", "milliseconds")
    macs = list(event.macs[:SHOWN])
    more = event.more + len(event.macs) - len(macs)
    if more and event.macs:
        macs.append(f"{more} more")
    about = f" {', '.join(macs)}:" if macs else ":"
    return f"{time[:23]} {event.overlay or '*'}{about} {event.text}"
