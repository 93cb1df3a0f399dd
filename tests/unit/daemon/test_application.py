"""The whole daemon in one process: two hosts with real plugins on an underlay in memory."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, cast

import aiohttp
import msgspec
import pytest
from structlog.testing import capture_logs

from support.overlays import BOOT
from support.overlays import registry as probes
from support.probes import GoodProbe
from support.waiting import until
from varpd.control.access import Access
from varpd.control.listener import Listener, listen
from varpd.control.messages import CreateOverlay, SetEntry
from varpd.daemon import catalogue, loader
from varpd.daemon.application import Application, datapath_maker
from varpd.daemon.config import Config, Daemon
from varpd.daemon.loader import Registry
from varpd.datapath.memory import MemoryDatapath, MemoryUnderlay
from varpd.provider.plugin import StopReason
from varpd.provider.properties import Value
from varpd.store.base import Store
from varpd.store.memory import MemoryStore

HOST_A: Final = "192.0.2.1"
HOST_B: Final = "192.0.2.2"
GUEST_A: Final = "02:00:00:00:00:0a"
GUEST_B: Final = "02:00:00:00:00:0b"

FRAME: Final = bytes.fromhex("02000000000b02000000000a0800") + bytes(46)
"""From guest A to guest B."""

DOCUMENT: Final = {
    GUEST_A: {"ip": HOST_A, "port": 4789, "arp": "10.0.0.10"},
    GUEST_B: {"ip": HOST_B, "port": 4789, "arp": "10.0.0.11"},
}

MEMORY: Final = Config(daemon=Daemon(datapath="memory"))


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The built-in plugins."""
    with capture_logs():
        return loader.load([])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


class Host:
    """A daemon and the socket that it answers on."""

    def __init__(self, application: Application, listener: Listener) -> None:
        self.application = application
        self.socket = listener.path

    @property
    def datapath(self) -> MemoryDatapath:
        return cast(MemoryDatapath, self.application.datapath)

    async def call(
        self, method: str, path: str, body: msgspec.Struct | None = None
    ) -> tuple[int, object]:
        """Send a request over the control socket; return status and answer."""
        data = None if body is None else msgspec.json.encode(body)
        connector = aiohttp.UnixConnector(path=str(self.socket))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://varpd{path}", data=data) as answer,
        ):
            content = await answer.read()
            return answer.status, json.loads(content) if content else None


@asynccontextmanager
async def host(
    listener: Listener,
    registry: Registry,
    underlay: MemoryUnderlay | None = None,
    address: str = HOST_A,
    settings: Config = MEMORY,
    store: Store | None = None,
) -> AsyncIterator[Host]:
    """Run a daemon."""
    network = underlay or MemoryUnderlay()
    application = Application(
        settings,
        registry,
        MemoryStore() if store is None else store,
        BOOT,
        lambda sink: MemoryDatapath(sink, network, [IPv4Address(address)]),
    )
    await application.start(listener.socket)
    await application.restore(lambda _done, _all: None)
    try:
        yield Host(application, listener)
    finally:
        await application.stop()


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[tuple[Listener, Listener]]:
    """Where two daemons listen; made outside of the event loop, as the daemon does it."""
    with listen(tmp_path / "a.sock") as first, listen(tmp_path / "b.sock") as second:
        yield first, second


