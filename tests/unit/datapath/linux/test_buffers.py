"""Shares of the kernel's memory."""

from os import sysconf
from pathlib import Path
from resource import getpagesize

import pytest

from varpd.datapath.linux.buffers import BASE, CALM, LEAST, MOST, PuntBuffers, total


class Socket:
    """Grants up to a limit, as the kernel does without root."""

    def __init__(self, limit: int = 1 << 40) -> None:
        self.size = 0
        self.limit = limit

    def resize(self, size: int) -> int:
        self.size = min(size, self.limit)
        return self.size


def test_a_socket_begins_with_the_base() -> None:
    buffers, socket = PuntBuffers(1 << 30), Socket()
    assert buffers.open("blue", socket) == 0
    assert socket.size == BASE


def test_what_the_kernel_does_not_grant_is_told() -> None:
    assert PuntBuffers(1 << 30).open("blue", Socket(limit=1000)) == BASE - 1000


def test_a_socket_that_loses_frames_gets_more_up_to_a_bound_and_gives_it_back() -> None:
    buffers, socket = PuntBuffers(1 << 30), Socket()
    buffers.open("blue", socket)
    for _ in range(10):
        buffers.lost("blue", 100.0)
    assert socket.size == MOST
    assert buffers.calm(100.0 + CALM - 1) == pytest.approx(1)
    assert socket.size == MOST
    assert buffers.calm(100.0 + CALM) is None
    assert socket.size == BASE


def test_many_sockets_share_half_of_the_total() -> None:
    buffers = PuntBuffers(8 * BASE)
    sockets = [Socket() for _ in range(16)]
    for number, socket in enumerate(sockets):
        buffers.open(str(number), socket)
    assert {socket.size for socket in sockets} == {BASE // 4}


def test_what_is_lost_beyond_the_total_gets_nothing() -> None:
    buffers = PuntBuffers(8 * BASE)
    sockets = [Socket() for _ in range(4)]
    for number, socket in enumerate(sockets):
        buffers.open(str(number), socket)
    for _ in range(10):
        buffers.lost("0", 0.0)
    assert sum(socket.size for socket in sockets) == 8 * BASE
    buffers.lost("1", 0.0)
    assert sockets[1].size == BASE


def test_a_new_socket_gets_its_part_though_another_has_taken_all_that_was_free() -> None:
    buffers, greedy, new = PuntBuffers(4 * BASE), Socket(), Socket()
    buffers.open("greedy", greedy)
    for _ in range(10):
        buffers.lost("greedy", 0.0)
    assert greedy.size == 4 * BASE
    buffers.open("new", new)
    assert new.size == BASE
    assert greedy.size + new.size <= 4 * BASE


def test_the_part_of_those_that_close_goes_to_the_others() -> None:
    buffers, socket = PuntBuffers(2 * BASE), Socket()
    buffers.open("blue", socket)
    buffers.open("red", Socket())
    assert socket.size == BASE // 2
    buffers.close("red")
    buffers.close("red")
    buffers.lost("blue", 0.0)
    assert buffers.size("blue") == BASE
    buffers.lost("red", 0.0)


def test_a_socket_keeps_the_least_however_many_there_are() -> None:
    buffers, socket = PuntBuffers(0), Socket()
    buffers.open("blue", socket)
    assert socket.size == LEAST


def test_full_buffers_with_their_records_take_a_quarter_of_what_the_kernel_allows(
    tmp_path: Path,
) -> None:
    udp_mem = tmp_path / "udp_mem"
    udp_mem.write_text("1000\t2000\t8000\n")
    assert total(udp_mem) * 2 == 8000 * getpagesize() / 4


def test_where_the_kernel_does_not_say_its_default_is_taken(tmp_path: Path) -> None:
    physical = sysconf("SC_PHYS_PAGES") * getpagesize()
    assert physical / 50 < total(tmp_path / "udp_mem") < physical / 40
