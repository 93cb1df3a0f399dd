"""The row writer, over a kernel made for the purpose that keeps two tables."""

import errno
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address

import pytest

from support.row_kernel import PATIENCE, FakeKernel
from varpd.datapath.linux import verdicts
from varpd.datapath.linux.lanes import BATCH
from varpd.datapath.linux.writer import QUEUE_INJECTIONS, RowWriter
from varpd.engine.commands import Install, InstallReplicas, RemoveRows
from varpd.engine.events import FoundRow
from varpd.provider.answers import Target

ONE = Target(ip_address("192.0.2.1"), 4789)
TWO = Target(ip_address("192.0.2.2"), 4789)
THREE = Target(ip_address("192.0.2.3"), 4789)
GROUP = bytes.fromhex("01005e000001")


def mac(number: int) -> bytes:
    return b"\x02" + number.to_bytes(5, "big")


class Bench:
    """A writer at work on a fake kernel."""

    def __init__(self, **options: int) -> None:
        self.kernel = FakeKernel()
        self.refused: list[tuple[str, list[bytes], str]] = []
        self.writer = RowWriter(
            lambda *refusal: self.refused.append(refusal),
            open_socket=lambda: self.kernel,
            clock=lambda: self.kernel.now,
            **options,
        )
        self.writer.start()
        self.writer.open("blue", 1)

    def settle(self) -> None:
        self.writer.settle().result(PATIENCE)

    def install(self, target: Target, *numbers: int, overlay: str = "blue") -> None:
        self.writer.submit(Install(overlay, target, [mac(number) for number in numbers], []))

    def remove(self, *numbers: int) -> None:
        self.writer.submit(RemoveRows("blue", [mac(number) for number in numbers]))


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def build(**options: int) -> Bench:
        benches.append(Bench(**options))
        return benches[-1]

    yield build
    for bench in benches:
        bench.kernel.free.set()
        bench.writer.stop()


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    return make()


def test_a_row_is_written_to_both_tables_and_removed_from_both(bench: Bench) -> None:
    bench.install(ONE, 1, 2)
    bench.settle()
    assert bench.kernel.device == {mac(1): [ONE.ip.packed], mac(2): [ONE.ip.packed]}  # type: ignore[union-attr]
    assert bench.kernel.bridge == {mac(1), mac(2)}

    bench.remove(1, 2)
    bench.settle()
    assert (bench.kernel.device, bench.kernel.bridge) == ({}, set())
    assert (bench.writer.counters.written, bench.writer.counters.removed, bench.writer.queued) == (
        2,
        2,
        0,
    )


def test_many_rows_go_in_batches(bench: Bench) -> None:
    bench.kernel.free.clear()
    bench.install(ONE, *range(3 * BATCH))
    bench.kernel.free.set()
    bench.settle()
    assert bench.kernel.sends == [BATCH] * 3


def test_what_is_asked_while_the_kernel_is_busy_is_merged(bench: Bench) -> None:
    bench.kernel.free.clear()
    bench.install(ONE, 0)
    assert bench.kernel.waiting.wait(PATIENCE)
    bench.install(ONE, 1, 2)
    bench.remove(1)
    bench.install(TWO, 2)
    assert bench.writer.queued == 4
    bench.kernel.free.set()
    bench.settle()

    assert bench.kernel.device == {mac(0): [ONE.ip.packed], mac(2): [TWO.ip.packed]}  # type: ignore[union-attr]
    assert bench.writer.counters.written == 2
    assert bench.writer.queued == 0


def test_a_refused_row_is_removed_from_both_tables_and_reported(bench: Bench) -> None:
    bench.install(ONE, 1)
    bench.settle()
    bench.kernel.refuse = {mac(1): errno.EAFNOSUPPORT, mac(3): errno.EAFNOSUPPORT}
    bench.install(TWO, 1, 2, 3)
    bench.settle()

    words = "Address family not supported by protocol"
    assert bench.refused == [("blue", [mac(1), mac(3)], words)]
    assert bench.kernel.bridge == {mac(2)}
    assert set(bench.kernel.device) == {mac(2)}
    assert (bench.writer.counters.written, bench.writer.counters.refused) == (2, 2)


def test_answers_that_were_lost_count_as_a_refusal_of_the_whole_batch(bench: Bench) -> None:
    bench.kernel.losing = True
    bench.install(ONE, 1, 2)
    bench.settle()

    assert [macs for _, macs, _ in bench.refused] == [[mac(1), mac(2)]]
    assert (bench.kernel.device, bench.kernel.bridge) == ({}, set())
    bench.install(ONE, 1)
    bench.settle()
    assert set(bench.kernel.device) == {mac(1)}


