"""Those who listen: each with a bound, none of them in the way."""

import pytest

from varpd.daemon.audience import LISTENERS, QUEUE, WEIGHT, Audience, AudienceFull
from varpd.daemon.records import Kind, Record


def record(number: int = 1, macs: int = 0) -> Record:
    return Record(number, 0.0, Kind.NOTE, (bytes(6),) * macs, macs, "something")


async def test_nobody_is_there_until_somebody_listens() -> None:
    audience = Audience()
    assert not audience.is_there
    feed = audience.listen()
    assert audience.is_there
    audience.leave(feed)
    audience.leave(feed)
    assert not audience.is_there


async def test_one_hears_of_all_overlays_or_of_the_one_asked_for() -> None:
    audience = Audience()
    all_of_them, one = audience.listen(), audience.listen("red")
    audience.tell("blue", record(1))
    audience.tell("red", record(2))
    assert await all_of_them.take() == [("blue", record(1)), ("red", record(2))]
    assert await one.take() == [("red", record(2))]


async def test_what_waits_has_a_bound_in_records_and_in_macs() -> None:
    audience = Audience()
    feed = audience.listen()
    for number in range(QUEUE + 7):
        audience.tell("blue", record(number))
    assert (len(await feed.take()), feed.lost) == (QUEUE, 7)
    for number in range(WEIGHT // 256):
        audience.tell("blue", record(number, macs=256))
    assert (len(await feed.take()), feed.lost) == (WEIGHT // 257, 8)


async def test_no_more_listen_than_may() -> None:
    audience = Audience()
    feeds = [audience.listen() for _ in range(LISTENERS)]
    with pytest.raises(AudienceFull):
        audience.listen()
    audience.leave(feeds[3])
    audience.listen()


async def test_at_the_end_one_hears_what_waited_and_then_nothing_for_ever() -> None:
    audience = Audience()
    feed = audience.listen()
    audience.tell("blue", record())
    audience.end()
    audience.tell("blue", record(2))
    assert await feed.take() == [("blue", record())]
    assert await feed.take() == []
    assert await audience.listen().take() == []
