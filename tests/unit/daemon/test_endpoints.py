"""Endpoints: which guests are here, as a plugin that publishes it is told."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from support import probes
from support.instances import Stage, running
from support.waiting import until
from varpd.daemon.calls import OperationFailed
from varpd.daemon.endpoints import Endpoints
from varpd.net.addresses import MacAddress
from varpd.provider import Claimed, Endpoint, Unsupported
from varpd.store.base import StoredPort

WEB, DB = "02:00:00:00:00:01", "02:00:00:00:00:02"


def port(mac: str | None, *addresses: str) -> StoredPort:
    return StoredPort(mac, addresses)


class Publisher:
    """Keeps what it is told; says no on demand."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bool]] = []
        """Port, MAC, and whether it is present."""
        self.last: Endpoint | None = None
        self.refuse: dict[str, Exception] = {}
        """What telling of a port raises."""

    async def local_endpoint(self, endpoint: Endpoint, present: bool, timeout: float) -> None:
        self.told.append((endpoint.port, str(endpoint.mac), present))
        self.last = endpoint
        refusal = self.refuse.get(endpoint.port)
        await asyncio.sleep(0)
        if refusal is not None:
            raise refusal

    def take(self) -> list[tuple[str, str, bool]]:
        told, self.told = self.told, []
        return told


@asynccontextmanager
async def publishing(
    endpoints: Endpoints, publisher: Publisher | None = None
) -> AsyncIterator[Publisher]:
    told = publisher or Publisher()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(endpoints.publish(told, 1.0))
        try:
            yield told
        finally:
            task.cancel()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[list[Any]]:
    """Keep the log from being written: tracebacks read source files, which blocks."""
    with capture_logs() as logs:
        yield logs


async def test_an_endpoint_is_a_port_that_is_there_and_has_a_mac() -> None:
    endpoints = Endpoints("blue")
    async with publishing(endpoints) as publisher:
        endpoints.register({"tap0": port(WEB, "10.0.0.1", "fd00::1"), "tap1": port(None)})
        endpoints.see(["tap1"])
        endpoints.see(["tap1", "tap0"])
        await until(lambda: publisher.told)
        assert publisher.take() == [("tap0", WEB, True)]
        assert publisher.last is not None
        assert [str(address) for address in publisher.last.addresses] == ["10.0.0.1", "fd00::1"]
        endpoints.see(["tap1"])
        await until(lambda: publisher.told)
        assert publisher.take() == [("tap0", WEB, False)]


async def test_a_change_is_told_and_a_mac_that_goes_is_withdrawn_before_it_is_elsewhere() -> None:
    endpoints = Endpoints("blue")
    endpoints.see(["tap0", "tap1"])
    async with publishing(endpoints) as publisher:
        endpoints.register({"tap1": port(WEB)})
        await until(lambda: publisher.told)
        endpoints.register({"tap1": port(WEB, "10.0.0.1")})
        await until(lambda: len(publisher.told) == 2)
        assert publisher.take() == [("tap1", WEB, True)] * 2
        endpoints.register({"tap0": port(WEB), "tap1": port(DB)})
        await until(lambda: len(publisher.told) == 3)
        told = publisher.take()
        assert told[0] == ("tap1", WEB, False)
        assert sorted(told[1:]) == [("tap0", WEB, True), ("tap1", DB, True)]


async def test_another_object_of_the_plugin_is_told_all_anew() -> None:
    endpoints = Endpoints("blue")
    endpoints.see(["tap0"])
    endpoints.register({"tap0": port(WEB)})
    for _ in range(2):
        async with publishing(endpoints) as publisher:
            await until(lambda told=publisher: told.told)  # type: ignore[misc] # a bound loop variable
            assert publisher.take() == [("tap0", WEB, True)]


async def test_what_another_host_has_is_in_conflict_and_tried_again() -> None:
    endpoints = Endpoints("blue", recheck=0.01)
    endpoints.see(["tap0"])
    endpoints.register({"tap0": port(WEB)})
    publisher = Publisher()
    publisher.refuse["tap0"] = Claimed("host-b has it")
    async with publishing(endpoints, publisher):
        await until(lambda: len(publisher.told) > 2)
        assert endpoints.conflicts == {"tap0": "host-b has it"}
        publisher.refuse.clear()
        await until(lambda: not endpoints.conflicts)
        publisher.take()
        endpoints.see([])
        await until(lambda: publisher.told)
        assert publisher.take() == [("tap0", WEB, False)]


