"""``overlayadm port``: who the guests at an overlay's ports are."""

from typing import Final, cast, get_args

import click
from msgspec import UNSET, structs

from varpd.cli import output
from varpd.cli.connection import complete_overlays, connect
from varpd.cli.output import Column, Row
from varpd.control.messages import AntispoofValue, PortInfo, SetPort

COLUMNS: Final = (
    Column("PORT", 16),
    Column("STATE", 8),
    Column("MAC", 18),
    Column("ANTISPOOF", 10),
    Column("REFUSED", 8),
    Column("ADDRESSES", 30),
    Column("CONFLICT", 40),
)

USUAL: Final = "default"
"""The word for what the overlay has."""


@click.command(name="port")
@click.argument("name", shell_complete=complete_overlays)
@click.argument("port", required=False)
@click.option("--mac", metavar="MAC", help="The guest's MAC.")
@click.option(
    "--ip",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="An overlay address of the guest; all of them, in place of those before.",
)
@click.option(
    "--antispoof",
    type=click.Choice([USUAL, *get_args(AntispoofValue)]),
    help="In place of the overlay's property of that name; default: as the overlay has it.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="The guest has moved here: have the search plugin take it from the host that has it.",
)
@click.option("--forget", is_flag=True, help="Forget all that was said of the port.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    port: str | None,
    mac: str | None,
    addresses: tuple[str, ...],
    antispoof: str | None,
    take_over: bool,
    forget: bool,
    as_json: bool,
) -> None:
    """Show the guests' ports of the overlay NAME, or say who the guest at PORT is.

    PORT is the name of a link, which need not be there yet: what is said of it is kept and holds
    whenever a link of that name is on the overlay's bridge. It takes effect with the property
    antispoof, and while traffic flows. A search plugin that publishes where guests are is told of
    each port that is on the bridge and has a MAC.
    """
    changes = mac is not None or bool(addresses) or antispoof is not None or take_over
    if port is None and (changes or forget):
        raise click.UsageError("of which port?")
    if changes and forget:
        raise click.UsageError("--forget goes with no other change")
    with connect(ctx) as client:
        if port is not None and forget:
            client.delete_port(name, port)
            return
        if port is not None and changes:
            client.set_port(name, port, _change(mac, addresses, antispoof, take_over))
            return
        found = [info for info in client.ports(name) if port in (None, info.port)]
    if as_json:
        output.print_json(found)
    else:
        output.print_table(COLUMNS, [_row(info) for info in found])


def _change(
    mac: str | None, addresses: tuple[str, ...], antispoof: str | None, take_over: bool
) -> SetPort:
    change = SetPort(UNSET if mac is None else mac, addresses or UNSET, takeover=take_over)
    if antispoof is None:
        return change
    own = None if antispoof == USUAL else cast(AntispoofValue, antispoof)
    return structs.replace(change, antispoof=own)


def _row(info: PortInfo) -> Row:
    return (
        info.port,
        info.state,
        info.mac or "",
        info.antispoof,
        str(info.refused),
        ", ".join(info.addresses),
        info.conflict or "",
    )
