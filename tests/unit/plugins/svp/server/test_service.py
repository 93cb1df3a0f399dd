"""What hosts are answered, over real connections; and what becomes of hostile ones."""

import asyncio
import random
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Final

import pytest

from support.waiting import until
from varpd.net.addresses import MacAddress
from varpd.plugins.svp.fields import BulkType, Status
from varpd.plugins.svp.log_messages import LogAck, LogRemove, LogRemoveAck, LogRequest, Vl2Record
from varpd.plugins.svp.messages import (
    BulkRequest,
    Ping,
    Pong,
    Shootdown,
    Vl2Ack,
    Vl2Request,
    Vl3Ack,
    Vl3Request,
)
from varpd.plugins.svp.server.content import Content, Owner, Place
from varpd.plugins.svp.server.service import Connection, Service
from varpd.plugins.svp.wire import Message, Stream, serialize

MAC = MacAddress.parse("02:00:5e:00:00:01")
STRANGER = MacAddress.parse("02:00:5e:00:00:99")
ADDRESS, HOST, OTHER = (ip_address(text) for text in ("fd00::1", "192.0.2.1", "192.0.2.2"))
CONTENT: Final = Content(
    frozenset({HOST}), {(7, MAC): Place(HOST, 4789)}, {(7, ADDRESS): Owner(MAC)}
)
MOVED: Final = Content(
    frozenset({HOST}), {(7, MAC): Place(OTHER, 4789)}, {(7, ADDRESS): Owner(MAC)}
)
PATIENCE = 10.0


class Client:
    """A host."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.stream = Stream()

    async def ask(self, *requests: Message) -> list[Message]:
        """Ask all at once; return the answers, whose ids are right."""
        for number, request in enumerate(requests):
            self.writer.write(serialize(number, request))
        found: list[Message] = []
        while len(found) < len(requests):
            frame = self.stream.next_frame()
            if frame is None:
                async with asyncio.timeout(PATIENCE):
                    data = await self.reader.read(65_536)
                assert data, "the server closed the connection"
                self.stream.feed(data)
                continue
            assert frame.id == len(found)
            found.append(frame.message())
        return found

    async def closed(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            while await self.reader.read(65_536):
                pass
        return True


class Site:
    """The server, and its clients."""

    def __init__(self, service: Service, port: int) -> None:
        self.service, self.port = service, port
        self.clients: list[Client] = []

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    service = Service(CONTENT, 8)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0)
    made = Site(service, server.sockets[0].getsockname()[1])
    yield made
    service.close()
    for client in made.clients:
        client.writer.close()
        await client.writer.wait_closed()
    server.close()
    await until(lambda: not service.open)


async def test_requests_are_answered_in_order(site: Site) -> None:
    client = await site.client()
    assert await client.ask(
        Ping(),
        Vl2Request(MAC, 7),
        Vl2Request(MAC, 8),
        Vl3Request(ADDRESS, 7),
        Vl3Request(HOST, 7),
        LogRequest(1_000, HOST),
        LogRequest(1_000, OTHER),
        LogRemove(()),
    ) == [
        Pong(),
        Vl2Ack(Status.OK, 4789, HOST),
        Vl2Ack(Status.NOT_FOUND),
        Vl3Ack(Status.OK, MAC, 4789, HOST),
        Vl3Ack(Status.NOT_FOUND),
        LogAck(Status.OK),
        LogAck(Status.FATAL),
        LogRemoveAck(Status.OK),
    ]


async def test_what_changed_is_in_the_log_until_it_is_removed(site: Site) -> None:
    client = await site.client()
    assert site.service.replace(MOVED) == 1
    for _ in range(2):
        (answer,) = await client.ask(LogRequest(1_000, HOST))
        assert isinstance(answer, LogAck)
        (record,) = answer.records
        assert isinstance(record, Vl2Record)
        assert (record.mac, record.vnetid) == (MAC, 7)
    assert await client.ask(
        LogRemove((record.id,)), LogRequest(1_000, HOST), Vl2Request(MAC, 7)
    ) == [LogRemoveAck(Status.OK), LogAck(Status.OK), Vl2Ack(Status.OK, 4789, OTHER)]


@pytest.mark.parametrize(
    "bad",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        serialize(1, Ping())[:-1] + b"\0",
        serialize(1, Shootdown(MAC, 7)),
        serialize(1, BulkRequest(BulkType.VL2)),
        serialize(1, Pong()),
    ],
)
async def test_a_client_that_is_none_loses_its_connection_and_no_other_does(
    site: Site, bad: bytes
) -> None:
    good, other = await site.client(), await site.client()
    assert await good.ask(Ping()) == [Pong()]
    other.writer.write(serialize(0, Ping()) + bad)
    assert await other.closed()
    assert await good.ask(Ping()) == [Pong()]


async def test_more_connections_than_may_be_are_closed(site: Site) -> None:
    clients = [await site.client() for _ in range(8)]
    for client in clients:
        assert await client.ask(Ping()) == [Pong()]
    assert await (await site.client()).closed()
    assert await clients[0].ask(Ping()) == [Pong()]


async def test_one_that_reads_no_answers_is_asked_to_wait(site: Site) -> None:
    client = await site.client()
    site.service.replace(
        Content(
            frozenset({HOST}),
            {(7, MacAddress(n.to_bytes(6, "big"))): Place(HOST, 1) for n in range(2, 2_000)},
        )
    )
    site.service.replace(Content(frozenset({HOST})))
    for _ in range(2_000):
        client.writer.write(serialize(0, LogRequest(65_000, HOST)))
    (connection,) = site.service.open
    await until(lambda: connection._paused)
    transport = connection._transport
    assert transport is not None
    assert transport.get_write_buffer_size() < 1 << 20
    client.stream = Stream()
    # When it reads, it goes on.
    seen = 0
    async with asyncio.timeout(PATIENCE):
        while seen < 200:
            client.stream.feed(await client.reader.read(1 << 16))
            while client.stream.next_frame() is not None:
                seen += 1


async def test_one_that_says_nothing_makes_room(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("varpd.plugins.svp.server.service.SILENCE", 0.2)
    client = await site.client()
    assert await client.ask(Ping()) == [Pong()]
    assert await client.closed()


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.long)])
async def test_mutated_requests_end_nothing(site: Site, count: int) -> None:
    chance = random.Random(count)
    good = await site.client()
    requests = [
        serialize(1, each)
        for each in (Ping(), Vl2Request(MAC, 7), Vl3Request(ADDRESS, 7), LogRequest(100, HOST))
    ]
    for _ in range(count):
        data = bytearray(b"".join(chance.choices(requests, k=3)))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        bad = await site.client()
        bad.writer.write(bytes(data[: chance.randrange(len(data)) + 1]))
        bad.writer.write_eof()
        assert await bad.closed()
        bad.writer.close()
        site.clients.remove(bad)
    assert await good.ask(Ping()) == [Pong()]
