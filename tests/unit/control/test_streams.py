"""What waits for a caller who listens."""

import asyncio

from varpd.control.streams import Feed


async def test_what_is_put_is_taken_in_order() -> None:
    feed: Feed[str] = Feed(10, 10)
    assert feed.put("a")
    assert feed.put("b")
    assert await feed.take() == ["a", "b"]
    assert feed.put("c")
    assert await feed.take() == ["c"]


async def test_who_takes_waits_until_there_is_something() -> None:
    feed: Feed[str] = Feed(10, 10)
    async with asyncio.TaskGroup() as tasks:
        taken = tasks.create_task(feed.take())
        await asyncio.sleep(0)
        assert not taken.done()
        feed.put("a")
    assert taken.result() == ["a"]


async def test_beyond_the_bound_the_newest_is_lost_and_counted() -> None:
    feed: Feed[str] = Feed(2, 100)
    assert [feed.put(item) for item in "abcd"] == [True, True, False, False]
    assert feed.lost == 2
    assert await feed.take() == ["a", "b"]
    assert feed.put("e")


async def test_so_it_is_beyond_the_bound_of_what_is_large() -> None:
    feed: Feed[bytes] = Feed(100, 10, len)
    assert feed.put(bytes(8))
    assert not feed.put(bytes(3))
    assert feed.put(bytes(2))
    assert feed.lost == 1


async def test_after_its_end_what_waits_is_taken_and_then_nothing() -> None:
    feed: Feed[str] = Feed(10, 10)
    feed.put("a")
    feed.close()
    feed.close()
    assert feed.closed
    assert not feed.put("b")
    assert await feed.take() == ["a"]
    assert await feed.take() == []
    assert feed.lost == 0