def files_overlay(document: Path, address: str) -> CreateOverlay:
    return CreateOverlay(
        "blue",
        7,
        "files",
        properties={"vxlan/listen_ip": address, "files/config": str(document)},
    )


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A file with where the guests are."""
    path = tmp_path / "blue.json"
    path.write_text(json.dumps(DOCUMENT))
    return path


async def test_the_first_frame_between_guests_of_two_hosts_arrives(
    sockets: tuple[Listener, Listener], document: Path, registry: Registry
) -> None:
    underlay = MemoryUnderlay()
    async with (
        host(sockets[0], registry, underlay, HOST_A) as a,
        host(sockets[1], registry, underlay, HOST_B) as b,
    ):
        for each, address in ((a, HOST_A), (b, HOST_B)):
            status, answer = await each.call(
                "POST", "/v1/overlays", files_overlay(document, address)
            )
            assert status == 201, answer
        sender, receiver = a.datapath.attach("blue", "guest"), b.datapath.attach("blue", "guest")

        sender.send(FRAME)
        await until(lambda: receiver.frames)

        assert receiver.frames == [FRAME]
        status, rows = await a.call("GET", "/v1/overlays/blue/targets")
        assert status == 200
        (row,) = cast(list[dict[str, object]], rows)
        assert (row["mac"], row["ip"], row["state"]) == (GUEST_B, HOST_B, "valid")


async def test_a_direct_overlay_has_the_links_target(
    sockets: tuple[Listener, Listener], registry: Registry
) -> None:
    async with host(sockets[0], registry) as a:
        request = CreateOverlay(
            "blue",
            7,
            "direct",
            properties={
                "vxlan/listen_ip": HOST_A,
                "direct/dest_ip": HOST_B,
                "direct/dest_port": "4789",
            },
        )
        status, _ = await a.call("POST", "/v1/overlays", request)
        assert status == 201
        (row,) = await a.datapath.dump("blue")
        assert [str(target) for target in row.targets] == [f"{HOST_B}:4789"]
        assert (await a.call("DELETE", "/v1/overlays/blue"))[0] == 204
        assert (await a.call("GET", "/v1/overlays"))[1] == []


async def test_what_is_missing_is_told_over_the_socket(
    sockets: tuple[Listener, Listener], registry: Registry
) -> None:
    async with host(sockets[0], registry) as a:
        _, answer = await a.call("POST", "/v1/overlays", CreateOverlay("blue", 7, "files"))
        error = cast(dict[str, str], answer)
        assert error["code"] == "missing"
        assert "vxlan/listen_ip" in error["message"]
        assert "files/config" in error["message"]


async def test_health_and_readiness_are_answered(
    sockets: tuple[Listener, Listener], registry: Registry
) -> None:
    async with host(sockets[0], registry) as a:
        for path in ("/healthz", "/readyz"):
            status, answer = await a.call("GET", path)
            assert status == 200
            assert cast(dict[str, object], answer)["ok"] is True


async def test_a_clean_end_leaves_the_links(
    sockets: tuple[Listener, Listener], document: Path, registry: Registry
) -> None:
    async with host(sockets[0], registry) as a:
        await a.call("POST", "/v1/overlays", files_overlay(document, HOST_A))
        datapath = a.datapath
    assert (await datapath.state("blue")).mtu == 1500


async def test_what_one_daemon_made_the_next_one_brings_to_work(
    sockets: tuple[Listener, Listener], document: Path, registry: Registry
) -> None:
    store = MemoryStore()
    async with host(sockets[0], registry, store=store) as a:
        await a.call("POST", "/v1/overlays", files_overlay(document, HOST_A))
        await a.call("PUT", f"/v1/overlays/blue/entries/{GUEST_B}", SetEntry("drop"))
        _, before = await a.call("GET", "/v1/overlays")
    async with host(sockets[1], registry, store=store) as b:
        assert await b.call("GET", "/v1/overlays") == (200, before)
        _, table = await b.call("GET", "/v1/overlays/blue/targets")
        (row,) = cast(list[dict[str, object]], table)
        assert (row["mac"], row["state"], row["origin"]) == (GUEST_B, "blocked", "administrator")
        assert b.application.summary() == "1 overlays"


async def test_nothing_can_be_changed_before_all_overlays_have_been_tried(
    sockets: tuple[Listener, Listener], registry: Registry
) -> None:
    application = Application(
        MEMORY,
        registry,
        MemoryStore(),
        BOOT,
        lambda sink: MemoryDatapath(sink, MemoryUnderlay(), [IPv4Address(HOST_A)]),
    )
    await application.start(sockets[0].socket)
    try:
        a = Host(application, sockets[0])
        assert (await a.call("GET", "/healthz"))[0] == 200
        assert (await a.call("GET", "/readyz"))[0] == 503
        assert (await a.call("DELETE", "/v1/overlays/blue"))[0] == 503
        await application.restore(lambda _done, _all: None)
        assert (await a.call("GET", "/readyz"))[0] == 200
    finally:
        await application.stop()


async def test_frames_wait_for_the_next_daemon_before_plugins_end(
    sockets: tuple[Listener, Listener],
) -> None:
    order: list[str] = []

    class EndingProbe(GoodProbe):
        api_version = 1

        async def stop(self, reason: StopReason) -> None:
            await super().stop(reason)
            order.append("plugin")

    class EndingDatapath(MemoryDatapath):
        async def stop(self) -> None:
            await super().stop()
            order.append("datapath")

    application = Application(
        MEMORY,
        probes(EndingProbe),
        MemoryStore(),
        BOOT,
        lambda sink: EndingDatapath(sink, MemoryUnderlay(), [IPv4Address(HOST_A)]),
    )
    await application.start(sockets[0].socket)
    await application.restore(lambda _done, _all: None)
    properties: dict[str, str | None] = {
        "vxlan/listen_ip": HOST_A,
        "probe/site": "here",
        "probe/shard": "1",
    }
    await application.service.create(CreateOverlay("blue", 7, "probe", properties=properties))
    await application.stop()
    assert order == ["datapath", "plugin"]


async def test_a_new_configuration_holds_for_new_overlays_and_for_who_gets_in(
    sockets: tuple[Listener, Listener],
    document: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody = Access(changing_users=frozenset())
    defaults: dict[str, Value] = {"mtu": 1300}
    async with host(sockets[0], registry) as a:
        await a.application.reload(dataclasses.replace(MEMORY, defaults=defaults))
        info = await a.application.service.create(files_overlay(document, HOST_A))
        assert info.properties["mtu"] == 1300

        monkeypatch.setattr("varpd.daemon.rights.access_of", lambda _: nobody)
        await a.application.reload(MEMORY)
        assert (await a.call("GET", "/v1/overlays"))[0] == 403


async def test_a_reload_has_plugins_read_their_data_again(
    sockets: tuple[Listener, Listener], document: Path, registry: Registry
) -> None:
    async with host(sockets[0], registry) as a:
        await a.application.service.create(files_overlay(document, HOST_A))
        await asyncio.to_thread(document.unlink)
        await a.application.reload(MEMORY)
        (info,) = await a.application.service.overlays(["blue"])
        assert info.state == "degraded"


async def test_what_needs_a_restart_is_logged(
    sockets: tuple[Listener, Listener], registry: Registry
) -> None:
    async with host(sockets[0], registry) as a:
        changed = dataclasses.replace(MEMORY, daemon=Daemon(datapath="memory", socket=Path("/x")))
        with capture_logs() as lines:
            await a.application.reload(changed)
        (line,) = [line for line in lines if line["log_level"] == "warning"]
        assert line["keys"] == ("daemon.socket",)


def test_the_configured_datapath_is_made() -> None:
    memory = datapath_maker(Daemon(datapath="memory"))(lambda _: None)
    assert memory.name == "memory"
    assert datapath_maker(Daemon())(lambda _: None).name == "linux"


async def test_in_memory_the_table_is_not_bounded_by_an_old_kernel(
    sockets: tuple[Listener, Listener], document: Path, registry: Registry
) -> None:
    async with host(sockets[0], registry) as a:
        info = await a.application.service.create(files_overlay(document, HOST_A))
        assert info.properties[catalogue.LIMIT_TARGETS] == 262_144
