"""The command `varpd-svp-server`."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import click
from watchfiles import awatch

from varpd.plugins.svp.server.content import Content, ContentError, parse
from varpd.plugins.svp.server.service import CONNECTIONS, Connection, Service
from varpd.plugins.svp.wire import PORT

MAX_SIZE: Final = 256 << 20
"""Bytes that a file may have."""

LOOK: Final = 5_000
"""Milliseconds between looks where the kernel tells nothing of changes."""

_log: Final = logging.getLogger("varpd-svp-server")


def read(file: Path) -> Content:
    """Read the file.

    Raises:
        ContentError: it cannot be read, or something in it is not as it should be.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_SIZE + 1)
    except OSError as error:
        raise ContentError(error.strerror or str(error)) from error
    if len(data) > MAX_SIZE:
        raise ContentError(f"larger than {MAX_SIZE} bytes")
    return parse(data)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--listen", default="::", show_default=True, help="Address to take connections at.")
@click.option(
    "--port", default=PORT, show_default=True, type=click.IntRange(1, 65535), help="TCP port."
)
@click.option(
    "--connections",
    default=CONNECTIONS,
    show_default=True,
    type=click.IntRange(1, 65536),
    help="Connections at a time; more are closed at once.",
)
@click.option("--check", is_flag=True, help="Say whether FILE is good, and end.")
def main(file: Path, listen: str, port: int, connections: int, check: bool) -> None:
    """Answer SVP requests from FILE, in JSON: hosts, and for each overlay which MAC is where.

    FILE is read again when it changes, and on SIGHUP; a bad one is told and changes nothing. What
    has changed goes to the log of each host. SIGTERM and SIGINT end it. The format of FILE, and
    how to use this with varpd, is described in docs/triton.md.

    \b
    Example:
      {"hosts": {"a": "192.0.2.11", "b": "192.0.2.12"},
       "overlays": {"42": {
         "02:00:00:00:00:01": {"ip": "192.0.2.11", "port": 4789, "arp": "10.0.0.1"}}}}

    Exit status: 0 ended in order, 1 FILE or the address cannot be used, 2 wrong options.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    file = file.absolute()
    try:
        content = read(file)
    except ContentError as error:
        sys.exit(f"varpd-svp-server: {file}: {error}")
    if check:
        click.echo(f"{file}: {_words(content)}")
        return
    try:
        asyncio.run(serve(file, Service(content, connections), listen, port))
    except OSError as error:
        sys.exit(f"varpd-svp-server: cannot listen at {listen} port {port}: {error.strerror}")


async def serve(file: Path, service: Service, listen: str, port: int) -> None:
    """Answer until a signal says to end.

    Raises:
        OSError: there is no listening at the address and port.
    """
    loop = asyncio.get_running_loop()
    ending, again, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def tell() -> None:
        told.set()
        again.set()

    opened = socket.create_server(
        (listen, port),
        family=socket.AF_INET6 if ":" in listen else socket.AF_INET,
        dualstack_ipv6=listen == "::" and socket.has_dualstack_ipv6(),
    )
    server = await loop.create_server(lambda: Connection(service), sock=opened)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    loop.add_signal_handler(signal.SIGHUP, tell)
    again.set()
    _log.info("answers at %s port %d: %s", listen, port, _words(service.content))
    async with server, asyncio.TaskGroup() as group:
        tasks = (
            group.create_task(_watch(file, again), name="watch"),
            group.create_task(_follow(file, service, again, told), name="follow"),
        )
        await ending.wait()
        _log.info("told to end")
        for task in tasks:
            task.cancel()
        server.close()
        service.close()


async def _watch(file: Path, again: asyncio.Event) -> None:
    """Tell when something happens in the directory of the file, or a while has passed."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            async for _ in awatch(
                file.parent, recursive=False, rust_timeout=LOOK, yield_on_timeout=True, step=20
            ):
                again.set()
        await asyncio.sleep(1)


def _signature(file: Path) -> tuple[int, int, int] | None:
    """Return by what a change of the file is seen; None: it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


async def _follow(file: Path, service: Service, again: asyncio.Event, told: asyncio.Event) -> None:
    """Answer from the file as it is; a bad one changes nothing, and is told once unless asked."""
    complaint = ""
    seen: tuple[int, int, int] | None = (0, 0, 0)
    while True:
        await again.wait()
        again.clear()
        signature = await asyncio.to_thread(_signature, file)
        if signature == seen and not told.is_set():
            continue
        if told.is_set():
            complaint = ""
        told.clear()
        seen = signature
        try:
            content = await asyncio.to_thread(read, file)
        except ContentError as error:
            if str(error) != complaint:
                complaint = str(error)
                _log.error("%s: %s; what was there before stays", file, complaint)
            continue
        complaint = ""
        if content != service.content:
            changes = service.replace(content)
            _log.info("%s: %s, %d changes", file, _words(content), changes)


def _words(content: Content) -> str:
    return f"{len(content.hosts)} hosts, {len(content.places)} mappings"
