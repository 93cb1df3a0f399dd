"""``overlayadm delete``: remove an overlay."""

import click

from varpd.cli.connection import complete_overlays, connect


@click.command(name="delete")
@click.argument("name", shell_complete=complete_overlays)
@click.pass_context
def command(ctx: click.Context, name: str) -> None:
    """Remove the overlay NAME, its links and its table."""
    with connect(ctx) as client:
        client.delete(name)
