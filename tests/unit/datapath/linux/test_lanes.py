"""The row writer's queue: order, merging, turns, barriers."""

from collections import deque
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from varpd.datapath.linux.lanes import BATCH, Barrier, Batch, GroupChange, Lanes, Wanted
from varpd.datapath.linux.rows import Table
from varpd.provider.answers import Target

ONE = Target(ip_address("192.0.2.1"), 4789)
TWO = Target(ip_address("192.0.2.2"), 4789)
THREE = Target(ip_address("192.0.2.3"), 4789)
TABLE = Table(1)
GROUP = bytes.fromhex("01005e000001")


def mac(number: int) -> bytes:
    return b"\x02" + number.to_bytes(5, "big")


def lanes(*overlays: str) -> Lanes:
    made = Lanes()
    for overlay in overlays:
        made.open(overlay, TABLE)
    return made


def drain(waiting: Lanes) -> list[Batch | GroupChange]:
    """Take all work, running the barriers."""
    taken = []
    while (work := waiting.next_work()) is not None:
        if isinstance(work, Barrier):
            work.run()
        else:
            taken.append(work)
    return taken


def test_nothing_to_do_is_none() -> None:
    assert lanes("blue").next_work() is None
    assert not lanes("blue").busy


def test_a_batch_holds_its_macs_by_target() -> None:
    waiting = lanes("blue")
    waiting.put("blue", [mac(1), mac(2)], ONE)
    waiting.put("blue", [mac(3)], TWO)
    waiting.put("blue", [mac(4)], None)
    waiting.put("blue", [mac(5)], ONE)

    assert drain(waiting) == [
        Batch("blue", TABLE, {ONE: [mac(1), mac(2), mac(5)], TWO: [mac(3)]}, [mac(4)])
    ]


def test_a_long_queue_comes_in_batches_the_oldest_first() -> None:
    waiting = lanes("blue")
    macs = [mac(number) for number in range(2 * BATCH + 1)]
    waiting.put("blue", macs, ONE)

    batches = drain(waiting)
    assert [batch.size for batch in batches if isinstance(batch, Batch)] == [BATCH, BATCH, 1]
    assert [m for b in batches if isinstance(b, Batch) for m in b.installs[ONE]] == macs


def test_what_is_asked_later_of_a_waiting_mac_replaces_what_was_asked_before() -> None:
    waiting = lanes("blue")
    assert waiting.put("blue", [mac(1), mac(2)], ONE) == 0
    assert waiting.put("blue", [mac(1)], None) == 1
    assert waiting.put("blue", [mac(2)], TWO) == 1

    assert drain(waiting) == [Batch("blue", TABLE, {TWO: [mac(2)]}, [mac(1)])]


def test_a_mac_named_twice_counts_once() -> None:
    waiting = lanes("blue")
    assert waiting.put("blue", [mac(1), mac(1)], ONE) == 1


def test_overlays_take_turns() -> None:
    waiting = lanes("blue", "red")
    waiting.put("blue", [mac(number) for number in range(3 * BATCH)], ONE)
    waiting.put("red", [mac(1)], ONE)

    assert [work.overlay for work in drain(waiting)] == ["blue", "red", "blue", "blue"]


def test_what_is_put_for_an_overlay_that_is_not_open_is_ignored() -> None:
    waiting = lanes()
    assert waiting.put("blue", [mac(1), mac(2)], ONE) == 2
    assert waiting.next_work() is None


def test_closing_drops_what_waits_and_leaves_the_others_alone() -> None:
    waiting = lanes("blue", "red")
    waiting.put("blue", [mac(1), mac(2)], ONE)
    waiting.put("red", [mac(3)], ONE)

    assert waiting.close("blue") == 2
    assert [work.overlay for work in drain(waiting)] == ["red"]
    assert waiting.close("blue") == 0


