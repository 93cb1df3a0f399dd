"""Requests that are spread over servers, and what becomes of them when one goes."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from support.svp_site import ADDRESSES, FOUND, Site, a_site, at_work
from support.waiting import until
from varpd.plugins.svp import calls
from varpd.plugins.svp import remote as module
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.messages import Vl2Ack


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what takes seconds take less."""
    monkeypatch.setattr(calls, "HEDGE", 0.1)
    monkeypatch.setattr("varpd.plugins.svp.backoff.SHORTEST", 0.02)
    monkeypatch.setattr("varpd.plugins.svp.backoff.LONGEST", 0.05)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with a_site() as made:
        yield made


async def test_requests_are_spread_over_all_servers_of_the_name(site: Site) -> None:
    await site.start(0, 1, 2)
    site.addresses = ADDRESSES
    async with at_work(site):
        await site.open(3)
        assert await asyncio.gather(*(site.ask() for _ in range(30))) == [FOUND] * 30
    assert [len(server.asked) for server in site.servers] == [11, 11, 11]  # a ping each
    assert site.problems == []


async def test_a_request_waits_for_a_server_to_come(site: Site) -> None:
    await site.start(0)
    async with at_work(site):
        asked = [asyncio.ensure_future(site.ask()) for _ in range(3)]  # noqa: TID251
        await asyncio.sleep(0)
        assert not site.remote.is_healthy
        asked[2].cancel()
        site.addresses = ADDRESSES[:1]
        assert await asyncio.gather(*asked[:2]) == [FOUND] * 2
        assert site.remote._calls.waiting == 0


async def test_no_request_fails_where_one_server_hangs_and_one_resets(site: Site) -> None:
    await site.start(0, 1, 2)
    site.addresses = ADDRESSES
    async with at_work(site):
        await site.open(3)
        site.servers[0].hangs = True
        site.servers[1].resets = True
        assert await asyncio.gather(*(site.ask() for _ in range(100))) == [FOUND] * 100
        # From now on the one that hangs is asked only if all others are late, too.
        before = len(site.servers[0].asked)
        assert await asyncio.gather(*(site.ask() for _ in range(100))) == [FOUND] * 100
        assert len(site.servers[0].asked) < before + 10


async def test_what_a_server_leaves_unanswered_is_asked_of_another(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "HEDGE", 1_000)
    monkeypatch.setattr(module, "RESOLVE_INTERVAL", 0.05)
    await site.start(0, 1)
    site.addresses = ADDRESSES[:1]
    async with at_work(site):
        await site.open(1)
        site.servers[0].hangs = True
        asked = asyncio.ensure_future(site.ask())  # noqa: TID251
        await until(lambda: len(site.servers[0].asked) == 2)
        site.addresses = ADDRESSES[:2]
        await site.open(2)
        assert not asked.done()
        await site.servers[0].stop()
        assert await asked == FOUND


async def test_10_000_requests_at_once_are_all_answered(site: Site) -> None:
    await site.start(0, 1, 2)
    site.addresses = ADDRESSES
    async with at_work(site):
        await site.open(3)
        assert await asyncio.gather(*(site.ask() for _ in range(10_000))) == [FOUND] * 10_000


async def test_one_that_cannot_answer_is_passed_over_and_all_of_them_are_told(site: Site) -> None:
    await site.start(0, 1)
    site.addresses = ADDRESSES[:2]
    async with at_work(site):
        await site.open(2)
        site.servers[0].fatal = True
        assert await asyncio.gather(*(site.ask() for _ in range(10))) == [FOUND] * 10
        site.servers[1].fatal = True
        assert await site.ask() == Vl2Ack(Status.FATAL)


async def test_one_that_cannot_answer_counts_when_the_other_goes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "HEDGE", 1_000)
    await site.start(0, 1)
    site.addresses = ADDRESSES[:2]
    async with at_work(site):
        await site.open(2)
        site.servers[0].fatal, site.servers[1].hangs = True, True
        asked = [asyncio.ensure_future(site.ask()) for _ in range(2)]  # noqa: TID251
        await until(lambda: len(site.servers[1].asked) == 3)
        await site.servers[1].stop()
        assert await asyncio.gather(*asked) == [Vl2Ack(Status.FATAL)] * 2


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [1_000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_spoiled_replies_replace_the_connection_and_no_answer_is_wrong(
    site: Site, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A bit, a length, a beginning of another frame: whatever is wrong with them is noticed."""
    monkeypatch.setattr("varpd.plugins.svp.backoff.SHORTEST", 0.0)
    # Where a length is wrong nothing comes any more.
    monkeypatch.setattr("varpd.plugins.svp.connection.ANSWER", 0.1)
    monkeypatch.setattr("varpd.plugins.svp.connection.PROVE", 0.1)
    chance, spoiled = random.Random(count), 0

    def spoil(reply: bytes) -> bytes:
        nonlocal spoiled
        if chance.random() < 0.5:
            return reply
        spoiled += 1
        data = bytearray(reply)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(data)

    await site.start(0, 1, 2)
    site.addresses = ADDRESSES
    async with at_work(site):
        await site.open(3)
        for server in site.servers:
            server.spoil = spoil
        while spoiled < count:
            assert await asyncio.gather(*(site.ask() for _ in range(20))) == [FOUND] * 20
        for server in site.servers:
            server.spoil = bytes
        await site.open(3)
        assert await site.ask() == FOUND
    assert [server.died for server in site.servers] == ["", "", ""]
