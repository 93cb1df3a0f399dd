"""Following the log: what is done, what is removed, what is left for the next time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from uuid import UUID

import pytest
import structlog
from structlog.testing import capture_logs

from support.waiting import until
from varpd.net.addresses import MacAddress
from varpd.plugins.svp import log as module
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.log import Log
from varpd.plugins.svp.log_messages import (
    LogAck,
    LogRemove,
    LogRemoveAck,
    LogRequest,
    Record,
    Vl2Record,
    Vl3Record,
)
from varpd.plugins.svp.messages import Vl3Ack, Vl3Request
from varpd.plugins.svp.wire import Message

UNDERLAY = ip_address("192.0.2.1")
MAC = MacAddress.parse("02:00:5e:00:00:01")
ADDRESS = ip_address("10.0.0.1")
MOVED = Vl2Record(UUID(int=1), MAC, 7)
GIVEN = Vl3Record(UUID(int=2), ADDRESS, 5, 7)
ELSEWHERE = Vl3Record(UUID(int=3), ADDRESS, 0, 8)
OWNER = Vl3Ack(Status.OK, MAC, 4789, ip_address("192.0.2.2"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE", 0.01)
    monkeypatch.setattr(module, "BUSY", 0.0)
    monkeypatch.setattr(module, "PATIENCE", 0.2)


class Servers:
    """A log, and one address; removes what it is told to."""

    def __init__(self, *records: Record) -> None:
        self.is_healthy = True
        self.records = list(records)
        self.owner: Vl3Ack | None = OWNER
        self.log_status = Status.OK
        self.remove_status = Status.OK
        self.unknown: int | None = None
        self.removed: list[UUID] = []
        self.asked: list[Message] = []

    async def ask(self, request: Message) -> Message:
        self.asked.append(request)
        match request:
            case LogRequest():
                return LogAck(self.log_status, tuple(self.records), self.unknown)
            case Vl3Request():
                if self.owner is None:
                    await asyncio.Event().wait()
                assert self.owner is not None
                return self.owner
            case LogRemove(ids):
                if self.remove_status is Status.OK:
                    self.removed += ids
                    self.records = [each for each in self.records if each.id not in ids]
                return LogRemoveAck(self.remove_status)
            case _:
                raise AssertionError(request)


class Reader:
    """An instance of network 7."""

    vnetid = 7

    def __init__(self) -> None:
        self.heard: list[object] = []

    def mac_moved(self, record: Vl2Record) -> None:
        self.heard.append(record)

    def address_moved(self, record: Vl3Record, answer: Vl3Ack) -> None:
        self.heard.append((record, answer))


@asynccontextmanager
async def following(servers: Servers) -> AsyncIterator[Reader]:
    reader = Reader()
    log = Log(servers, UNDERLAY, lambda: [reader], structlog.get_logger(), lambda: 0.0)
    work = asyncio.ensure_future(log.follow())  # noqa: TID251
    try:
        yield reader
        assert not work.done()
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def test_records_are_done_in_order_and_then_removed() -> None:
    servers = Servers(MOVED, GIVEN)
    async with following(servers) as reader:
        await until(lambda: servers.removed == [MOVED.id, GIVEN.id])
        assert reader.heard == [MOVED, (GIVEN, OWNER)]
    assert servers.asked[0] == LogRequest(module.BYTES, UNDERLAY)


async def test_what_concerns_no_instance_is_removed_without_a_question() -> None:
    servers = Servers(ELSEWHERE)
    async with following(servers) as reader:
        await until(lambda: servers.removed == [ELSEWHERE.id])
        assert reader.heard == []
    assert not any(isinstance(each, Vl3Request) for each in servers.asked)


@pytest.mark.parametrize("status", [Status.FATAL, Status.BAD_L3_TYPE])
async def test_what_could_not_be_found_out_stays_for_the_next_time(status: Status) -> None:
    servers = Servers(GIVEN, MOVED)
    servers.owner = Vl3Ack(status)
    async with following(servers) as reader:
        await until(lambda: servers.removed == [MOVED.id])
        assert reader.heard == [MOVED]
        servers.owner = Vl3Ack(Status.NOT_FOUND)
        await until(lambda: servers.removed == [MOVED.id, GIVEN.id])
        assert reader.heard == [MOVED, (GIVEN, Vl3Ack(Status.NOT_FOUND))]


async def test_a_server_that_does_not_answer_ends_a_round_and_not_the_log() -> None:
    servers = Servers(GIVEN)
    servers.owner = None
    async with following(servers) as reader:
        await until(lambda: len(servers.asked) > 3)
        servers.owner = OWNER
        await until(lambda: reader.heard == [(GIVEN, OWNER)])


async def test_records_that_come_again_are_done_again() -> None:
    servers = Servers(MOVED)
    servers.remove_status = Status.FATAL
    async with following(servers) as reader:
        await until(lambda: len(reader.heard) > 2)
        assert set(map(id, reader.heard)) == {id(MOVED)}


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("log_status", Status.FATAL, "no log for this host, 192.0.2.1"),
        ("unknown", 9, "a record of unknown type 9"),
    ],
)
async def test_what_is_wrong_with_the_log_is_told_once(
    attribute: str, value: object, words: str
) -> None:
    servers = Servers()
    setattr(servers, attribute, value)
    with capture_logs() as lines:
        async with following(servers):
            await until(lambda: len(servers.asked) > 5)
    assert [line["problem"] for line in lines] == [words]


async def test_without_a_server_nothing_is_asked() -> None:
    servers = Servers(MOVED)
    servers.is_healthy = False
    async with following(servers):
        await asyncio.sleep(0.05)
        assert servers.asked == []
        servers.is_healthy = True
        await until(lambda: servers.removed == [MOVED.id])
