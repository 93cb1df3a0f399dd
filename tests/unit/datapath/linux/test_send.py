"""Sending frames, over the loopback interface, whose MTU is 65536."""

import errno
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP

from support.scapy_oracle import IP, Ether, Raw
from varpd.datapath.encapsulation import VXLAN
from varpd.datapath.linux import send
from varpd.datapath.linux.send import RUNS_SINGLY, Sender
from varpd.provider.answers import Target

VNETID = 7
HEADER = VXLAN.pack_header(VNETID)
SO_NO_CHECK = 11
LOOPBACK = 65536


class Vtep:
    """Where frames arrive."""

    def __init__(self, address: str) -> None:
        self.ip = ip_address(address)
        family = socket.AF_INET if self.ip.version == 4 else socket.AF_INET6
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(5)
        self.socket.bind((address, 0))
        self.port: int = self.socket.getsockname()[1]
        self.target = Target(self.ip, self.port)

    def receive(self, count: int) -> list[bytes]:
        return [self.socket.recv(65536) for _ in range(count)]


@pytest.fixture(params=["127.0.0.1", "::1"])
def vtep(request: pytest.FixtureRequest) -> Iterator[Vtep]:
    made = Vtep(request.param)
    yield made
    made.socket.close()


@pytest.fixture
def sender(vtep: Vtep) -> Iterator[Sender]:
    made = Sender(vtep.ip, vtep.port, VXLAN, VNETID, lambda _: LOOPBACK)
    yield made
    made.close()


