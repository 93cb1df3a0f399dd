"""The row writer, over a kernel made for the purpose that keeps two tables."""

import errno
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from varpd.datapath.linux import rows
from varpd.datapath.linux.lanes import BATCH
from varpd.datapath.linux.writer import STALL, RowWriter, open_row_socket
from varpd.engine.commands import Install, InstallReplicas, RemoveRows
from varpd.provider.answers import Target

ONE = Target(ip_address("192.0.2.1"), 4789)
TWO = Target(ip_address("192.0.2.2"), 4789)
THREE = Target(ip_address("192.0.2.3"), 4789)
GROUP = bytes.fromhex("01005e000001")
SELF, MASTER = 0x02, 0x04
REPLACE, APPEND = 0x100, 0x800
PATIENCE = 30.0


def mac(number: int) -> bytes:
    return b"\x02" + number.to_bytes(5, "big")


@dataclass
class FakeKernel:
    """Handles messages as rtnl_fdb_add and rtnl_fdb_del do: the bridge's row first."""

    device: dict[bytes, list[bytes]] = field(default_factory=dict)
    """Destinations by MAC, each an address."""
    bridge: set[bytes] = field(default_factory=set)
    refuse: dict[bytes, int] = field(default_factory=dict)
    """Errors for the device's row of a MAC."""
    refuse_removal: dict[bytes, int] = field(default_factory=dict)
    losing: bool = False
    """Whether the answers do not fit into the socket."""
    sends: list[int] = field(default_factory=list)
    """How many messages each send held."""
    now: float = 0.0
    send_time: float = 0.0
    free: threading.Event = field(default_factory=threading.Event)
    """Whether nobody else holds the lock that writing needs."""
    waiting: threading.Event = field(default_factory=threading.Event)
    """Whether somebody waits for that lock."""
    answers: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free.set()

    def send(self, data: bytes) -> int:
        self.waiting.set()
        assert self.free.wait(PATIENCE)
        self.now += self.send_time
        count, at = 0, 0
        while at < len(data):
            (length,) = struct.unpack_from("=I", data, at)
            self._handle(data[at : at + length])
            at, count = at + length, count + 1
        self.sends.append(count)
        return len(data)

    def recv(self, size: int) -> bytes:
        if self.losing:
            self.losing = False
            raise OSError(errno.ENOBUFS, "No buffer space available")
        if not self.answers:
            raise BlockingIOError
        return self.answers.pop(0)

    def close(self) -> None:
        self.answers.clear()

    def _handle(self, message: bytes) -> None:
        kind, flags = struct.unpack_from("=HH", message, 4)
        tables = message[26]
        address = message[32:38]
        error = 0
        if kind == rows.RTM_NEWNEIGH:
            if tables & MASTER:
                self.bridge.add(address)
            error = self.refuse.get(address, 0)
            if not error:
                there = [] if flags & REPLACE else self.device.get(address, [])
                self.device[address] = [*there, message[44:48]]
        elif kind == rows.RTM_DELNEIGH:
            error = self._delete(message, tables, address)
        else:
            self._tell(message, address)
        if error:
            body = struct.pack("=i", -error) + message
            self.answers.append(struct.pack("=IHHII", 16 + len(body), 2, 0, 0, 0) + body)

    def _delete(self, message: bytes, tables: int, address: bytes) -> int:
        if address in self.refuse_removal:
            return self.refuse_removal[address]
        if tables & MASTER:
            if address not in self.bridge:
                return errno.ENOENT
            self.bridge.remove(address)
        if tables & SELF:
            if address not in self.device:
                return errno.ENOENT
            if len(message) > 40 and self.device[address] != [message[44:48]]:
                self.device[address].remove(message[44:48])
            else:
                del self.device[address]
        return 0

    def _tell(self, message: bytes, address: bytes) -> None:
        (sequence,) = struct.unpack_from("=I", message, 8)
        if address in self.device:
            body = message[16:40] + struct.pack("=HHIIII", 20, 3, 0, 3 * rows.TICKS, 0, 0)
            head = struct.pack("=IHHII", 16 + len(body), rows.RTM_NEWNEIGH, 0, sequence, 0)
            self.answers.append(head + body)
        else:
            body = struct.pack("=i", -errno.ENOENT) + message
            self.answers.append(struct.pack("=IHHII", 16 + len(body), 2, 0, 0, 0) + body)


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
    assert (bench.writer.written, bench.writer.removed, bench.writer.queued) == (2, 2, 0)


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
    assert bench.writer.written == 2
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
    assert (bench.writer.written, bench.writer.refused) == (2, 2)


def test_rows_refused_for_different_reasons_are_reported_apart(bench: Bench) -> None:
    bench.kernel.refuse = {mac(1): errno.EINVAL, mac(2): errno.ENOSPC}
    bench.install(ONE, 1, 2)
    bench.settle()
    assert sorted((macs, text) for _, macs, text in bench.refused) == [
        ([mac(1)], "Invalid argument"),
        ([mac(2)], "No space left on device"),
    ]


def test_rows_of_a_device_that_is_gone_are_not_reported(bench: Bench) -> None:
    bench.kernel.refuse = {mac(1): errno.ENODEV}
    bench.kernel.refuse_removal = {mac(2): errno.ENODEV}
    bench.install(ONE, 1)
    bench.remove(2)
    bench.settle()

    assert bench.refused == []
    assert (bench.writer.written, bench.writer.refused, bench.writer.not_removed) == (0, 0, 0)


def test_removing_what_is_not_there_is_no_error(bench: Bench) -> None:
    bench.remove(1)
    bench.settle()
    assert (bench.writer.not_removed, bench.refused) == (0, [])


def test_a_row_that_has_lost_its_half_in_the_bridge_is_removed_too(bench: Bench) -> None:
    bench.install(ONE, 1)
    bench.settle()
    bench.kernel.bridge.clear()
    bench.remove(1)
    bench.settle()
    assert bench.kernel.device == {}


def test_a_removal_that_the_kernel_refuses_is_counted(bench: Bench) -> None:
    bench.kernel.refuse_removal = {mac(1): errno.EPERM}
    bench.install(ONE, 1)
    bench.settle()
    bench.remove(1)
    bench.settle()
    assert (bench.writer.not_removed, bench.writer.removed) == (1, 0)


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


def test_a_send_that_took_long_counts_as_a_stall(bench: Bench) -> None:
    bench.install(ONE, 1)
    bench.settle()
    assert bench.writer.stalls == 0
    bench.kernel.send_time = 2 * STALL
    bench.install(ONE, 2)
    bench.settle()
    assert bench.writer.stalls == 1


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


def test_a_netlink_socket_does_not_block_when_it_is_read() -> None:
    netlink = open_row_socket()
    with pytest.raises(BlockingIOError):
        netlink.recv(100)
    netlink.close()
