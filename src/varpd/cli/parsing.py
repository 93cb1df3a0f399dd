"""What operators write on the command line, as values.

Only the form is checked here; what a name, an address or a value may be is the daemon's to say.
"""

import re
from collections.abc import Iterable
from typing import Final

import click

VNETID_MAX: Final = (1 << 64) - 1
"""The largest that the plugin contract can hold; the encapsulation's limit is lower."""

_VNETID: Final = re.compile(r"[0-9]{1,20}|0[xX][0-9a-fA-F]{1,16}")


class Vnetid(click.ParamType[int]):
    """A virtual network identifier: decimal, or hexadecimal with ``0x``."""

    name = "vnetid"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number; the whole text must be one."""
        number = _number(str(value))
        if number is None:
            self.fail(f"{str(value)!r} is no number from 0 to 2^64-1", param, ctx)
        return number


def _number(text: str) -> int | None:
    if not _VNETID.fullmatch(text):
        return None
    number = int(text, 16 if text[:2] in ("0x", "0X") else 10)
    return number if number <= VNETID_MAX else None


class Assignment(click.ParamType[tuple[str, str]]):
    """``LEFT=RIGHT``, split at the first ``=``; the left side is not empty."""

    name = "assignment"

    def __init__(self, form: str, may_be_empty: bool = False) -> None:
        """Take the form to show when it is wrong, and whether the right side may be empty."""
        self._form = form
        self._may_be_empty = may_be_empty

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return both sides."""
        left, equals, right = str(value).partition("=")
        if not left or not equals or not (right or self._may_be_empty):
            self.fail(f"{str(value)!r} is not {self._form}", param, ctx)
        return left, right


VNETID: Final = Vnetid()
PROPERTY: Final = Assignment("NAME=VALUE", may_be_empty=True)
ENTRY: Final = Assignment("MAC=IP:PORT, MAC=[IPV6]:PORT or MAC=drop")


def properties(assignments: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """Return the values by name; None where nothing stands behind the ``=``: the default.

    Raises:
        click.UsageError: a property is given twice.
    """
    values: dict[str, str | None] = {}
    for name, text in assignments:
        if name in values:
            raise click.UsageError(f"property {name} is given twice")
        values[name] = text or None
    return values


def fields(text: str, known: Iterable[str]) -> list[str]:
    """Return the names of fields in a comma-separated list, in upper case.

    Raises:
        click.UsageError: a field is not one of those known.
    """
    possible = list(known)
    wanted = [field.strip().upper() for field in text.split(",")]
    for field in wanted:
        if field not in possible:
            raise click.UsageError(f"unknown field {field!r}; there are {','.join(possible)}")
    return wanted