def test_a_group_mac_gets_its_new_destinations_before_it_loses_the_old(bench: Bench) -> None:
    bench.writer.submit(InstallReplicas("blue", GROUP, (ONE, TWO)))
    bench.settle()
    bench.writer.submit(InstallReplicas("blue", GROUP, (TWO, THREE)))
    bench.settle()
    assert bench.kernel.device == {GROUP: [TWO.ip.packed, THREE.ip.packed]}  # type: ignore[union-attr]
    assert bench.kernel.bridge == set()

    bench.writer.submit(InstallReplicas("blue", GROUP, ()))
    bench.settle()
    assert bench.kernel.device == {}


def test_a_refused_group_mac_has_no_destination_and_is_reported(bench: Bench) -> None:
    bench.kernel.refuse = {GROUP: errno.EINVAL}
    bench.writer.submit(InstallReplicas("blue", GROUP, (ONE, TWO)))
    bench.settle()
    assert bench.refused == [("blue", [GROUP], "Invalid argument")]

    bench.kernel.refuse = {}
    bench.writer.submit(InstallReplicas("blue", GROUP, (ONE,)))
    bench.settle()
    assert bench.kernel.device == {GROUP: [ONE.ip.packed]}  # type: ignore[union-attr]


def test_an_injection_runs_behind_the_rows_submitted_before_it(bench: Bench) -> None:
    seen: list[set[bytes]] = []
    bench.kernel.free.clear()
    bench.install(ONE, *range(2 * BATCH))
    bench.writer.inject(lambda: seen.append(set(bench.kernel.device)))
    bench.writer.inject(lambda: seen.append(set(bench.kernel.device)), "blue")
    bench.kernel.free.set()
    bench.settle()

    everything = {mac(number) for number in range(2 * BATCH)}
    assert seen == [everything, everything]


