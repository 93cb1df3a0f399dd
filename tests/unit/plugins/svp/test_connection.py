"""One connection to a server: proved, asked, ended in order."""

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from support.portolan import Portolan
from support.waiting import until
from varpd.net.addresses import MacAddress
from varpd.plugins.svp import connection as module
from varpd.plugins.svp.connection import Connection
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.messages import Vl2Ack, Vl2Request
from varpd.plugins.svp.wire import Message

MAC = MacAddress.parse("02:00:5e:00:00:01")
HOST = ip_address("192.0.2.2")
LOCALHOST = ip_address("127.0.0.1")
PATIENCE = 10.0


@dataclass(eq=False)
class Asked:
    """Waits for an answer."""

    request: Message = field(default_factory=lambda: Vl2Request(MAC, 7))
    said: "asyncio.Future[Message]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def answered(self, message: Message) -> None:
        self.said.set_result(message)


@pytest.fixture
async def server() -> AsyncIterator[Portolan]:
    fake = Portolan(macs={(7, bytes(MAC)): (HOST, 4789)})
    yield fake
    await fake.stop()


async def connect(fake: Portolan) -> Connection:
    port = await fake.start()
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(lambda: Connection(LOCALHOST), "127.0.0.1", port)
    made_here.append(made)
    return made


made_here: list[Connection] = []


@pytest.fixture(autouse=True)
async def all_closed() -> AsyncIterator[None]:
    yield
    for made in made_here:
        made.break_off("the test ends")
        await made.closed
    made_here.clear()


async def proved(fake: Portolan) -> Connection:
    made = await connect(fake)
    async with asyncio.timeout(PATIENCE):
        await made.proved
    return made


async def ended(made: Connection) -> str:
    async with asyncio.timeout(PATIENCE):
        return await made.ended


async def test_it_is_open_when_the_server_has_answered_a_ping(server: Portolan) -> None:
    made = await connect(server)
    assert not made.is_open
    async with asyncio.timeout(PATIENCE):
        await made.proved
    assert made.is_open
    made.break_off("enough")
    assert await ended(made) == "enough"
    assert not made.is_open


async def test_answers_come_to_who_asked(server: Portolan) -> None:
    made = await proved(server)
    found, missed = Asked(), Asked(Vl2Request(MAC, 8))
    for asked in (found, missed):
        made.ask(asked)
    assert (made.load, made.unanswered, made.owes(0)) == (2, [found, missed], True)
    assert await found.said == Vl2Ack(Status.OK, 4789, HOST)
    assert await missed.said == Vl2Ack(Status.NOT_FOUND)
    assert (made.load, made.owes(0)) == (0, False)
    made.break_off("enough")


async def test_a_server_that_says_nothing_is_given_up(
    server: Portolan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROVE", 0.05)
    server.hangs = True
    made = await connect(server)
    assert await ended(made) == "no answer within 0.05 s of connecting"


async def test_what_was_asked_is_known_when_the_server_goes(server: Portolan) -> None:
    made = await proved(server)
    server.hangs = True
    asked = Asked()
    made.ask(asked)
    await server.stop()
    await ended(made)
    assert made.unanswered == [asked]


async def test_a_wrong_answer_ends_it_by_fin(server: Portolan) -> None:
    """A real server would die of a reset."""
    made = await proved(server)
    server.spoil = lambda reply: reply[:-1] + bytes((reply[-1] ^ 1,)) + bytes(100)
    made.ask(Asked())
    assert "checksum" in await ended(made)
    await until(lambda: not server.connections)
    assert server.died == ""


async def test_one_that_winds_down_takes_its_answers_and_ends(server: Portolan) -> None:
    server.backend = 0.01
    made = await proved(server)
    asked = Asked()
    made.ask(asked)
    made.wind_down()
    assert not made.is_open
    with pytest.raises(ValueError, match="winding-down"):
        made.ask(Asked())
    assert await asked.said == Vl2Ack(Status.OK, 4789, HOST)
    assert await ended(made) == "no longer needed"


async def test_a_server_that_reads_nothing_is_left_all_the_same(
    server: Portolan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.05)
    made = await proved(server)
    server.backend = 1_000
    # More than the buffers of both sides hold.
    while made._transport is not None and made._transport.get_write_buffer_size() < 1 << 16:
        for _ in range(1_000):
            made.ask(Asked())
        await asyncio.sleep(0)
    made.break_off("enough")
    async with asyncio.timeout(PATIENCE):
        await made.closed


async def test_the_fake_dies_of_what_the_real_one_dies_of(server: Portolan) -> None:
    port = await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(struct.pack("!HHIII", 1, 1, 0, 1, 0))
    await until(lambda: server.died)
    assert server.died == "checksum"
    writer.close()
