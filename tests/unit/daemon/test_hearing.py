"""What listeners hear, in words and at a pace."""

import asyncio

import msgspec

from varpd.control.messages import EventInfo
from varpd.control.streams import JSON_LINES, Stream
from varpd.daemon.audience import QUEUE, Audience
from varpd.daemon.hearing import PAUSE, SLICE, listen
from varpd.daemon.records import Kind, Record


def note(text: str) -> Record:
    return Record(1, 0.0, Kind.NOTE, (), 0, text)


async def heard(stream: Stream) -> list[EventInfo]:
    """Return the events of the next chunk."""
    return msgspec.json.Decoder(EventInfo).decode_lines(await anext(stream.chunks))


async def test_what_happens_is_heard_in_words_and_in_order() -> None:
    audience = Audience()
    stream = listen(audience, None)
    audience.tell("blue", note("first"))
    audience.tell("red", note("second"))
    assert stream.media == JSON_LINES
    assert [(item.overlay, item.text) for item in await heard(stream)] == [
        ("blue", "first"),
        ("red", "second"),
    ]
    await stream.chunks.aclose()


async def test_a_slow_listener_is_told_how_much_it_lost() -> None:
    audience = Audience()
    stream = listen(audience, None)
    for _ in range(QUEUE + 5):
        audience.tell("blue", note("busy"))
    events: list[EventInfo] = []
    while not events or events[-1].kind != "lost":
        events += await heard(stream)
    assert len(events) == QUEUE + 1
    assert (events[-1].more, events[-1].overlay) == (5, None)
    await stream.chunks.aclose()


async def test_slices_come_with_pauses_between() -> None:
    audience = Audience()
    stream = listen(audience, None)
    for _ in range(SLICE + 1):
        audience.tell("blue", note("busy"))
    assert len(await heard(stream)) == SLICE
    before = asyncio.get_running_loop().time()
    assert len(await heard(stream)) == 1
    assert asyncio.get_running_loop().time() - before >= PAUSE / 2
    await stream.chunks.aclose()


async def test_it_ends_with_the_audience_and_when_it_is_closed() -> None:
    audience = Audience()
    streams = [listen(audience, None), listen(audience, None)]
    streams[0].close()
    audience.end()
    for stream in streams:
        assert [chunk async for chunk in stream.chunks] == []


async def test_who_lets_go_no_longer_listens_even_if_nothing_was_taken() -> None:
    audience = Audience()
    listen(audience, None).close()
    assert not audience.is_there
