"""Reading punted frames on the event loop."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from support.waiting import until
from varpd.datapath.linux import reader as module
from varpd.datapath.linux.buffers import BASE
from varpd.datapath.linux.reader import PuntReader


class Punts:
    """A socket whose kernel says what a test wants."""

    def __init__(self, granted: int = 1 << 40) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.granted = granted
        self.sizes: list[int] = []
        self.lost = 0
        self.loses = 0
        self.read: list[bytes] = []
        self.waiting: list[bytes] = []

    def fileno(self) -> int:
        return self.near.fileno()

    def resize(self, size: int) -> int:
        self.sizes.append(min(size, self.granted))
        return self.sizes[-1]

    def read_turn(self, budget: int) -> int:
        assert budget >= 1
        if self.waiting:
            self.read.append(self.waiting.pop(0))
            return 1
        self.read.append(self.near.recv(100))
        self.lost += self.loses
        return 1

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def punts() -> Iterator[Punts]:
    made = Punts()
    yield made
    made.close()


async def test_what_comes_is_read_until_the_overlay_goes(punts: Punts) -> None:
    reader = PuntReader(1 << 30)
    reader.add("blue", punts)
    punts.far.send(b"1")
    await until(lambda: punts.read == [b"1"])
    reader.remove("blue", punts)
    punts.far.send(b"2")
    await asyncio.sleep(0)
    assert punts.read == [b"1"]


async def test_a_socket_that_loses_frames_gets_more_room_and_gives_it_back(
    punts: Punts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALM", 0.0)
    monkeypatch.setattr("varpd.datapath.linux.buffers.CALM", 0.0)
    reader = PuntReader(1 << 30)
    reader.add("blue", punts)
    punts.loses = 3
    punts.far.send(b"1")
    await until(lambda: punts.sizes == [BASE, 2 * BASE, BASE])
    reader.remove("blue", punts)
    reader.stop()


async def test_a_kernel_that_grants_less_is_told_of(punts: Punts) -> None:
    punts.granted = 1000
    reader = PuntReader(1 << 30)
    with capture_logs() as said:
        reader.add("blue", punts)
    assert said[0]["missing_bytes"] == BASE - 1000
    assert "rmem_max" in said[0]["event"]
    reader.remove("blue", punts)


async def test_stopping_leaves_no_timer(punts: Punts) -> None:
    reader = PuntReader(1 << 30)
    reader.add("blue", punts)
    punts.loses = 1
    punts.far.send(b"1")
    await until(lambda: punts.read == [b"1"])
    reader.stop()
    reader.stop()
    reader.remove("blue", punts)


async def test_frames_that_came_before_are_read_though_nothing_more_comes(punts: Punts) -> None:
    punts.waiting = [b"1", b"2", b"3"]
    reader = PuntReader(1 << 30)
    reader.add("blue", punts)
    await until(lambda: punts.read == [b"1", b"2", b"3"])
    punts.far.send(b"4")
    await until(lambda: punts.read == [b"1", b"2", b"3", b"4"])
    reader.remove("blue", punts)


async def test_an_overlay_that_goes_is_not_read_any_more(punts: Punts) -> None:
    punts.waiting = [b"1", b"2", b"3"]
    reader = PuntReader(1 << 30)
    reader.add("blue", punts)
    reader.remove("blue", punts)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert punts.read == [b"1"]


async def test_what_a_buffer_has_and_lacks_is_told(punts: Punts) -> None:
    made = PuntReader(1 << 30)
    punts.granted = BASE - 100
    with capture_logs():
        made.add("blue", punts)
    assert made.buffer("blue") == (BASE - 100, 100)
    made.remove("blue", punts)