def test_an_overlay_opened_again_begins_empty() -> None:
    waiting = lanes("blue")
    waiting.put("blue", [mac(1)], ONE)
    waiting.open("blue", Table(2))
    waiting.put("blue", [mac(2)], ONE)

    assert waiting.table("blue") == Table(2)
    assert drain(waiting) == [Batch("blue", Table(2), {ONE: [mac(2)]}, [])]


def test_a_barrier_runs_behind_all_that_was_asked_before_in_every_lane() -> None:
    waiting = lanes("blue", "red", "green")
    waiting.put("blue", [mac(number) for number in range(2 * BATCH)], ONE)
    waiting.put("red", [mac(1)], ONE)
    ran: list[str] = []
    waiting.put_barrier(Barrier(lambda: ran.append("barrier")))
    waiting.put("red", [mac(9)], ONE)

    rows_before = 0
    while not ran:
        work = waiting.next_work()
        assert work is not None
        if isinstance(work, Barrier):
            work.run()
        elif isinstance(work, Batch):
            rows_before += work.size
    assert rows_before >= 2 * BATCH + 1


def test_a_barrier_comes_before_what_was_asked_after_it() -> None:
    waiting = lanes("blue")
    barrier = Barrier(lambda: None)
    waiting.put("blue", [mac(1)], ONE)
    waiting.put_barrier(barrier)
    waiting.put("blue", [mac(2)], ONE)

    assert waiting.next_work() == Batch("blue", TABLE, {ONE: [mac(1)]}, [])
    assert waiting.next_work() is barrier
    assert waiting.next_work() == Batch("blue", TABLE, {ONE: [mac(2)]}, [])


def test_a_barrier_of_one_overlay_does_not_wait_for_another() -> None:
    waiting = lanes("blue", "red")
    waiting.put("blue", [mac(number) for number in range(9 * BATCH)], ONE)
    ran: list[str] = []
    waiting.put_barrier(Barrier(lambda: ran.append("red")), "red")

    while not ran:
        work = waiting.next_work()
        if isinstance(work, Barrier):
            work.run()
    assert waiting.busy


def test_a_barrier_with_nothing_before_it_runs_at_once() -> None:
    ran: list[str] = []
    lanes("blue").put_barrier(Barrier(lambda: ran.append("all")))
    assert ran == ["all"]


def test_a_row_replaced_behind_a_barrier_is_still_written_before_it() -> None:
    waiting = lanes("blue")
    waiting.put("blue", [mac(1)], ONE)
    ran: list[str] = []
    waiting.put_barrier(Barrier(lambda: ran.append("barrier")))
    waiting.put("blue", [mac(1)], TWO)

    assert waiting.next_work() == Batch("blue", TABLE, {TWO: [mac(1)]}, [])
    assert ran == []
    assert drain(waiting) == []
    assert ran == ["barrier"]


def test_closing_an_overlay_lets_a_barrier_over_all_pass() -> None:
    waiting = lanes("blue")
    waiting.put("blue", [mac(1)], ONE)
    ran: list[str] = []
    waiting.put_barrier(Barrier(lambda: ran.append("all")))
    waiting.close("blue")
    assert ran == ["all"]


def test_closing_an_overlay_drops_the_barriers_that_are_its_own() -> None:
    waiting = lanes("blue")
    ran: list[str] = []
    own = Barrier(lambda: ran.append("run"), drop=lambda: ran.append("dropped"))
    waiting.put_barrier(own, "blue")
    waiting.close("blue")
    waiting.put_barrier(own, "blue")
    assert ran == ["dropped", "dropped"]


def test_a_group_mac_gets_what_is_new_and_loses_what_is_old() -> None:
    waiting = lanes("blue")
    waiting.put("blue", [GROUP], (ONE, TWO, ONE))
    (first,) = drain(waiting)
    waiting.put("blue", [GROUP], (TWO, THREE))
    (second,) = drain(waiting)
    waiting.put("blue", [GROUP], ())
    (third,) = drain(waiting)

    assert first == GroupChange("blue", TABLE, GROUP, [ONE, TWO], [], whole=False)
    assert second == GroupChange("blue", TABLE, GROUP, [THREE], [ONE], whole=False)
    assert third == GroupChange("blue", TABLE, GROUP, [], [TWO, THREE], whole=True)


