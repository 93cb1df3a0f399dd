"""What instances say: order, coalescing, bounds, threads."""

import asyncio
import threading
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from support.probes import ONE, TWO
from support.waiting import until
from varpd.daemon.mailbox import Mailbox, PanicSaid, Queue
from varpd.provider.answers import Target

A, B = b"\x02\x00\x00\x00\x00\x0a", b"\x02\x00\x00\x00\x00\x0b"


def test_a_pair_about_the_same_mac_takes_the_place_of_the_first() -> None:
    queue = Queue(10)
    queue.put_pair(A, ONE)
    queue.put_pair(B, ONE)
    queue.put_pair(A, None)
    assert len(queue) == 2
    assert queue.take(10) == [(A, None), (B, ONE)]


def test_nothing_is_drawn_over_what_came_between() -> None:
    queue = Queue(10)
    queue.put_pair(A, ONE)
    queue.put("announced")
    queue.put_pair(A, TWO)
    assert queue.take(10) == [(A, ONE), "announced", (A, TWO)]


def test_what_waits_still_may_be_drawn_over_and_what_was_taken_comes_again() -> None:
    queue = Queue(10)
    queue.put_pair(A, ONE)
    queue.put_pair(B, ONE)
    assert queue.take(1) == [(A, ONE)]
    queue.put_pair(B, TWO)
    queue.put_pair(A, TWO)
    assert queue.take(10) == [(B, TWO), (A, TWO)]
    assert len(queue) == 0


def test_a_full_queue_takes_only_what_needs_no_place() -> None:
    queue = Queue(2)
    assert queue.put_pair(A, ONE)
    assert queue.put("announced")
    assert not queue.put("more")
    assert not queue.put_pair(B, ONE)
    assert queue.put("answer", always=True)
    assert queue.take(1) == [(A, ONE)]
    assert len(queue) == 2


@given(
    st.lists(
        st.one_of(st.tuples(st.sampled_from([A, B]), st.sampled_from([ONE, None])), st.integers())
    ),
    st.integers(1, 5),
)
def test_the_last_word_about_each_mac_between_two_others_comes_out(
    said: list[tuple[bytes, Target | None] | int], limit: int
) -> None:
    queue = Queue(1_000)
    wanted: list[object] = []
    part: dict[bytes, Target | None] = {}
    for thing in said:
        if isinstance(thing, tuple):
            queue.put_pair(*thing)
            part[thing[0]] = thing[1]
        else:
            queue.put(thing)
            wanted += [*part.items(), thing]
            part = {}
    wanted += part.items()
    taken: list[object] = []
    while some := queue.take(limit):
        assert len(some) <= limit
        taken += some
    assert taken == wanted
    assert len(queue) == 0


class Post:
    """A mailbox and what it delivered."""

    def __init__(self, limit: int = 100) -> None:
        self.counts: Counter[str] = Counter()
        self.taken: list[object] = []
        self.delivered = 0
        self.box = Mailbox(self.deliver, self.counts, limit)

    def deliver(self) -> None:
        self.delivered += 1
        if self.box.opened:
            self.taken += self.box.take()


async def test_nothing_is_delivered_before_it_is_opened() -> None:
    post = Post()
    post.box.put_pair(A, ONE)
    await asyncio.sleep(0)
    assert post.delivered == 0
    post.box.open()
    await until(lambda: post.taken)
    assert post.taken == [(A, ONE)]
    post.box.put_pair(B, ONE)
    await until(lambda: len(post.taken) == 2)


async def test_a_panic_is_delivered_at_once_and_the_rest_still_waits() -> None:
    post = Post()
    post.box.put_pair(A, ONE)
    post.box.put_panic(PanicSaid("first", "stack"))
    post.box.put_panic(PanicSaid("second", "stack"))
    await until(lambda: post.delivered)
    assert post.box.panic == PanicSaid("first", "stack")
    assert post.taken == []
    post.box.open()
    await until(lambda: post.taken)


async def test_much_is_delivered_in_slices() -> None:
    post = Post(limit=10_000)
    post.box.open()
    for number in range(1_000):
        post.box.put(number)
    await until(lambda: len(post.taken) == 1_000)
    assert post.taken == list(range(1_000))
    assert post.delivered > 2


async def test_what_another_thread_says_comes_in_its_order_and_not_into_the_loops_queue() -> None:
    post = Post()
    post.box.open()

    def say() -> None:
        for number in range(50):
            post.box.put(number)

    thread = threading.Thread(target=say)
    thread.start()
    await until(lambda: len(post.taken) == 50)
    assert post.taken == list(range(50))
    await until(lambda: not thread.is_alive())
    post.box.put("here")
    assert post.box.said_here
    assert post.box.take_here() == ["here"]
    assert not post.box.said_here


async def test_what_finds_no_place_is_counted() -> None:
    post = Post(limit=1)
    post.box.put("one")
    post.box.put("two")
    post.box.put("answer", always=True)
    assert post.counts["lost"] == 1


async def test_after_close_everything_is_ignored_and_counted() -> None:
    post = Post()
    post.box.open()
    post.box.close()
    post.box.put("late")
    post.box.put_pair(A, ONE)
    post.box.put_condition("bad")
    post.box.put_save()
    post.box.put_panic(PanicSaid("late", ""))
    assert post.counts["ignored"] == 5
    assert post.box.panic is None
    assert post.box.take_wishes() == (UNSET, False)


async def test_the_last_condition_counts_and_is_taken_once() -> None:
    post = Post()
    post.box.put_condition("bad")
    post.box.put_condition(None)
    post.box.put_save()
    assert post.box.take_wishes() == (None, True)
    assert post.box.take_wishes() == (UNSET, False)


def test_a_thread_that_outlives_the_loop_is_heard_by_nobody() -> None:
    async def make() -> Post:
        post = Post()
        post.box.open()
        return post

    post = asyncio.run(make())
    thread = threading.Thread(target=post.box.put, args=("late",))
    thread.start()
    thread.join()
    assert post.box.closed
