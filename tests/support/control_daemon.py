"""A control server with a fake service behind it, in a thread of its own."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from support.fake_service import FakeService
from varpd.control.access import Access
from varpd.control.connection import Limits
from varpd.control.listener import Listener, listen
from varpd.control.server import ControlServer

START = 10.0
"""Seconds in which the server must have started."""


@dataclass(frozen=True)
class FakeDaemon:
    """What a test sees of the running server."""

    socket: Path
    service: FakeService
    loop: asyncio.AbstractEventLoop

    def call(self, work: Callable[..., object], *arguments: object) -> None:
        """Do something in the server's thread."""
        self.loop.call_soon_threadsafe(work, *arguments)


@contextlib.contextmanager
def running(
    directory: Path,
    service: FakeService | None = None,
    access: Access | None = None,
    limits: Limits | None = None,
) -> Iterator[FakeDaemon]:
    """Run a server on ``directory/run/varpd.sock`` until the block ends."""
    fake = service or FakeService()
    with listen(directory / "run" / "varpd.sock") as listener, _runner() as runner:
        server = ControlServer(fake, access or Access.usual(), limits)
        ready = threading.Event()
        end = asyncio.Event()
        loop = runner.get_loop()
        thread = threading.Thread(
            target=lambda: runner.run(_serve(server, listener, ready, end)), name="control server"
        )
        thread.start()
        try:
            assert ready.wait(START), "the control server did not start"
            yield FakeDaemon(listener.path, fake, loop)
        finally:
            loop.call_soon_threadsafe(end.set)
            thread.join()


def _runner() -> asyncio.Runner:
    """Return what runs the server on the daemon's own kind of event loop."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def _serve(
    server: ControlServer, listener: Listener, ready: threading.Event, end: asyncio.Event
) -> None:
    await server.start(listener.socket)
    ready.set()
    await end.wait()
    await server.stop()
