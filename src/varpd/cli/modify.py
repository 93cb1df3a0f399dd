"""``overlayadm modify``: change an overlay's table or its properties."""

import click

from varpd.cli import parsing
from varpd.cli.connection import complete_overlays, connect
from varpd.cli.exits import complain
from varpd.control.messages import OverlayInfo


@click.command(name="modify")
@click.argument("name", shell_complete=complete_overlays)
@click.option(
    "-s",
    "--set-entry",
    "set_entries",
    type=parsing.ENTRY,
    multiple=True,
    metavar="MAC=IP:PORT|MAC=[IPV6]:PORT|MAC=drop",
    help="Say where a MAC is, above all that the plugin says, or drop frames to it.",
)
@click.option(
    "-d",
    "--delete-entry",
    "deleted_entries",
    multiple=True,
    metavar="MAC",
    help="Forget a MAC.",
)
@click.option(
    "-f", "--flush-table", is_flag=True, help="Forget all that the plugin said; set entries stay."
)
@click.option(
    "-p",
    "--prop",
    type=parsing.PROPERTY,
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a property; several are set all or none. NAME= goes back to the default.",
)
@click.option(
    "--forget-state",
    is_flag=True,
    help="Forget what the plugin saved, and start it from its properties alone.",
)
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    set_entries: tuple[tuple[str, str], ...],
    deleted_entries: tuple[str, ...],
    flush_table: bool,
    prop: tuple[tuple[str, str], ...],
    forget_state: bool,
) -> None:
    """Change the overlay NAME: its table or its properties, one kind of action at a time."""
    _check_one_action(set_entries, deleted_entries, flush_table, prop, forget_state)
    values = parsing.properties(prop)
    changed: OverlayInfo | None = None
    with connect(ctx) as client:
        for mac, target in set_entries:
            client.set_entry(name, mac, target)
        for mac in deleted_entries:
            client.delete_entry(name, mac)
        if flush_table:
            client.flush(name)
        if values:
            changed = client.set_properties(name, values)
        if forget_state:
            changed = client.forget_state(name)
    if changed is not None and changed.state != "online":
        complain(f"{name} is changed, and {changed.state}: {changed.detail or 'see show -f'}")


def _check_one_action(
    set_entries: tuple[tuple[str, str], ...],
    deleted_entries: tuple[str, ...],
    flush_table: bool,
    prop: tuple[tuple[str, str], ...],
    forget_state: bool,
) -> None:
    actions = (set_entries, deleted_entries, flush_table, prop, forget_state)
    kinds = sum(map(bool, actions))
    if kinds != 1 or len(set_entries) > 1 or len(deleted_entries) > 1:
        raise click.UsageError("exactly one of -s, -d, -f, --forget-state, or any number of -p")
