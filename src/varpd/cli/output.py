"""Tables for people, fields for scripts, JSON for programs."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import click

NONE: Final = "--"
"""What a table shows where there is no value. Fields for scripts are empty then."""

MAX_STYLED: Final = 2_000
"""Rows up to which a table is styled on a terminal; beyond, the layout would take seconds."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    width: int
    """Least width, the space behind it included. Longer values make the column wider."""


Row = Sequence[str]
"""The cells of a line; an empty one has no value."""


def printable(text: str) -> str:
    """Return text on one line that cannot steer a terminal: control characters are escaped."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def print_table(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print a table; values are never cut."""
    cells = [[printable(cell) or NONE for cell in row] for row in rows]
    if sys.stdout.isatty() and len(cells) <= MAX_STYLED:
        _print_styled(columns, cells)
    else:
        _print_plain(columns, cells)


def _widths(columns: Sequence[Column], cells: list[list[str]]) -> list[int]:
    """Return how wide each column is if nothing is folded, the space behind it included."""
    return [
        max(column.width, *(len(row[index]) + 1 for row in cells)) if cells else column.width
        for index, column in enumerate(columns)
    ]


def _print_plain(columns: Sequence[Column], cells: list[list[str]]) -> None:
    widths = _widths(columns, cells)
    titles = [column.title for column in columns]
    for row in [titles, *cells]:
        line = "".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _print_styled(columns: Sequence[Column], cells: list[list[str]]) -> None:
    # Only here: importing it takes as long as everything else the command does.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    # Where the usual widths have no room, columns shrink and long values go on in the next line.
    has_room = sum(_widths(columns, cells)) <= console.width
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        least = column.width - 1 if has_room else None
        table.add_column(column.title, min_width=least, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style="bold red" if cell == "DEGRADED" else "") for cell in row))
    console.print(table)


def print_fields(rows: Iterable[Row]) -> None:
    """Print fields for scripts, one row a line.

    Several fields are separated by ``:``; a ``:`` or ``\\`` within one has a ``\\`` before it. A
    field on its own is printed as it is.
    """
    for row in rows:
        clean = [printable(cell) for cell in row]
        sys.stdout.write(":".join(map(_escaped, clean)) if len(clean) > 1 else clean[0])
        sys.stdout.write("\n")


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace(":", "\\:")


def print_json(value: object) -> None:
    """Print JSON on one line."""
    import msgspec

    click.echo(msgspec.json.encode(value))
