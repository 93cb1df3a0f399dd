"""What an operator says of ports: in force and stored, or neither."""

from collections.abc import AsyncIterator

import pytest

from support import overlays as support
from support.overlays import REFUSAL, Parts, RememberingDatapath, request
from varpd.control.messages import ControlError, ErrorCode, SetPort
from varpd.datapath.base import Antispoof
from varpd.store.base import StoredPort, StoreError

MAC = "02:00:00:00:00:01"
WEB = SetPort(mac=MAC, addresses=("10.0.0.1",), antispoof="mac+ip")


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        await made.service.create(request())
        yield made


def datapath(parts: Parts) -> RememberingDatapath:
    found = parts.runner.datapath
    assert isinstance(found, RememberingDatapath)
    return found


async def stored(parts: Parts) -> dict[str, StoredPort]:
    (record,) = await parts.store.load()
    return dict(record.ports)


async def test_what_is_said_is_in_force_and_stored(parts: Parts) -> None:
    info = await parts.service.set_port("blue", "tap0", WEB)
    assert (info.mac, info.antispoof, info.state) == (MAC, "mac+ip", "absent")
    (port,) = datapath(parts).links["blue"].ports
    assert (port.name, port.antispoof) == ("tap0", Antispoof.MAC_AND_IP)
    assert await stored(parts) == {"tap0": StoredPort(MAC, ("10.0.0.1",), "mac+ip")}


async def test_the_property_of_the_overlay_is_live(parts: Parts) -> None:
    await parts.service.set_port("blue", "tap0", SetPort(mac=MAC))
    await parts.service.set_properties("blue", {"antispoof": "mac"})
    link = datapath(parts).links["blue"]
    assert (link.antispoof, link.ports[0].antispoof) == (Antispoof.MAC, Antispoof.MAC)


async def test_what_is_forgotten_is_gone(parts: Parts) -> None:
    await parts.service.set_port("blue", "tap0", WEB)
    await parts.service.delete_port("blue", "tap0")
    assert datapath(parts).links["blue"].ports == ()
    assert await stored(parts) == {}
    with pytest.raises(ControlError, match="nothing was said of port tap0") as caught:
        await parts.service.delete_port("blue", "tap0")
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_what_the_kernel_refuses_is_not_stored(parts: Parts) -> None:
    datapath(parts).failing["change"] = REFUSAL
    with pytest.raises(ControlError):
        await parts.service.set_port("blue", "tap0", WEB)
    assert await stored(parts) == {}
    assert await parts.service.ports("blue") == []


async def test_what_cannot_be_stored_is_not_in_force(parts: Parts) -> None:
    parts.store.failure = StoreError("the file system is full; nothing was changed")
    with pytest.raises(ControlError, match="is full"):
        await parts.service.set_port("blue", "tap0", WEB)
    assert datapath(parts).links["blue"].ports == ()


async def test_a_link_is_one_overlays(parts: Parts) -> None:
    await parts.service.create(request("green", vnetid=99))
    await parts.service.set_port("blue", "tap0", WEB)
    with pytest.raises(ControlError, match="belongs to overlay blue"):
        await parts.service.set_port("green", "tap0", WEB)


async def test_ports_are_shown_with_what_was_refused(parts: Parts) -> None:
    await parts.service.set_port("blue", "tap0", WEB)
    datapath(parts).ports["blue"] = ("tap0", "tap1")
    datapath(parts).refused = {"blue": {"tap0": 7}}
    found = [(p.port, p.state, p.refused) for p in await parts.service.ports("blue")]
    assert found == [("tap0", "present", 7), ("tap1", "present", 0)]
    datapath(parts).failing["refused_at_ports"] = REFUSAL
    assert [p.refused for p in await parts.service.ports("blue")] == [0, 0]


async def test_a_guest_that_moves_here_has_a_mac_and_a_plugin_at_work(parts: Parts) -> None:
    with pytest.raises(ControlError, match="give the MAC") as caught:
        await parts.service.set_port("blue", "tap0", SetPort(takeover=True))
    assert caught.value.code is ErrorCode.MISSING
    assert await stored(parts) == {}
    info = await parts.service.set_port("blue", "tap0", SetPort(mac=MAC, takeover=True))
    assert (info.mac, info.conflict) == (MAC, None)


async def test_a_port_shows_who_else_has_its_guest(parts: Parts) -> None:
    await parts.service.set_port("blue", "tap0", WEB)
    datapath(parts).ports["blue"] = ("tap0",)
    overlay = parts.overlays.find("blue")
    overlay.instance.endpoints.conflicts["tap0"] = "host-b has it"
    (port,) = await parts.service.ports("blue")
    assert (port.state, port.conflict) == ("conflict", "host-b has it")
