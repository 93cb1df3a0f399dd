"""``overlayadm show``: overlays, their health, their tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import click

from varpd.cli import output, parsing
from varpd.cli.connection import complete_overlays, connect
from varpd.cli.exits import Exit, complain
from varpd.cli.output import Column, Row
from varpd.control.client import Client
from varpd.control.messages import (
    ControlError,
    ErrorCode,
    JsonValue,
    OverlayInfo,
    PropertyInfo,
    TargetInfo,
)

Item = TypeVar("Item")

Look = Callable[[Client, str, OverlayInfo | None], list[Item]]
"""Returns what there is about the overlay of a name, and of which this much may be known."""

EVERYTHING: Final = "*:*:*:*:*:*"
"""What stands for every MAC in the table of a POINT overlay."""


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at an overlay."""

    columns: tuple[Column, ...]
    rows: Look[Row]
    """The lines about one overlay."""

    objects: Look[object]
    """The JSON objects about one overlay."""


def _value(value: JsonValue) -> str:
    return "" if value is None else str(value)


def _property_row(overlay: str, item: PropertyInfo) -> Row:
    return (
        overlay,
        item.name,
        item.permission,
        "y" if item.required else "-",
        _value(item.value),
        _value(item.default),
        item.possible,
    )


def _fault_row(overlay: OverlayInfo) -> Row:
    return overlay.name, overlay.state.upper(), overlay.detail or "-"


def _target_row(target: TargetInfo) -> Row:
    return target.overlay, target.mac or EVERYTHING, _destination(target)


def _destination(target: TargetInfo) -> str:
    if target.state == "blocked":
        return "drop"
    if target.ip is None or target.port is None:
        return target.ip or ""
    return f"[{target.ip}]:{target.port}" if ":" in target.ip else f"{target.ip}:{target.port}"


PROPERTIES: Final = View(
    (
        Column("LINK", 19),
        Column("PROPERTY", 19),
        Column("PERM", 5),
        Column("REQ", 4),
        Column("VALUE", 11),
        Column("DEFAULT", 10),
        Column("POSSIBLE", 10),
    ),
    lambda client, name, _: [_property_row(name, item) for item in client.properties(name)],
    lambda client, name, known: [known or client.overlay(name)],
)

FAULTS: Final = View(
    (Column("LINK", 20), Column("STATUS", 8), Column("DETAILS", 52)),
    lambda client, name, known: [_fault_row(known or client.overlay(name))],
    lambda client, name, known: [known or client.overlay(name)],
)

TARGETS: Final = View(
    (Column("LINK", 20), Column("TARGET", 18), Column("DESTINATION", 42)),
    lambda client, name, _: [_target_row(target) for target in client.targets(name)],
    lambda client, name, _: list(client.targets(name)),
)


@click.command(name="show")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_overlays)
@click.option("-f", "--fault", is_flag=True, help="Which overlays are degraded, and why.")
@click.option("-t", "--targets", is_flag=True, help="The tables: MACs and where they are.")
@click.option("--parsable", is_flag=True, help="Fields for scripts, as -o says, without a header.")
@click.option(
    "-o", "--output", "selection", metavar="FIELD,...", help="The fields to show, in this order."
)
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    fault: bool,
    targets: bool,
    parsable: bool,
    selection: str | None,
    as_json: bool,
) -> None:
    """Show the overlays NAME..., or all: their properties, or what the options say."""
    if fault and targets:
        raise click.UsageError("-f and -t exclude each other")
    if as_json and (parsable or selection is not None):
        raise click.UsageError("--json goes with neither --parsable nor -o")
    if parsable and selection is None:
        raise click.UsageError("--parsable needs -o")
    view = TARGETS if targets else FAULTS if fault else PROPERTIES
    titles = [column.title for column in view.columns]
    wanted = titles if selection is None else parsing.fields(selection, titles)

    with connect(ctx) as client:
        if as_json:
            objects, errors = _gather(client, names, view.objects)
            output.print_json(objects)
        else:
            rows, errors = _gather(client, names, view.rows)
            _print(view, rows, [titles.index(title) for title in wanted], parsable)
    for error in errors:
        complain(str(error))
    if errors:
        ctx.exit(Exit.FAILED)


def _print(view: View, rows: list[Row], chosen: list[int], parsable: bool) -> None:
    selected: list[Row] = [[row[index] for index in chosen] for row in rows]
    if parsable:
        output.print_fields(selected)
    else:
        output.print_table([view.columns[index] for index in chosen], selected)


def _gather(
    client: Client, names: tuple[str, ...], look: Look[Item]
) -> tuple[list[Item], list[ControlError]]:
    """Return what there is about the overlays, and what went wrong with some of them."""
    found: list[Item] = []
    errors: list[ControlError] = []
    known = {} if names else {overlay.name: overlay for overlay in client.overlays()}
    for name in names or known:
        try:
            found += look(client, name, known.get(name))
        except ControlError as error:
            if error.code in (ErrorCode.UNREACHABLE, ErrorCode.FORBIDDEN):
                raise
            # Without names, an overlay that has gone since the list was made is no error.
            if names or error.code is not ErrorCode.NOT_FOUND:
                errors.append(error)
    return found, errors
