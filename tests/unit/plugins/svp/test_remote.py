"""The servers behind one name: their addresses, their connections, what is told of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from ipaddress import ip_address

import pytest

from support.svp_site import ADDRESSES, FOUND, Site, a_site, at_work, nothing
from support.waiting import until
from varpd.plugins.svp import calls
from varpd.plugins.svp import remote as module
from varpd.plugins.svp.remote import UNREACHABLE, UNRESOLVED


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


async def test_an_address_that_left_the_name_winds_down(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESOLVE_INTERVAL", 0.05)
    await site.start(0, 1)
    site.addresses = ADDRESSES[:2]
    async with at_work(site):
        await site.open(2)
        site.addresses = ADDRESSES[1:2]
        await until(lambda: site.servers[0].connections == 0)
        assert await site.ask() == FOUND
        assert site.servers[0].died == ""


async def test_a_server_out_of_reach_degrades_until_it_is_back(site: Site) -> None:
    await site.start(0)
    await site.servers[0].stop()
    site.addresses = ADDRESSES[:1]
    async with at_work(site):
        await until(lambda: site.problems == [UNREACHABLE])
        assert site.remote.problem == UNREACHABLE
        await site.start(0)
        await until(lambda: site.problems == [UNREACHABLE, None])


async def test_a_server_that_resets_at_once_counts_as_out_of_reach(site: Site) -> None:
    await site.start(0)
    site.servers[0].resets = True
    site.addresses = ADDRESSES[:1]
    async with at_work(site):
        await until(lambda: site.problems == [UNREACHABLE])


async def test_a_name_that_does_not_resolve_degrades_until_it_does(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESOLVE_INTERVAL", 0.05)
    await site.start(0)
    site.addresses = OSError("Name or service not known")
    async with at_work(site):
        unresolved = UNRESOLVED.format("portolan")
        await until(lambda: site.problems == [unresolved])
        site.addresses = ADDRESSES[:1]
        await until(lambda: site.problems == [unresolved, None])
        await site.open(1)
        # What is known stays in use when the name goes.
        site.addresses = OSError("Temporary failure in name resolution")
        await until(lambda: site.remote.problem == unresolved)
        assert await site.ask() == FOUND


async def test_one_does_the_work_and_the_next_goes_on_with_its_connections(site: Site) -> None:
    await site.start(0)
    site.addresses = ADDRESSES[:1]
    begun: list[str] = []

    async def first() -> None:
        begun.append("first")
        await nothing()

    async def second() -> None:
        begun.append("second")
        await nothing()

    async with AsyncExitStack() as stack:
        async with at_work(site, first):
            await site.open(1)
            await stack.enter_async_context(at_work(site, second))
            await asyncio.sleep(0)
            assert begun == ["first"]
        await until(lambda: begun == ["first", "second"])
        assert site.remote.is_healthy
        assert await site.ask() == FOUND
        assert [kind for kind, _ in site.servers[0].asked].count(1) == 1


async def test_an_address_is_its_own_name() -> None:
    assert await module.addresses_of("192.0.2.9", 1) == [ip_address("192.0.2.9")]
    assert ip_address("127.0.0.1") in await module.addresses_of("localhost", 1)
