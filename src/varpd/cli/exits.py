"""How the command ends."""

import enum

import click

from varpd.cli.output import printable


class Exit(enum.IntEnum):
    """Exit statuses."""

    DONE = 0
    FAILED = 1
    """Refused or failed: one line on stderr says what and why."""

    USAGE = 2
    """The command line is wrong."""

    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of SIGINT, as shells have it."""

    PIPE_CLOSED = 141
    """Nobody reads the output any more: 128 and the number of SIGPIPE."""


class Refused(click.ClickException):
    """What was asked for cannot be done. Ends the command with `Exit.FAILED`."""

    exit_code = Exit.FAILED

    def show(self, file: object = None) -> None:
        """Print one line on stderr."""
        complain(self.message)


def complain(message: str) -> None:
    """Print one line about what is wrong on stderr."""
    click.echo(f"overlayadm: {printable(message)}", err=True)