async def test_what_was_never_published_is_not_withdrawn() -> None:
    endpoints = Endpoints("blue")
    endpoints.see(["tap0", "tap1"])
    endpoints.register({"tap0": port(WEB)})
    publisher = Publisher()
    publisher.refuse["tap0"] = Claimed("host-b has it")
    async with publishing(endpoints, publisher):
        await until(lambda: endpoints.conflicts)
        publisher.take()
        endpoints.register({"tap1": port(DB)})
        await until(lambda: publisher.told)
        assert publisher.take() == [("tap1", DB, True)]
        assert endpoints.conflicts == {}


async def test_what_failed_is_told_again_and_withdrawn_in_the_end() -> None:
    endpoints = Endpoints("blue", recheck=0.01)
    endpoints.see(["tap0"])
    endpoints.register({"tap0": port(WEB)})
    publisher = Publisher()
    publisher.refuse["tap0"] = OperationFailed("took too long")
    async with publishing(endpoints, publisher):
        await until(lambda: len(publisher.told) > 2)
        endpoints.see([])
        await until(lambda: publisher.told.count(("tap0", WEB, False)) > 1)
        publisher.refuse.clear()
        publisher.take()
        await until(lambda: publisher.told)
        # Once it went well it is not repeated.
        endpoints.register({"tap1": port(DB)})
        endpoints.see(["tap1"])
        await until(lambda: ("tap1", DB, True) in publisher.told)
        assert publisher.take() == [("tap0", WEB, False), ("tap1", DB, True)]


async def test_of_two_ports_here_with_one_address_the_first_has_it() -> None:
    endpoints = Endpoints("blue")
    endpoints.see(["tap0", "tap1"])
    async with publishing(endpoints) as publisher:
        endpoints.register({"tap1": port(WEB, "10.0.0.1")})
        await until(lambda: publisher.told)
        endpoints.register({"tap1": port(WEB, "10.0.0.1"), "tap0": port(DB, "10.0.0.1")})
        await until(lambda: endpoints.conflicts)
        assert endpoints.conflicts == {"tap0": "port tap1 of this host has 10.0.0.1"}
        endpoints.see(["tap0"])
        await until(lambda: len(publisher.told) == 3)
        assert publisher.take()[1:] == [("tap1", WEB, False), ("tap0", DB, True)]
        await until(lambda: not endpoints.conflicts)


class Shared(probes.GoodProbe):
    """Publishes into a table that hosts share: MAC to who has it."""

    api_version = 1
    table: dict[MacAddress, "Shared"] = {}  # noqa: RUF012 - each test derives a class with its own

    def local_endpoint(self, endpoint: Endpoint, present: bool) -> None:
        holder = self.table.get(endpoint.mac)
        if not present:
            if holder is self:
                del self.table[endpoint.mac]
            return
        if holder is not None and holder is not self:
            if not endpoint.takeover:
                raise Claimed("another host has it")
            holder.host.endpoint_taken(endpoint.mac, "it moved")
        self.table[endpoint.mac] = self


async def test_a_guest_moves_to_the_host_that_takes_it_over_and_the_old_one_gives_way() -> None:
    class Table(Shared):
        api_version = 1
        table: dict[MacAddress, Any] = {}  # noqa: RUF012 - shared by the two hosts

    def holder() -> object:
        return next(iter(Table.table.values()), None)

    async with running(Table) as old, running(Table) as new:
        for stage, name in ((old, "tap0"), (new, "tap7")):
            stage.instance.endpoints.register({name: port(WEB)})
            stage.instance.see_ports((name,))
            await until(lambda: holder() is old.plugin)
        await until(lambda: new.instance.endpoints.conflicts)
        assert new.instance.endpoints.conflicts == {"tap7": "another host has it"}
        for _ in range(10):
            for stage, other, name in ((new, old, "tap7"), (old, new, "tap0")):
                stage.instance.endpoints.take_over(name)
                await moved(stage, other, holder)
        assert (old.faults, new.faults) == (0, 0)


async def moved(to: Stage, away_from: Stage, holder: Any) -> None:
    """Wait until a guest has moved."""
    await until(lambda: holder() is to.plugin)
    await until(lambda: not to.instance.endpoints.conflicts)
    await until(lambda: list(away_from.instance.endpoints.conflicts.values()) == ["it moved"])


@pytest.mark.parametrize("error", [RuntimeError("broken"), Unsupported("not here")])
async def test_anything_else_that_the_plugin_raises_is_a_fault(error: Exception) -> None:
    class Broken(probes.GoodProbe):
        api_version = 1

        def local_endpoint(self, endpoint: Endpoint, present: bool) -> None:
            raise error

    async with running(Broken) as stage:
        stage.instance.endpoints.register({"tap0": port(WEB)})
        stage.instance.see_ports(("tap0",))
        await until(lambda: stage.faults)
        assert stage.causes == ["fault"]
        assert stage.instance.endpoints.conflicts == {}
