"""What is proved before an overlay is said to work."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import cast

import pytest

from support.fake_kernel import FakeKernel
from support.linux_host import make_link
from varpd.datapath.base import DatapathError, DatapathErrorCode
from varpd.datapath.encapsulation import VXLAN
from varpd.datapath.linux import names, proofs, tables
from varpd.datapath.linux.netlink import LocalAddress
from varpd.datapath.linux.punt import PuntSocket

LINK = make_link(listen_ip="127.0.0.1")
LOOPBACK = ip_address("127.0.0.1")


@pytest.fixture
def punt(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket on the loopback interface, at a port that needs no privilege."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind((str(LOOPBACK), 0))
        opened.setblocking(False)
        monkeypatch.setattr(names, "PUNT_PORT", opened.getsockname()[1])
        yield opened


def test_a_datagram_that_arrives_is_proof_whatever_else_is_there(punt: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for number in range(3):
            other.sendto(b"frame %d" % number, punt.getsockname())
    others = proofs.prove_punt_path(punt, LOOPBACK, LINK)
    assert others == [b"frame 0", b"frame 1", b"frame 2"]
    assert punt.gettimeout() == 0.0
    with pytest.raises(BlockingIOError):
        punt.recv(100)


class Leaky:
    """A socket that loses the first datagram that comes."""

    def __init__(self, inner: socket.socket) -> None:
        self.inner = inner
        self.lost = 0

    def recv(self, size: int) -> bytes:
        data = self.inner.recv(size)
        if not self.lost:
            self.lost += 1
            return self.inner.recv(size)
        return data

    def gettimeout(self) -> float | None:
        return self.inner.gettimeout()

    def settimeout(self, timeout: float | None) -> None:
        self.inner.settimeout(timeout)


def test_one_that_does_not_arrive_is_sent_again(
    punt: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "INTERVAL", 0.01)
    leaky = Leaky(punt)
    proofs.prove_punt_path(cast(socket.socket, leaky), LOOPBACK, LINK)
    assert leaky.lost == 1


def test_one_that_never_arrives_is_a_closed_path(
    punt: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "PATIENCE", 0.02)
    monkeypatch.setattr(proofs, "INTERVAL", 0.01)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind((str(LOOPBACK), 0))
        with pytest.raises(DatapathError) as refused:
            proofs.prove_punt_path(elsewhere, LOOPBACK, LINK)
    assert refused.value.code is DatapathErrorCode.PUNT_PATH_CLOSED


def test_a_source_that_cannot_be_had_is_a_closed_path(punt: socket.socket) -> None:
    with pytest.raises(DatapathError) as refused:
        proofs.prove_punt_path(punt, LOOPBACK, make_link(listen_ip="203.0.113.1"))
    assert refused.value.code is DatapathErrorCode.PUNT_PATH_CLOSED


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> set[LocalAddress]:
    """The addresses of this host."""
    found: set[LocalAddress] = set()
    monkeypatch.setattr(tables, "local_addresses", lambda: found)
    return found


@pytest.mark.usefixtures("addresses")
def test_an_address_of_this_host_will_do_and_another_will_not() -> None:
    kernel = FakeKernel()
    proofs.check_listen_address(kernel, make_link(listen_ip="192.0.2.1"))
    with pytest.raises(DatapathError) as refused:
        proofs.check_listen_address(kernel, make_link(listen_ip="192.0.2.2"))
    assert refused.value.code is DatapathErrorCode.NO_SUCH_ADDRESS


@pytest.mark.parametrize(
    ("kind", "code"),
    [("vrf", DatapathErrorCode.UNSUPPORTED), ("bridge", DatapathErrorCode.NO_SUCH_ADDRESS)],
)
def test_an_address_in_a_vrf_is_named(
    addresses: set[LocalAddress], kind: str, code: DatapathErrorCode
) -> None:
    kernel = FakeKernel()
    vrf = kernel.put("red", kind)
    holder = kernel.put("eth1", "", master=vrf.index)
    addresses.add(LocalAddress(holder.index, 24, ip_address("192.0.2.9").packed))
    with pytest.raises(DatapathError) as refused:
        proofs.check_listen_address(kernel, make_link(listen_ip="192.0.2.9"))
    assert refused.value.code is code


def open_punt(deliver: Callable[[list[bytes]], None]) -> PuntSocket:
    def take(packets: list[bytes], _: float) -> None:
        deliver(packets)

    return PuntSocket(LOOPBACK, 0, LINK.vnetid, VXLAN, LOOPBACK, take)


async def test_the_way_can_be_tried_while_frames_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[list[bytes]] = []
    punt = open_punt(turns.append)
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(names, "PUNT_PORT", punt.socket.getsockname()[1])
    loop.add_reader(punt.fileno(), punt.read_turn)
    try:
        assert await proofs.try_punt_path(punt, LOOPBACK, LINK) is None
    finally:
        loop.remove_reader(punt.fileno())
        punt.close()
    assert turns == []


async def test_what_was_sent_again_reaches_nobody_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "INTERVAL", 0.05)
    turns: list[list[bytes]] = []
    punt = open_punt(turns.append)
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(names, "PUNT_PORT", punt.socket.getsockname()[1])

    def read_one() -> None:
        punt.read_turn(1)

    # Several are on their way before one is read.
    loop.call_later(0.12, loop.add_reader, punt.fileno(), read_one)
    try:
        assert await proofs.try_punt_path(punt, LOOPBACK, LINK) is None
    finally:
        loop.remove_reader(punt.fileno())
        punt.read_turn()
        punt.close()
    assert turns == []


async def test_a_way_that_is_closed_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proofs, "PATIENCE", 0.02)
    monkeypatch.setattr(proofs, "INTERVAL", 0.01)
    punt = open_punt(lambda _: None)
    monkeypatch.setattr(names, "PUNT_PORT", punt.socket.getsockname()[1])
    try:  # nobody reads, as if nothing came
        said = await proofs.try_punt_path(punt, LOOPBACK, LINK)
    finally:
        punt.close()
    assert said is not None
    assert "a firewall drops it" in said


async def test_an_address_that_has_gone_is_told_in_the_kernels_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proofs, "PATIENCE", 0.02)
    monkeypatch.setattr(proofs, "INTERVAL", 0.01)
    punt = open_punt(lambda _: None)
    try:
        elsewhere = make_link(listen_ip="203.0.113.7")
        said = await proofs.try_punt_path(punt, LOOPBACK, elsewhere)
    finally:
        punt.close()
    assert said is not None
    assert "Cannot assign requested address" in said
