"""``overlayadm plugins``: what overlays can be made of."""

import click

from varpd.cli import output
from varpd.cli.connection import connect
from varpd.cli.output import Column, Row
from varpd.control.messages import PluginInfo, PluginsInfo

PLUGINS = (Column("PLUGIN", 20), Column("MODE", 8), Column("API", 4), Column("ORIGIN", 30))
PROPERTIES = (
    Column("PLUGIN", 20),
    Column("PROPERTY", 20),
    Column("PERM", 5),
    Column("REQ", 4),
    Column("DEFAULT", 10),
    Column("POSSIBLE", 10),
)
ENCAPSULATIONS = (
    Column("ENCAPSULATION", 20),
    Column("NEEDS", 12),
    Column("VNETID", 14),
    Column("DATAPATHS", 20),
)
REFUSED = (Column("REFUSED", 40), Column("REASON", 18), Column("DETAILS", 20))


@click.command(name="plugins")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show the plugins that are loaded, those that were refused, and the encapsulations."""
    with connect(ctx) as client:
        info = client.plugins()
    if as_json:
        output.print_json(info)
    else:
        _print(info)


def _print(info: PluginsInfo) -> None:
    output.print_table(
        PLUGINS, [(p.name, p.mode, str(p.api_version), p.origin) for p in info.plugins]
    )
    properties = [row for plugin in info.plugins for row in _property_rows(plugin)]
    if properties:
        click.echo()
        output.print_table(PROPERTIES, properties)
    click.echo()
    output.print_table(
        ENCAPSULATIONS,
        [
            (e.name, ",".join(e.kinds), f"0-{e.vnetid_max}", ",".join(e.datapaths))
            for e in info.encapsulations
        ],
    )
    if info.refused:
        click.echo()
        output.print_table(REFUSED, [(r.origin, r.reason, r.message) for r in info.refused])


def _property_rows(plugin: PluginInfo) -> list[Row]:
    return [
        (
            plugin.name,
            item.name,
            item.permission,
            "y" if item.required else "-",
            "" if item.default is None else str(item.default),
            item.possible,
        )
        for item in plugin.properties
    ]
