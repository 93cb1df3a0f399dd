"""What the control socket tells of how much and how fast."""

from collections.abc import AsyncIterator

import pytest

from support import overlays as support
from support.overlays import Parts, request
from varpd.control.messages import ControlError, ErrorCode


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
