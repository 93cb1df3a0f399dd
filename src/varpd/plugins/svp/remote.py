"""The servers behind one name: their addresses, and a connection to each.

All instances with the same servers and the same underlay address share one `Remote`. Each of them
runs `work`; one at a time does work, and when that one stops the next goes on with the connections
that there are.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any, Final, Protocol

from msgspec import Struct

from varpd.net.addresses import IpAddress
from varpd.plugins.svp.backoff import Backoff
from varpd.plugins.svp.calls import Calls
from varpd.plugins.svp.connection import Connection
from varpd.plugins.svp.wire import Message
from varpd.provider import Logger

RESOLVE_INTERVAL: Final = 30.0
"""Seconds between two looks for the addresses of the name."""

CONNECT_TIMEOUT: Final = 10.0
"""Seconds that connecting, or finding addresses, may take."""

FAILURES: Final = 6
"""A server that has failed more often than this in a row counts as out of reach."""


UNRESOLVED: Final = "failed to resolve or find entries for hostname {}"
UNREACHABLE: Final = "cannot reach any remote peers"
"""What operators are told, in the words that those of illumos know."""


class Key(Struct, frozen=True):
    """Which servers, for which host."""

    host: str
    """Name or address of the servers."""
    port: int
    underlay_ip: IpAddress
    """By which the servers know this host."""


class Member(Protocol):
    """An instance, as far as the remote knows it."""

    def remote_is(self, problem: str | None) -> None:
        """Hear what is wrong with the servers, or that nothing is."""


Resolve = Callable[[str, int], Awaitable[list[IpAddress]]]


class _Peer:
    """One address of the name."""

    def __init__(self) -> None:
        self.backoff = Backoff()
        self.connection: Connection | None = None
        self.task: asyncio.Task[None] | None = None


class Remote:
    """The servers; made and used on the event loop."""

    def __init__(self, key: Key, resolve: Resolve | None = None) -> None:
        """`resolve` finds the addresses of a name."""
        self.key = key
        self.members: list[Member] = []
        self._resolve = resolve or addresses_of
        self._peers: dict[IpAddress, _Peer] = {}
        self._unresolved: str | None = None
        self._problem: str | None = None
        self._leading = asyncio.Lock()
        self._calls = Calls(self._open)

    @property
    def is_healthy(self) -> bool:
        """Whether somebody can be asked now."""
        return bool(self._open())

    @property
    def problem(self) -> str | None:
        """What is wrong with the servers, or None."""
        return self._problem

    def join(self, member: Member) -> None:
        """Tell a member of the servers' state from now on."""
        self.members.append(member)
        if self._problem is not None:
            member.remote_is(self._problem)

    def leave(self, member: Member) -> None:
        """Tell it no more; a second time does nothing."""
        if member in self.members:
            self.members.remove(member)

    async def leave_in_order(self, member: Member) -> None:
        """Tell a member no more; with the last one wait until all connections are closed."""
        self.leave(member)
        if self.members:
            return
        closing = self._end()
        if closing:
            await asyncio.wait(closing)

    def close(self) -> None:
        """End all connections."""
        self._end()

    def _end(self) -> set[asyncio.Future[None]]:
        peers, self._peers = self._peers, {}
        closing = set()
        for peer in peers.values():
            if peer.task is not None:
                peer.task.cancel()
            if peer.connection is not None:
                peer.connection.break_off("nobody needs it any more")
                closing.add(peer.connection.closed)
        return closing

    async def ask(self, request: Message) -> Message:
        """Return the answer to a request; it is waited for until the caller gives up."""
        return await self._calls.ask(request)

    async def work(self, log: Logger, besides: Callable[[], Awaitable[None]]) -> None:
        """Find the servers, keep connections to them, and do `besides`; one caller at a time."""
        async with self._leading, asyncio.TaskGroup() as group:
            try:
                group.create_task(self._besides(besides), name="svp log")
                await self._follow_name(log, group)
            finally:
                for peer in self._peers.values():
                    peer.task = None

    async def _besides(self, besides: Callable[[], Awaitable[None]]) -> None:
        await besides()

    async def _follow_name(self, log: Logger, group: asyncio.TaskGroup) -> None:
        backoff = Backoff()
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    found = await self._resolve(self.key.host, self.key.port)
                reason = None if found else "it has no addresses"
            except (OSError, UnicodeError, TimeoutError) as error:
                found, reason = [], str(error) or "no answer in time"
            if reason is None:
                self._follow(found, log, group)
                self._unresolved = None
                backoff.worked()
            else:
                if self._unresolved is None:
                    log.warning("no SVP server by that name", host=self.key.host, why=reason)
                self._unresolved = UNRESOLVED.format(self.key.host)
            self._judge()
            await asyncio.sleep(
                RESOLVE_INTERVAL if reason is None or self._peers else backoff.failed()
            )

    def _follow(self, found: Sequence[IpAddress], log: Logger, group: asyncio.TaskGroup) -> None:
        """Have a connection to each of these addresses, and to no other."""
        for address in [each for each in self._peers if each not in found]:
            gone = self._peers.pop(address)
            if gone.task is not None:
                gone.task.cancel()
            if gone.connection is not None:
                gone.connection.wind_down()
                gone.connection.ended.add_done_callback(partial(self._gone, gone.connection))
        for address in found:
            peer = self._peers.setdefault(address, _Peer())
            if peer.task is None:
                peer.task = group.create_task(self._keep(address, peer, log), name=f"svp {address}")

    async def _keep(self, address: IpAddress, peer: _Peer, log: Logger) -> None:
        """Have a connection to an address for as long as it is one of the servers'."""
        where = f"{address} port {self.key.port}"
        while True:
            try:
                connection = peer.connection or await self._connect(address)
            except OSError as error:
                why = str(error) or "no answer in time"
            else:
                peer.connection = connection
                first: set[asyncio.Future[Any]] = {connection.proved, connection.ended}
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if connection.proved.done() and not connection.ended.done():
                    log.info("SVP server reached", server=where)
                    peer.backoff.worked()
                    self._judge()
                    self._calls.send_waiting()
                why = await asyncio.shield(connection.ended)
                peer.connection = None
                self._calls.again(connection)
            if peer.backoff.failures == 0:
                log.warning("SVP server lost", server=where, why=why)
            delay = peer.backoff.failed()
            self._judge()
            await asyncio.sleep(delay)

    async def _connect(self, address: IpAddress) -> Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, connection = await loop.create_connection(
                lambda: Connection(address), str(address), self.key.port
            )
        return connection

    def _gone(self, connection: Connection, _: object) -> None:
        self._calls.again(connection)

    def _open(self) -> list[Connection]:
        return [
            peer.connection
            for peer in self._peers.values()
            if peer.connection is not None and peer.connection.is_open
        ]

    def _judge(self) -> None:
        """Tell the members if what is wrong has changed."""
        problem = self._unresolved
        peers = self._peers.values()
        if problem is None and peers and all(each.backoff.failures > FAILURES for each in peers):
            problem = UNREACHABLE
        if problem != self._problem:
            self._problem = problem
            for member in self.members:
                member.remote_is(problem)


async def addresses_of(host: str, port: int) -> list[IpAddress]:
    """Return all addresses of a name, IPv4 and IPv6.

    Raises:
        OSError: there are none, or they cannot be found out.
    """
    try:
        return [ip_address(host)]
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(ip_address(info[4][0]) for info in found))
