"""What is told of what happens and why."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from support import overlays as support
from support.overlays import Parts, request
from varpd.control.messages import ControlError, ErrorCode, EventInfo
from varpd.control.streams import Stream
from varpd.daemon.audience import LISTENERS

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
