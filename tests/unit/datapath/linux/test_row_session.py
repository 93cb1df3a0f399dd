"""What the row writer's thread says to the kernel, a fake one with two tables."""

import errno
from ipaddress import ip_address

import pytest

from support.row_kernel import FakeKernel
from varpd.datapath.linux.lanes import BATCH, Batch, GroupChange
from varpd.datapath.linux.row_session import STALL, RowCounters, RowSession, open_row_socket
from varpd.datapath.linux.rows import Table
from varpd.provider.answers import Target

A, B = b"\x0a" * 4, b"\x0b" * 4
ONE, TWO = (Target(ip_address(address), 4789) for address in (A, B))
TABLE = Table(1)
GROUP = bytes.fromhex("01005e000001")


def mac(number: int) -> bytes:
    return b"\x02" + number.to_bytes(5, "big")


class Bench:
    """A session with a fake kernel."""

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.counters = RowCounters()
        self.refused: list[tuple[str, list[bytes], str]] = []
        self.session = RowSession(
            self.kernel,
            self.counters,
            lambda *refusal: self.refused.append(refusal),
            lambda: self.kernel.now,
        )

    def install(self, target: Target, *numbers: int, table: Table = TABLE) -> None:
        macs = [mac(number) for number in numbers]
        self.session.write(Batch("blue", table, {target: macs}, []))

    def remove(self, *numbers: int) -> None:
        self.session.write(Batch("blue", TABLE, {}, [mac(number) for number in numbers]))

    def replicate(self, added: list[Target], removed: list[Target], *, whole: bool = False) -> bool:
        return self.session.change_group(GroupChange("blue", TABLE, GROUP, added, removed, whole))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_batch_is_one_send(bench: Bench) -> None:
    bench.session.write(Batch("blue", TABLE, {ONE: [mac(1)], TWO: [mac(2), mac(3)]}, [mac(4)]))
    assert bench.kernel.sends == [4, 2]  # The last was not there, so its halves are made sure of.
    assert bench.kernel.device == {mac(1): [A], mac(2): [B], mac(3): [B]}
    assert bench.kernel.bridge == {mac(1), mac(2), mac(3)}
    assert (bench.counters.written, bench.counters.removed) == (3, 1)


def test_a_refused_row_is_removed_from_both_tables_and_reported(bench: Bench) -> None:
    bench.install(ONE, 1)
    bench.kernel.refuse = {mac(1): errno.EINVAL, mac(2): errno.EINVAL, mac(3): errno.ENOSPC}
    bench.install(TWO, 1, 2, 3, 4)

    assert bench.refused == [
        ("blue", [mac(1), mac(2)], "Invalid argument"),
        ("blue", [mac(3)], "No space left on device"),
    ]
    assert bench.kernel.device == {mac(4): [B]}
    assert bench.kernel.bridge == {mac(4)}
    assert (bench.counters.written, bench.counters.refused) == (2, 3)


def test_rows_of_a_device_that_is_gone_are_not_reported(bench: Bench) -> None:
    bench.kernel.refuse = {mac(1): errno.ENODEV}
    bench.kernel.refuse_removal = {mac(2): errno.ENODEV}
    bench.install(ONE, 1)
    bench.remove(2)
    assert bench.refused == []
    assert (bench.counters.written, bench.counters.refused, bench.counters.not_removed) == (0, 0, 0)


def test_removing_what_is_not_there_is_no_error(bench: Bench) -> None:
    bench.remove(1)
    assert (bench.counters.not_removed, bench.refused) == (0, [])


def test_a_row_that_has_lost_its_half_in_the_bridge_is_removed_too(bench: Bench) -> None:
    bench.install(ONE, 1)
    bench.kernel.bridge.clear()
    bench.remove(1)
    assert bench.kernel.device == {}


def test_a_row_that_has_lost_its_half_in_the_device_is_removed_too(bench: Bench) -> None:
    bench.install(ONE, 1)
    bench.kernel.device.clear()
    bench.remove(1)
    assert bench.kernel.bridge == set()


def test_a_removal_that_the_kernel_refuses_is_counted(bench: Bench) -> None:
    bench.install(ONE, 1)
    bench.kernel.refuse_removal = {mac(1): errno.EPERM}
    bench.remove(1)
    assert (bench.counters.not_removed, bench.counters.removed) == (1, 0)


def test_answers_that_were_lost_count_as_a_refusal_of_the_whole_batch(bench: Bench) -> None:
    bench.kernel.losing = True
    bench.install(ONE, 1, 2)
    assert [macs for _, macs, _ in bench.refused] == [[mac(1), mac(2)]]
    assert (bench.kernel.device, bench.kernel.bridge) == ({}, set())


def test_a_group_mac_gets_its_new_destinations_before_it_loses_the_old(bench: Bench) -> None:
    assert bench.replicate([ONE], [])
    assert bench.replicate([TWO], [ONE])
    assert bench.kernel.device == {GROUP: [B]}
    assert bench.kernel.bridge == set()
    assert bench.replicate([], [TWO], whole=True)
    assert bench.kernel.device == {}
    assert (bench.counters.written, bench.counters.removed) == (2, 2)


def test_a_refused_group_mac_has_no_destination_and_is_reported(bench: Bench) -> None:
    bench.replicate([ONE], [])
    bench.kernel.refuse = {GROUP: errno.EINVAL}
    assert not bench.replicate([TWO], [])
    assert bench.refused == [("blue", [GROUP], "Invalid argument")]
    assert bench.kernel.device == {}


def test_usage_is_asked_for_in_batches_and_keeps_its_order(bench: Bench) -> None:
    bench.install(ONE, 1, BATCH + 1)
    idle = bench.session.usage(TABLE, [mac(number) for number in range(BATCH + 2)])
    assert [at for at, seconds in enumerate(idle) if seconds == 3.0] == [1, BATCH + 1]
    assert idle.count(None) == BATCH
    assert bench.kernel.sends[1:] == [BATCH, 2]


def test_a_send_that_took_long_counts_as_a_stall(bench: Bench) -> None:
    bench.install(ONE, 1)
    assert bench.counters.stalls == 0
    bench.kernel.send_time = 2 * STALL
    bench.install(ONE, 2)
    assert bench.counters.stalls == 1


def test_a_netlink_socket_does_not_block_when_it_is_read() -> None:
    netlink = open_row_socket()
    with pytest.raises(BlockingIOError):
        netlink.recv(100)
    netlink.close()
