"""What the control socket tells of how much and how fast."""

from collections.abc import AsyncIterator

import pytest

from support import overlays as support
from support.overlays import Parts, request
from varpd.control.captures import PCAPNG, Capture
from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon.capturing import CAPTURES


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        await made.service.create(request())
        await made.service.create(request("azure", vnetid=8))
        yield made


async def test_stats_are_told_of_those_that_are_named_or_of_all(parts: Parts) -> None:
    assert [item.overlay for item in await parts.service.stats([])] == ["azure", "blue"]
    assert [item.overlay for item in await parts.service.stats(["blue"])] == ["blue"]


async def test_stats_of_an_overlay_that_is_not_there_are_not_found(parts: Parts) -> None:
    with pytest.raises(ControlError) as caught:
        await parts.service.stats(["red"])
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_metrics_are_told_as_prometheus_reads_them(parts: Parts) -> None:
    stream = await parts.service.metrics()
    assert stream.media.startswith("text/plain; version=0.0.4")
    assert b'overlay="azure"' in b"".join([piece async for piece in stream.chunks])


async def test_a_capture_begins_at_once_and_ends_when_it_is_closed(parts: Parts) -> None:
    observers = len(parts.runner.observers)
    stream = await parts.service.capture("blue", Capture())
    assert stream.media == PCAPNG
    assert len(parts.runner.observers) == observers + 1
    stream.close()
    assert b"blue:punted" in b"".join([chunk async for chunk in stream.chunks])
    assert len(parts.runner.observers) == observers


@pytest.mark.parametrize(
    ("name", "wanted", "code"),
    [("red", Capture(), ErrorCode.NOT_FOUND), ("blue", Capture(()), ErrorCode.INVALID)],
)
async def test_a_capture_that_cannot_be_is_refused(
    parts: Parts, name: str, wanted: Capture, code: ErrorCode
) -> None:
    with pytest.raises(ControlError) as caught:
        await parts.service.capture(name, wanted)
    assert caught.value.code is code


async def test_more_captures_than_may_be_are_refused(parts: Parts) -> None:
    streams = [await parts.service.capture("blue", Capture()) for _ in range(CAPTURES)]
    with pytest.raises(ControlError) as caught:
        await parts.service.capture("blue", Capture())
    assert caught.value.code is ErrorCode.BUSY
    for stream in streams:
        stream.close()
        await stream.chunks.aclose()