def test_an_injection_that_fails_ends_nothing(bench: Bench) -> None:
    bench.writer.inject(lambda: print(1 // 0))
    bench.install(ONE, 1)
    bench.settle()
    assert set(bench.kernel.device) == {mac(1)}


def test_an_overlay_takes_half_of_the_places_for_injections_and_another_still_finds_some(
    bench: Bench,
) -> None:
    seen: list[int] = []
    half = QUEUE_INJECTIONS // 2
    bench.kernel.free.clear()
    bench.install(ONE, 0)
    assert bench.kernel.waiting.wait(PATIENCE)
    for number in range(half + 3):
        bench.writer.inject(partial(seen.append, number), "blue")
    bench.writer.open("red", 2)
    bench.writer.inject(partial(seen.append, -1), "red")
    assert bench.writer.counters.not_injected == 3
    bench.kernel.free.set()
    bench.settle()
    assert sorted(seen) == list(range(-1, half))

    bench.writer.inject(partial(seen.append, -2), "blue")
    bench.settle()
    assert seen[-1] == -2


def test_injections_that_were_dropped_with_their_overlay_make_room(bench: Bench) -> None:
    for _ in range(2):
        for _ in range(QUEUE_INJECTIONS // 2):
            bench.writer.inject(lambda: None, "closed")
        bench.settle()
    assert bench.writer.counters.not_injected == 0


def test_closing_drops_what_waits_and_nothing_is_written_after(bench: Bench) -> None:
    bench.kernel.free.clear()
    bench.install(ONE, 0)
    assert bench.kernel.waiting.wait(PATIENCE)
    bench.install(ONE, 1)
    injected: list[bool] = []
    bench.writer.inject(lambda: injected.append(True), "blue")
    done = bench.writer.close("blue")
    bench.install(ONE, 2)
    assert not done.done()
    bench.kernel.free.set()
    done.result(PATIENCE)
    bench.settle()

    assert set(bench.kernel.device) == {mac(0)}
    assert injected == []
    assert bench.writer.queued == 0


def test_usage_tells_the_idle_time_of_each_row(bench: Bench) -> None:
    bench.install(ONE, 1, 3)
    asked = [mac(number) for number in range(BATCH + 2)]
    idle = bench.writer.usage("blue", asked).result(PATIENCE)
    assert idle == [None, 3.0, None, 3.0] + [None] * (BATCH - 2)


def test_usage_of_an_overlay_that_is_not_open_is_none(bench: Bench) -> None:
    assert bench.writer.usage("red", [mac(1)]).result(PATIENCE) == [None]


def test_a_check_tells_what_is_in_both_tables(bench: Bench) -> None:
    bench.install(ONE, 1, 2)
    bench.settle()
    bench.kernel.bridge.remove(mac(2))
    del bench.kernel.device[mac(1)]
    asked = [mac(number) for number in range(BATCH + 2)]
    bench.install(TWO, BATCH)
    found = bench.writer.check("blue", asked).result(PATIENCE)
    assert found[:3] == [FoundRow(), FoundRow(bridged=True), FoundRow((ONE,))]
    assert found[BATCH:] == [FoundRow((TWO,), bridged=True), FoundRow()]


def test_a_check_of_what_cannot_be_seen_tells_so(bench: Bench) -> None:
    assert bench.writer.check("red", [mac(1)]).result(PATIENCE) == [None]
    bench.kernel.losing = True
    assert bench.writer.check("blue", [mac(1)]).result(PATIENCE) == [None]


def test_what_a_check_finds_of_a_group_is_what_the_next_change_begins_with(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.writer.submit(InstallReplicas("blue", GROUP, (ONE, TWO)))
    bench.settle()
    bench.kernel.device[GROUP] = [THREE.ip.packed if THREE.ip else b"", b"\xc0\0\2\2"]
    there = {GROUP: FoundRow((THREE, TWO))}
    monkeypatch.setattr(verdicts, "groups", lambda table: there)
    assert bench.writer.check("blue", [GROUP]).result(PATIENCE) == [there[GROUP]]
    bench.writer.submit(InstallReplicas("blue", GROUP, (ONE, TWO)))
    bench.settle()
    assert sorted(bench.kernel.device[GROUP]) == [b"\xc0\0\2\1", b"\xc0\0\2\2"]


def test_a_group_with_what_cannot_be_named_is_written_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.writer.submit(InstallReplicas("blue", GROUP, (ONE,)))
    bench.settle()
    bench.kernel.device[GROUP].append(b"odd!")
    there = {GROUP: FoundRow((ONE,), fault="with VNI 99")}
    monkeypatch.setattr(verdicts, "groups", lambda table: there)
    bench.writer.check("blue", [GROUP]).result(PATIENCE)
    bench.writer.submit(InstallReplicas("blue", GROUP, (ONE,)))
    bench.settle()
    assert bench.kernel.device[GROUP] == [b"\xc0\0\2\1"]
    bench.kernel.device[GROUP].append(b"odd!")
    bench.writer.check("blue", [GROUP]).result(PATIENCE)
    bench.writer.submit(InstallReplicas("blue", GROUP, ()))
    bench.settle()
    assert GROUP not in bench.kernel.device


def test_rows_beyond_the_bound_are_refused_and_removals_are_not(
    make: Callable[..., Bench],
) -> None:
    bench = make(queue_rows=3)
    bench.install(ONE, 1)
    bench.settle()
    bench.kernel.free.clear()
    bench.kernel.waiting.clear()
    bench.install(ONE, 0)
    assert bench.kernel.waiting.wait(PATIENCE)
    bench.install(ONE, 2, 3, 4)
    bench.install(TWO, 1, 5)
    bench.remove(2)
    bench.kernel.free.set()
    bench.settle()

    # What was refused has no row: that of 1 is not what it should be, and so is gone.
    assert set(bench.kernel.device) == {mac(0), mac(3), mac(4)}
    assert bench.refused == [("blue", [mac(1), mac(5)], "the row writer's queue is full")]


def test_stopping_writes_what_waits(bench: Bench) -> None:
    bench.kernel.free.clear()
    bench.install(ONE, *range(2 * BATCH))
    bench.kernel.free.set()
    bench.writer.stop()
    assert len(bench.kernel.device) == 2 * BATCH


def test_a_stopped_writer_does_nothing_and_keeps_nobody_waiting(bench: Bench) -> None:
    bench.writer.stop()
    bench.install(ONE, 1)
    bench.settle()
    bench.writer.close("blue").result(PATIENCE)
    assert bench.writer.usage("blue", [mac(1)]).result(PATIENCE) == [None]
    assert bench.kernel.device == {}


def test_how_long_frames_waited_for_their_rows_is_counted(bench: Bench) -> None:
    bench.kernel.now = 10.0
    bench.writer.submit(Install("blue", ONE, [mac(1), mac(2)], [], 9.75))
    bench.writer.submit(Install("blue", ONE, [mac(3)], []))
    bench.settle()
    found = bench.writer.delays_of("blue")
    assert (found.count, found.total) == (2, 0.5)
    assert bench.writer.delays.distribution == found


def test_what_all_overlays_waited_is_kept_when_one_goes(bench: Bench) -> None:
    bench.kernel.now = 10.0
    bench.writer.submit(Install("blue", ONE, [mac(1)], [], 9.75))
    bench.settle()
    bench.writer.close("blue").result(PATIENCE)
    assert bench.writer.delays_of("blue").count == 0
    assert bench.writer.delays.distribution.count == 1
