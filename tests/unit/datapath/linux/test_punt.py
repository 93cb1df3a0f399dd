"""The punt socket, over the loopback interface."""

import errno
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest

from varpd.datapath.encapsulation import VXLAN
from varpd.datapath.linux import punt
from varpd.datapath.linux.punt import BATCH, RECEIVE_SIZE, PuntSocket

VNETID = 7
HEADER = VXLAN.pack_header(VNETID)
FRAME = bytes(60)
SO_TIMESTAMPNS, SO_RXQ_OVFL = 35, 40

Address = IPv4Address | IPv6Address


class Bench:
    """A punt socket, and the device that sends to it."""

    def __init__(self, address: str) -> None:
        self.ip = ip_address(address)
        self.turns: list[list[bytes]] = []
        self.arrived: list[float] = []
        self.punt = PuntSocket(self.ip, 0, VNETID, VXLAN, self.ip, self.deliver)
        self.device = socket.socket(self.punt.socket.family, socket.SOCK_DGRAM)
        self.device.bind((address, 0))

    def deliver(self, packets: list[bytes], arrived: float) -> None:
        self.turns.append(packets)
        self.arrived.append(arrived)

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            self.device.sendto(packet, self.punt.socket.getsockname())

    def close(self) -> None:
        self.punt.close()
        self.device.close()


