"""``overlayadm create``: make an overlay."""

import click

from varpd.cli import parsing
from varpd.cli.connection import connect
from varpd.cli.exits import complain
from varpd.control.messages import CreateOverlay


@click.command(name="create")
@click.argument("name")
@click.option(
    "-v",
    "--vnetid",
    type=parsing.VNETID,
    required=True,
    metavar="VNETID",
    help="Virtual network identifier, decimal or 0x...",
)
@click.option(
    "-e", "--encap", default="vxlan", show_default=True, metavar="ENCAP", help="Encapsulation."
)
@click.option("-s", "--search", required=True, metavar="PLUGIN", help="Search plugin.")
@click.option(
    "-p",
    "--prop",
    type=parsing.PROPERTY,
    multiple=True,
    metavar="NAME=VALUE",
    help="Set one property; may be repeated. Commas belong to the value.",
)
@click.option("-t", "--temporary", is_flag=True, help="Forget it when the host restarts.")
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    vnetid: int,
    encap: str,
    search: str,
    prop: tuple[tuple[str, str], ...],
    temporary: bool,
) -> None:
    """Make the overlay NAME on this host."""
    request = CreateOverlay(
        name=name,
        vnetid=vnetid,
        search=search,
        encap=encap,
        properties=parsing.properties(prop),
        temporary=temporary,
    )
    with connect(ctx) as client:
        made = client.create(request)
    if made.state != "online":
        complain(f"{name} is made, and {made.state}: {made.detail or 'see show -f'}")
