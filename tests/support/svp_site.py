"""A site with three SVP servers behind one name, for tests of who is asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Final

import structlog

from support.portolan import Portolan
from support.waiting import until
from varpd.net.addresses import IpAddress, MacAddress
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.messages import Vl2Ack, Vl2Request
from varpd.plugins.svp.remote import Key, Remote
from varpd.plugins.svp.wire import Message

MAC: Final = MacAddress.parse("02:00:5e:00:00:01")
HOST: Final = ip_address("192.0.2.2")
UNDERLAY: Final = ip_address("192.0.2.1")
FOUND: Final = Vl2Ack(Status.OK, 4789, HOST)
ADDRESSES: Final = [ip_address(f"127.0.9.{number}") for number in (1, 2, 3)]
PATIENCE: Final = 10.0


class Site:
    """Servers, their name, and a remote."""

    def __init__(self) -> None:
        self.servers = [Portolan(macs={(7, bytes(MAC)): (HOST, 4789)}) for _ in ADDRESSES]
        self.addresses: list[IpAddress] | OSError = []
        self.problems: list[str | None] = []
        self.port = 0
        self.remote = Remote(Key("portolan", 0, UNDERLAY), self.resolve)
        self.remote.join(self)

    async def resolve(self, host: str, port: int) -> list[IpAddress]:
        assert (host, port) == ("portolan", self.port)
        if isinstance(self.addresses, OSError):
            raise self.addresses
        return self.addresses

    def remote_is(self, problem: str | None) -> None:
        self.problems.append(problem)

    async def start(self, *numbers: int) -> None:
        """Start servers, all on one port."""
        for number in numbers:
            self.port = await self.servers[number].start(str(ADDRESSES[number]), self.port)
        self.remote.key = Key("portolan", self.port, UNDERLAY)

    async def ask(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            return await self.remote.ask(Vl2Request(MAC, 7))

    async def open(self, count: int) -> None:
        """Wait for that many connections."""
        await until(lambda: len(self.remote._open()) == count)


async def nothing() -> None:
    """Have no log to follow."""
    await asyncio.Event().wait()


@asynccontextmanager
async def at_work(
    site: Site, besides: Callable[[], Awaitable[None]] = nothing
) -> AsyncIterator[None]:
    work = asyncio.ensure_future(site.remote.work(structlog.get_logger(), besides))  # noqa: TID251
    try:
        yield
        assert not work.done() or work.exception() is None
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


@asynccontextmanager
async def a_site() -> AsyncIterator[Site]:
    """Make a site; all of it ends with the block."""
    made = Site()
    async with AsyncExitStack() as stack:
        for server in made.servers:
            stack.push_async_callback(server.stop)
        stack.push_async_callback(made.remote.leave_in_order, made)
        yield made
