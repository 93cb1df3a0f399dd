"""The entry of ``overlayadm``: global options, the verbs, and how every failure ends."""

import importlib
import os
import sys
from typing import Any, Final

import click

from varpd.cli.exits import Exit, Refused
from varpd.control.messages import DEFAULT_SOCKET, ControlError

VERBS: Final = (
    "capture",
    "create",
    "delete",
    "doctor",
    "explain",
    "modify",
    "monitor",
    "plugins",
    "port",
    "report",
    "show",
    "stats",
    "trace",
)
"""Each is a module of this package with a ``command``."""


class Overlayadm(click.Group):
    """The verbs, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the alphabet."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb and return its command."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"varpd.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; whatever goes wrong ends it with a line on stderr and an exit status."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except ControlError as error:
            raise Refused(str(error)) from error
        except KeyboardInterrupt:
            ctx.exit(Exit.INTERRUPTED)
        except BrokenPipeError:
            _forget_output()
            ctx.exit(Exit.PIPE_CLOSED)
        except OSError as error:
            _forget_output()
            raise Refused(f"cannot write: {error.strerror or error}") from error
        return result


def _forget_output() -> None:
    """Let what is still buffered go nowhere, so that the interpreter's end does not fail on it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.group(cls=Overlayadm, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--socket",
    metavar="PATH",
    envvar="VARPD_SOCKET",
    default=DEFAULT_SOCKET,
    show_default=True,
    show_envvar=True,
    help="Where the daemon listens.",
)
@click.version_option(package_name="varpd", message="overlayadm %(version)s")
def overlayadm(socket: str) -> None:
    """Administer the overlays of this host."""


def main() -> None:
    """Run the command and exit with its status."""
    overlayadm(prog_name="overlayadm")