def test_a_forgotten_group_mac_is_written_anew() -> None:
    waiting = lanes("blue")
    waiting.put("blue", [GROUP], (ONE,))
    drain(waiting)
    waiting.forget_group("blue", GROUP)
    waiting.put("blue", [GROUP], (ONE,))

    assert drain(waiting) == [GroupChange("blue", TABLE, GROUP, [ONE], [], whole=False)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["blue", "red"]),
            st.lists(st.integers(0, 9), max_size=6),
            st.sampled_from([ONE, TWO, None]),
            st.booleans(),
        )
    )
)
def test_whatever_is_asked_the_last_wish_of_each_mac_is_done_last(
    wishes: list[tuple[str, list[int], Wanted, bool]],
) -> None:
    waiting = lanes("blue", "red")
    wanted: dict[tuple[str, bytes], Wanted] = {}
    done: dict[tuple[str, bytes], Wanted] = {}
    counted = 0

    def do(work: Batch | GroupChange | Barrier | None) -> None:
        nonlocal counted
        assert isinstance(work, Batch)
        counted += work.size
        for target, macs in work.installs.items():
            done.update({(work.overlay, m): target for m in macs})
        done.update({(work.overlay, m): None for m in work.removals})

    for overlay, numbers, target, take in wishes:
        macs = [mac(number) for number in numbers]
        counted += waiting.put(overlay, macs, target)
        wanted.update({(overlay, m): target for m in macs})
        if take and waiting.busy:
            do(waiting.next_work())
    while waiting.busy:
        do(waiting.next_work())

    assert done == wanted
    assert counted == sum(len(numbers) for _, numbers, _, _ in wishes)


def test_a_batch_knows_when_the_frames_came_that_it_is_for() -> None:
    waiting = lanes("blue")
    waiting.put("blue", [mac(1), mac(2)], ONE, 7.0)
    waiting.put("blue", [mac(3)], TWO, 7.0)
    waiting.put("blue", [mac(4)], None)
    waiting.put("blue", [mac(5)], ONE, 8.0)
    (batch,) = drain(waiting)
    assert isinstance(batch, Batch)
    assert batch.since == [(7.0, 3), (8.0, 1)]


def test_a_row_that_is_asked_for_again_is_as_old_as_it_was() -> None:
    waiting = lanes("blue")
    waiting.put("blue", [mac(1)], ONE, 7.0)
    waiting.put("blue", [mac(1), mac(2)], TWO, 8.0)
    (batch,) = drain(waiting)
    assert isinstance(batch, Batch)
    assert batch.since == [(7.0, 1), (8.0, 1)]


def test_each_batch_of_a_long_queue_has_its_part() -> None:
    waiting = lanes("blue")
    waiting.put("blue", [mac(number) for number in range(BATCH + 1)], ONE, 7.0)
    waiting.put("blue", [GROUP], (TWO,), 8.0)
    waiting.put("blue", [mac(BATCH + 1)], ONE, 9.0)
    batches = [work for work in drain(waiting) if isinstance(work, Batch)]
    assert [batch.since for batch in batches] == [[(7.0, BATCH)], [(7.0, 1)], [(9.0, 1)]]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 7.0, 8.0])), max_size=60))
def test_rows_and_times_never_part(puts: list[tuple[int, float]]) -> None:
    waiting = lanes("blue")
    for number, since in puts:
        waiting.put("blue", [mac(number)], ONE, since)
    firsts: dict[int, float] = {}
    for number, since in puts:
        firsts.setdefault(number, since)
    taken = [pair for work in drain(waiting) if isinstance(work, Batch) for pair in work.since]
    assert sum(count for _, count in taken) == sum(since > 0 for since in firsts.values())
    assert waiting._lanes["blue"].since == deque()