class RefusingSocket:
    """Refuses with the errors that it is given, then takes everything."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.took: list[bytes] = []
        self.runs = 0

    def sendto(self, packet: bytes, address: Any) -> int:
        return self._take([packet])

    def sendmsg(self, packets: Sequence[bytes], ancillary: Any, flags: int, address: Any) -> int:
        self.runs += 1
        return self._take(packets)

    def _take(self, packets: Sequence[bytes]) -> int:
        if self.errors:
            raise OSError(self.errors.pop(0), "refused")
        self.took += packets
        return sum(map(len, packets))

    def close(self) -> None:
        pass


def refuse(sender: Sender, *errors: int) -> RefusingSocket:
    sender.socket.close()
    fake = RefusingSocket(*errors)
    sender.socket = fake  # type: ignore[assignment]
    return fake


def packet(number: int, size: int = 100) -> bytes:
    return HEADER + number.to_bytes(4, "big") + bytes(size - 4)


def test_frames_arrive_as_they_are_in_order(sender: Sender, vtep: Vtep) -> None:
    packets = [packet(number, 60 + number % 3) for number in range(50)]
    sender.resend(vtep.target, packets)

    assert vtep.receive(50) == packets
    assert sender.sent == 50


def test_frames_of_one_size_arrive_each_by_itself(sender: Sender, vtep: Vtep) -> None:
    packets = [packet(number) for number in range(150)] + [packet(150, 20)]
    sender.resend(vtep.target, packets)

    assert vtep.receive(151) == packets
    assert sender.singly == 0


def test_a_frame_comes_from_the_listen_address(sender: Sender, vtep: Vtep) -> None:
    sender.resend(vtep.target, [packet(1)])
    _, address = vtep.socket.recvfrom(100)
    assert address[0] == str(vtep.ip)


def test_an_injected_frame_goes_to_our_own_vtep_behind_a_header(sender: Sender, vtep: Vtep) -> None:
    sender.inject(b"frame")

    assert vtep.receive(1) == [HEADER + b"frame"]
    assert (sender.injected, sender.sent) == (1, 0)


def test_nothing_to_send_is_no_error(sender: Sender, vtep: Vtep) -> None:
    sender.resend(vtep.target, [])
    assert sender.sent == 0


def test_a_kernel_without_segmentation_gets_the_frames_singly(sender: Sender, vtep: Vtep) -> None:
    # A socket that sends no checksums cannot segment (udp_send_skb in udp.c): EINVAL.
    sender.socket.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    if vtep.ip.version == 6:
        sender.socket.setsockopt(socket.IPPROTO_UDP, 101, 1)
        vtep.socket.setsockopt(socket.IPPROTO_UDP, 102, 1)
    packets = [packet(number) for number in range(5)]
    sender.resend(vtep.target, packets)

    assert vtep.receive(5) == packets
    assert sender.singly == RUNS_SINGLY
    assert sender.sent == 5


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL])
def test_a_refused_run_is_sent_singly_and_so_are_many_before_one_is_tried_again(
    sender: Sender, vtep: Vtep, number: int
) -> None:
    fake = refuse(sender, number)
    packets = [packet(1), packet(2)]
    sender.resend(vtep.target, packets)
    assert fake.took == packets

    for left in range(RUNS_SINGLY, 0, -1):
        assert sender.singly == left
        sender.resend(vtep.target, packets)
    assert fake.runs == 1
    sender.resend(vtep.target, packets)
    assert fake.runs == 2


def test_a_run_too_big_for_the_path_is_sent_singly_this_once(sender: Sender, vtep: Vtep) -> None:
    fake = refuse(sender, errno.EMSGSIZE)
    sender.resend(vtep.target, [packet(1), packet(2)])

    assert len(fake.took) == 2
    assert sender.singly == 0


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
def test_frames_without_room_are_dropped_and_counted(
    sender: Sender, vtep: Vtep, number: int
) -> None:
    fake = refuse(sender, number, number)
    sender.resend(vtep.target, [packet(1), packet(2)])
    sender.resend(vtep.target, [packet(3)])

    assert (sender.dropped, sender.sent, fake.took) == (3, 0, [])


def test_an_error_left_by_an_earlier_frame_costs_nothing(sender: Sender, vtep: Vtep) -> None:
    fake = refuse(sender, errno.ECONNREFUSED)
    sender.resend(vtep.target, [packet(1)])

    assert fake.took == [packet(1)]
    assert (sender.sent, sender.failed) == (1, 0)


def test_a_frame_that_the_kernel_refuses_is_counted_and_the_next_one_sent(
    sender: Sender, vtep: Vtep
) -> None:
    fake = refuse(sender, errno.EHOSTUNREACH, errno.EHOSTUNREACH, errno.EPERM)
    sender.resend(vtep.target, [packet(1)])
    sender.resend(vtep.target, [packet(2)])
    sender.resend(vtep.target, [packet(3)])

    assert fake.took == [packet(3)]
    assert (sender.sent, sender.failed) == (1, 2)


def test_a_frame_that_cannot_be_injected_is_counted(sender: Sender) -> None:
    refuse(sender, errno.EAGAIN)
    sender.inject(b"frame")
    assert (sender.injected, sender.not_injected) == (0, 1)


def big_ping(size: int, flags: str) -> bytes:
    guest, remote = "02:00:00:00:00:01", "02:00:00:00:00:02"
    inner = IP(src="10.1.0.1", dst="10.1.0.2", flags=flags) / ICMP() / Raw(bytes(size - 28))
    return bytes(Ether(src=guest, dst=remote) / inner)


def narrow(vtep: Vtep) -> Sender:
    """A sender to whom the path has an MTU of 1500."""
    return Sender(vtep.ip, vtep.port, VXLAN, VNETID, lambda _: 1500)


def test_a_packet_too_big_for_the_path_is_answered_instead_of_sent(vtep: Vtep) -> None:
    sender = narrow(vtep)
    fits = 1450 if vtep.ip.version == 4 else 1430
    sender.resend(vtep.target, [HEADER + big_ping(fits + 1, "DF"), HEADER + big_ping(fits, "DF")])
    told, sent = vtep.receive(2)
    sender.close()

    assert told[:8] == HEADER
    assert Ether(told[8:])[ICMP].nexthopmtu == fits
    assert sent == HEADER + big_ping(fits, "DF")
    assert (sender.answered, sender.sent) == (1, 1)


def test_a_packet_too_big_that_may_be_cut_is_sent(vtep: Vtep) -> None:
    sender = narrow(vtep)
    packets = [HEADER + big_ping(1500, ""), HEADER + big_ping(1500, "")]
    sender.resend(vtep.target, packets)
    received = vtep.receive(2)
    sender.close()

    assert received == packets
    assert (sender.answered, sender.sent) == (0, 2)


def test_the_path_is_asked_for_the_target(vtep: Vtep) -> None:
    asked: list[IPv4Address | IPv6Address] = []

    def path_mtu(address: IPv4Address | IPv6Address) -> int:
        asked.append(address)
        return LOOPBACK

    sender = Sender(vtep.ip, vtep.port, VXLAN, VNETID, path_mtu)
    sender.resend(vtep.target, [packet(1), packet(2)])
    sender.close()
    assert asked == [vtep.ip]


def test_the_outer_packet_may_be_cut(sender: Sender, vtep: Vtep) -> None:
    if vtep.ip.version == 4:
        assert sender.socket.getsockopt(socket.IPPROTO_IP, 10) == 0
    else:
        assert sender.socket.getsockopt(socket.IPPROTO_IPV6, 23) == 0


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(OSError, match="Cannot assign requested address"):
        Sender(ip_address("192.0.2.1"), 4789, VXLAN, VNETID, lambda _: 1500)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=200))
def test_runs_cover_all_packets_within_the_bounds(sizes: list[int]) -> None:
    packets = [bytes(size) for size in sizes]
    start = 0
    while start < len(packets):
        end = send.run_end(packets, start)
        run = sizes[start:end]
        assert run
        assert len(run) <= send.RUN_FRAMES
        assert len(run) == 1 or sum(run) <= send.RUN_BYTES
        assert set(run[:-1]) <= {run[0]}
        assert run[-1] <= run[0]
        start = end


def test_a_run_is_as_long_as_it_may_be() -> None:
    assert send.run_end([bytes(100)] * 100, 0) == 64
    assert send.run_end([bytes(8000)] * 100, 0) == 8
    assert send.run_end([bytes(100), bytes(100), bytes(50), bytes(50)], 0) == 3
    assert send.run_end([bytes(50), bytes(100)], 0) == 1
    assert send.run_end([bytes(66_000), bytes(100)], 0) == 1
