"""What is told of what happens and why."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import msgspec
import pytest

from support import overlays as support
from support.overlays import Parts, request
from support.probes import ROUTER_IP
from varpd.control.messages import ControlError, ErrorCode, EventInfo
from varpd.control.streams import Stream
from varpd.daemon.audience import LISTENERS
from varpd.datapath.inspection import BridgeRow, DeviceRow, MacRows
from varpd.engine.events import NeighbourQuestion, NeighboursAnswered
from varpd.net.addresses import MacAddress
from varpd.provider.answers import Target

MAC = "02:00:00:00:00:01"


async def said(heard: Stream) -> list[EventInfo]:
    """Return the events that are heard next."""
    return msgspec.json.Decoder(EventInfo).decode_lines(await anext(heard.chunks))


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


async def test_what_is_done_to_an_overlay_is_heard(parts: Parts) -> None:
    await parts.service.create(request("blue"))
    await parts.service.create(request("red", vnetid=8))
    heard = await parts.service.events("red")
    await parts.service.set_entry("blue", MAC, "192.0.2.9:4789")
    await parts.service.set_entry("red", MAC, "192.0.2.9:4789")
    assert [(item.overlay, item.kind, item.macs) for item in await said(heard)] == [
        ("red", "entry-set", (MAC,)),
        ("red", "rows-written", (MAC,)),
    ]
    await heard.chunks.aclose()


async def test_overlays_that_come_later_are_heard_by_those_who_listen_to_all(parts: Parts) -> None:
    heard = await parts.service.events(None)
    await parts.service.create(request("blue"))
    kinds = [item.kind for item in await said(heard)]
    assert kinds[:2] == ["overlay-added", "started"]
    await heard.chunks.aclose()


async def test_an_overlay_that_is_not_there_cannot_be_listened_to(parts: Parts) -> None:
    with pytest.raises(ControlError) as refused:
        await parts.service.events("blue")
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_no_more_than_a_few_may_listen(parts: Parts) -> None:
    heard = [await parts.service.events(None) for _ in range(LISTENERS)]
    with pytest.raises(ControlError) as refused:
        await parts.service.events(None)
    assert refused.value.code is ErrorCode.BUSY
    for one in heard:
        one.close()


async def test_a_daemon_that_ends_ends_what_is_heard(parts: Parts) -> None:
    heard = await parts.service.events(None)
    parts.service.close()
    assert [chunk async for chunk in heard.chunks] == []


def known(parts: Parts, rows: MacRows) -> None:
    parts.datapath.rows[MacAddress.parse(MAC)] = rows


async def test_a_mac_is_explained_with_what_happened_to_it(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.set_entry("blue", MAC, "192.0.2.9:4789")
    target = Target(IPv4Address("192.0.2.9"), 4789)
    row = BridgeRow("vx-blue", is_tunnel=True, flags=("static", "sticky"))
    known(parts, MacRows(DeviceRow((target,)), row, None, punts=True))

    found = await parts.service.explain("blue", MAC.upper(), ask=False)

    (mac,) = found.macs
    assert (found.asked, found.search, mac.mac) == (MAC, "probe", MAC)
    assert found.summary == (
        f"frames to {MAC} go to 192.0.2.9:4789, as the administrator said just now;"
        " both kernel tables agree"
    )
    assert [event.kind for event in mac.events] == [
        "rows-written",
        "entry-set",
        "started",
        "overlay-added",
    ]


async def test_a_kernel_that_is_otherwise_is_told(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.set_entry("blue", MAC, "192.0.2.9:4789")
    (mac,) = (await parts.service.explain("blue", MAC, ask=False)).macs
    assert not mac.agrees


async def test_a_point_overlay_is_explained_whatever_the_address(parts: Parts) -> None:
    await parts.service.create(request(search="point"))
    for address in (MAC, "10.0.0.1"):
        found = await parts.service.explain("blue", address, ask=False)
        assert found.macs[0].mac is None
        assert found.summary.startswith("everything goes to")


async def test_an_address_leads_to_its_mac_by_what_the_plugin_answered(parts: Parts) -> None:
    await parts.service.create(request())
    nothing = await parts.service.explain("blue", "10.0.0.1", ask=False)
    assert nothing.macs == ()
    assert nothing.summary.startswith("nothing is known of 10.0.0.1")

    question = NeighbourQuestion(IPv4Address("10.0.0.1"))
    answered = NeighboursAnswered("blue", [question], [MacAddress.parse(MAC)])
    parts.journal.handled(answered, [], asyncio.get_running_loop().time())
    found = await parts.service.explain("blue", "10.0.0.1", ask=False)
    assert [(item.mac, item.source) for item in found.addresses] == [(MAC, "answered")]
    assert [mac.mac for mac in found.macs] == [MAC]
    assert found.macs[0].events[0].address == "10.0.0.1"
    assert f"that {MAC} has 10.0.0.1; " in found.summary


async def test_the_plugin_can_be_asked_and_nothing_follows(parts: Parts) -> None:
    await parts.service.create(request())
    before = len(parts.datapath.commands)
    found = await parts.service.explain("blue", str(ROUTER_IP), ask=True)
    assert found.addresses[-1].source == "asked"
    assert [mac.mac for mac in found.macs] == [found.addresses[-1].mac]
    assert len(parts.datapath.commands) == before
    assert (await parts.service.explain("blue", str(ROUTER_IP), ask=False)).macs == ()


async def test_what_is_no_address_is_refused(parts: Parts) -> None:
    await parts.service.create(request())
    with pytest.raises(ControlError) as refused:
        await parts.service.explain("blue", "blue", ask=False)
    assert (refused.value.code, refused.value.field) == (ErrorCode.INVALID, "address")
