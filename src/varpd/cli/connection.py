"""The way to the daemon, and the names that it knows for completion."""

import click
from click.shell_completion import CompletionItem

from varpd.control.client import Client
from varpd.control.messages import ControlError

COMPLETION_TIMEOUT = 1.0
"""Seconds that someone who pressed the tabulator waits for the daemon."""


def connect(ctx: click.Context) -> Client:
    """Return a client for the socket that the operator named."""
    return Client(_socket(ctx))


def complete_overlays(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the overlays whose names begin so; none if the daemon does not answer."""
    try:
        with Client(_socket(ctx), COMPLETION_TIMEOUT) as client:
            names = [overlay.name for overlay in client.overlays()]
    except ControlError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _socket(ctx: click.Context) -> str:
    return str(ctx.find_root().params["socket"])