@pytest.fixture(params=["127.0.0.1", "::1"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(request.param)
    yield made
    made.close()


def packet(number: int) -> bytes:
    return HEADER + number.to_bytes(4, "big") + FRAME


def test_a_turn_delivers_what_is_there_in_order_with_its_header(bench: Bench) -> None:
    packets = [packet(number) for number in range(5)]
    bench.send(*packets)

    assert bench.punt.read_turn() == 5
    assert bench.turns == [packets]
    assert (bench.punt.received, bench.punt.turns) == (5, 1)


def test_a_turn_without_frames_delivers_nothing(bench: Bench) -> None:
    assert bench.punt.read_turn() == 0
    assert bench.turns == []
    assert bench.punt.turns == 0


def test_a_turn_ends_at_its_budget_and_the_next_goes_on(bench: Bench) -> None:
    packets = [packet(number) for number in range(BATCH + 6)]
    bench.send(*packets)

    assert [bench.punt.read_turn(5), bench.punt.read_turn(), bench.punt.read_turn()] == [
        5,
        BATCH,
        1,
    ]
    assert [one for turn in bench.turns for one in turn] == packets


def test_datagrams_that_are_not_our_devices_are_dropped_and_counted(bench: Bench) -> None:
    bench.send(packet(1))
    bench.punt.read_turn()
    other_network = VXLAN.pack_header(VNETID + 1) + FRAME
    no_frame = HEADER + bytes(13)
    bench.send(other_network, b"", HEADER, no_frame, packet(2))
    if bench.ip.version == 4:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.sendto(packet(3), bench.punt.socket.getsockname())
    bench.send(packet(4))
    bench.punt.read_turn()

    assert bench.turns == [[packet(1)], [packet(2), packet(4)]]
    bench.send(packet(5))
    bench.punt.read_turn()
    assert bench.punt.lost == (5 if bench.ip.version == 4 else 4)


def test_the_largest_frame_arrives_whole_and_a_larger_one_not_at_all(bench: Bench) -> None:
    largest = HEADER + bytes(RECEIVE_SIZE - len(HEADER))
    bench.send(largest + b"\0", largest)
    bench.punt.read_turn()
    assert bench.turns == [[largest]]


def test_the_delay_of_the_first_frame_is_measured(bench: Bench) -> None:
    bench.send(packet(1))
    bench.punt.read_turn()
    assert 0 <= bench.punt.delay < 60


def test_the_buffer_is_as_large_as_the_kernel_lets_it_be(bench: Bench) -> None:
    assert 0 < bench.punt.resize(100_000) <= 100_000


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_in_use_is_an_error_and_leaves_no_socket(address: str) -> None:
    ip = ip_address(address)
    first = punt.bind_punt_socket(ip, 0, HEADER, ip)
    with pytest.raises(OSError, match="Address already in use") as error:
        punt.bind_punt_socket(ip, first.getsockname()[1], HEADER, ip)
    first.close()
    assert error.value.errno == errno.EADDRINUSE


class OldFrames:
    """A socket with frames of given ages in it, and counts of dropped ones."""

    def __init__(self, *frames: tuple[float, int]) -> None:
        self.frames = [(packet(number), *frame) for number, frame in enumerate(frames)]

    def recvmsg(self, size: int, ancillary: int) -> tuple[bytes, list[Any], int, Any]:
        if not self.frames:
            raise BlockingIOError
        data, age, drops = self.frames.pop(0)
        seconds, nanoseconds = divmod(time.time_ns() - int(age * 1e9), 10**9)
        return (
            data,
            [
                (socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", seconds, nanoseconds)),
                (socket.SOL_SOCKET, SO_RXQ_OVFL, struct.pack("=I", drops)),
            ],
            0,
            None,
        )

    def recv(self, size: int) -> bytes:
        return self.recvmsg(size, 0)[0]

    def close(self) -> None:
        pass


def with_old_frames(bench: Bench, *frames: tuple[float, int]) -> None:
    bench.punt.close()
    bench.punt.socket = OldFrames(*frames)  # type: ignore[assignment]


def test_frames_that_waited_too_long_before_the_first_read_are_dropped(bench: Bench) -> None:
    with_old_frames(bench, (100, 0), (2, 0), (0, 0), (0, 0))
    assert bench.punt.read_turn() == 2
    assert bench.turns == [[packet(2), packet(3)]]
    assert bench.punt.stale == 2


def test_a_frame_that_waits_later_on_is_late_but_not_stale(bench: Bench) -> None:
    with_old_frames(bench, (0, 0), (100, 0))
    bench.punt.read_turn(1)
    bench.punt.read_turn(1)
    assert bench.turns == [[packet(0)], [packet(1)]]
    assert bench.punt.stale == 0
    assert bench.punt.delay > 99


def test_nothing_but_stale_frames_is_an_empty_turn(bench: Bench) -> None:
    with_old_frames(bench, (100, 0), (100, 0))
    assert bench.punt.read_turn() == 0
    assert bench.turns == []


def test_the_kernels_count_of_lost_frames_may_wrap_round(bench: Bench) -> None:
    with_old_frames(bench, (0, 0xFFFFFFFE), (0, 1))
    bench.punt.read_turn(1)
    before = bench.punt.lost
    bench.punt.read_turn(1)
    assert (before, bench.punt.lost) == (0xFFFFFFFE, 0xFFFFFFFE + 3)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_is_bound_while_somebody_has_the_port(address: str) -> None:
    ip = ip_address(address)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as other:
        other.bind((address, 0))
        port = other.getsockname()[1]
        assert punt.is_bound(ip, port)
    assert not punt.is_bound(ip, port)


def test_an_address_that_is_not_there_is_not_bound() -> None:
    assert not punt.is_bound(ip_address("2001:db8::1"), 789)


def test_what_waits_in_a_kept_socket_comes_before_what_is_still_to_come(bench: Bench) -> None:
    bench.send(packet(1), packet(2))
    kept = bench.punt.socket.dup()
    bench.punt.close()

    again = PuntSocket(bench.ip, 0, VNETID, VXLAN, bench.ip, bench.deliver, kept)
    bench.device.sendto(packet(3), kept.getsockname())
    try:
        assert again.socket is kept
        assert again.read_turn(1) == 1
        assert again.read_turn() == 1
        assert again.read_turn() == 1
        assert again.read_turn() == 0
    finally:
        again.close()
    assert bench.turns == [[packet(1)], [packet(2)], [packet(3)]]
    assert again.received == 3


def test_what_waited_too_long_in_a_kept_socket_is_counted_and_dropped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.send(packet(1), packet(2))
    kept = bench.punt.socket.dup()
    bench.punt.close()

    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + 2)
    again = PuntSocket(bench.ip, 0, VNETID, VXLAN, bench.ip, bench.deliver, kept)
    again.close()
    assert (again.waiting, again.stale) == ([], 2)


def test_a_kept_socket_of_another_overlay_brings_none_of_its_frames(bench: Bench) -> None:
    bench.send(packet(1))
    kept = bench.punt.socket.dup()
    bench.punt.close()

    other = PuntSocket(bench.ip, 0, VNETID + 1, VXLAN, bench.ip, bench.deliver, kept)
    bench.device.sendto(packet(2), kept.getsockname())
    try:
        assert (other.waiting, other.read_turn()) == ([], 0)
    finally:
        other.close()


def test_frames_read_by_others_wait_within_bounds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(punt, "WAITING", 3)
    bench.punt.wait([packet(1), packet(2)])
    bench.punt.wait([packet(3), packet(4)])
    bench.punt.wait([packet(5)])
    assert bench.punt.read_turn() == 3
    assert bench.turns == [[packet(1), packet(2), packet(3)]]


def test_it_is_told_when_the_first_frame_of_a_turn_came(bench: Bench) -> None:
    before = time.monotonic()
    bench.send(packet(1))
    after = time.monotonic()
    time.sleep(0.02)
    bench.send(packet(2))
    bench.punt.read_turn()
    # The kernel stamps by another clock, whose distance to this one is known to a little less.
    assert before - 0.005 <= bench.arrived[0] <= after + 0.005


def test_when_frames_came_that_others_read_is_not_known(bench: Bench) -> None:
    bench.punt.wait([packet(1)])
    bench.punt.read_turn()
    assert bench.arrived == [0.0]


def test_what_is_expected_is_seen_and_delivered_to_nobody(bench: Bench) -> None:
    seen: list[str] = []
    probe = packet(7)
    with bench.punt.expecting(probe, lambda: seen.append("it")):
        bench.send(packet(1), probe, packet(2), probe)
        bench.punt.read_turn()
        bench.send(probe)
        bench.punt.read_turn()
    assert seen == ["it"] * 3
    assert bench.turns == [[packet(1), packet(2)]]
    bench.send(probe)
    bench.punt.read_turn()
    assert bench.turns[1:] == [[probe]]
