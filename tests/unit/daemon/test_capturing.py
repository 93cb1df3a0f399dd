"""Captures: which frames, how much of them, and what is lost."""

import asyncio
from ipaddress import IPv4Address

import pytest

from varpd.control.captures import Capture
from varpd.control.streams import Stream
from varpd.daemon import capturing
from varpd.daemon.capturing import Captures, CapturesFull
from varpd.daemon.runner import Observer
from varpd.engine.commands import Inject, Install, InstallReplicas, Resend
from varpd.engine.events import FramesPunted, OverlayRemoved
from varpd.net import pcapng
from varpd.net.pcapng import Packet, Splitter, Statistics
from varpd.provider.answers import Target

HEADER = b"HEADROOM"
FRAME = b"\2\0\0\0\0\2\2\0\0\0\0\1\x88\xb5" + bytes(46)
TARGET = Target(ip=IPv4Address("192.0.2.2"), port=4789)


class Bench:
    def __init__(self, wanted: Capture | None = None) -> None:
        self.observers: list[Observer] = []
        self.captures = Captures(self.observers)
        self.stream = self.begin(wanted)

    def begin(self, wanted: Capture | None = None) -> Stream:
        return self.captures.begin("blue", len(HEADER), wanted or Capture())

    def happens(self, overlay: str = "blue") -> None:
        """Let a frame be punted, sent on and answered."""
        for observer in self.observers:
            observer.handled(
                FramesPunted(overlay, [HEADER + FRAME]),
                [
                    Install(overlay, TARGET, [FRAME[:6]], [HEADER + FRAME]),
                    Install(overlay, TARGET, [FRAME[:6]], []),
                    Resend(overlay, TARGET, [HEADER + FRAME]),
                    InstallReplicas(overlay, b"\3\0\0\0\0\1", (TARGET,)),
                    Inject(overlay, [FRAME]),
                ],
                0.0,
            )

    async def read(self) -> list[Packet | Statistics | None]:
        """End the capture and return its blocks."""
        self.stream.close()
        data = b"".join([chunk async for chunk in self.stream.chunks])
        return [pcapng.parse(block) for block in Splitter().feed(data)]


async def test_frames_are_captured_by_kind_without_the_tunnels_header() -> None:
    bench = Bench()
    bench.happens()
    bench.happens("red")
    *heads, punted, first, second, injected, _, _, _ = await bench.read()
    assert heads == [None] * 4
    assert [type(item) for item in (punted, first, second, injected)] == [Packet] * 4
    for packet, interface, comment in (
        (punted, 0, ""),
        (first, 1, f"to {TARGET}"),
        (second, 1, f"to {TARGET}"),
        (injected, 2, ""),
    ):
        assert isinstance(packet, Packet)
        assert (packet.interface, packet.comment) == (interface, comment)
        assert (packet.data, packet.length) == (FRAME, 60)


async def test_only_what_is_wanted_is_captured_and_as_much_of_it() -> None:
    bench = Bench(Capture(("injected",), snaplen=14))
    bench.happens()
    _, _, packet, statistics = await bench.read()
    assert isinstance(packet, Packet)
    assert (packet.interface, packet.data, packet.length) == (0, FRAME[:14], 60)
    assert statistics == Statistics(0, 1, 0)


async def test_it_ends_by_itself_after_so_many_frames() -> None:
    bench = Bench(Capture(count=2))
    bench.happens()
    bench.happens()
    data = b"".join([chunk async for chunk in bench.stream.chunks])
    packets = [pcapng.parse(block) for block in Splitter().feed(data)]
    assert len([packet for packet in packets if isinstance(packet, Packet)]) == 2


async def test_what_there_is_no_room_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "BUFFER_FRAMES", 3)
    bench = Bench(Capture(("punted",)))
    for _ in range(5):
        bench.happens()
    blocks = await bench.read()
    assert len([block for block in blocks if isinstance(block, Packet)]) == 3
    assert blocks[-1] == Statistics(0, 5, 2)


async def test_what_was_lost_is_told_before_the_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "BUFFER_FRAMES", 1)
    bench = Bench(Capture(("punted",)))
    bench.happens()
    bench.happens()
    chunks = bench.stream.chunks
    await anext(chunks)
    await anext(chunks)
    (block,) = Splitter().feed(await anext(chunks))
    assert pcapng.parse(block) == Statistics(0, 2, 1)
    bench.stream.close()
    await chunks.aclose()


async def test_a_capture_of_an_overlay_that_goes_ends() -> None:
    bench = Bench()
    for observer in bench.observers:
        observer.handled(OverlayRemoved("red"), [], 0.0)
        bench.happens()
        observer.handled(OverlayRemoved("blue"), [], 0.0)
    async with asyncio.timeout(10):
        data = b"".join([chunk async for chunk in bench.stream.chunks])
    assert len(Splitter().feed(data)) == 4 + 4 + 3


async def test_where_nobody_captures_nobody_looks() -> None:
    bench = Bench()
    assert len(bench.observers) == 1
    bench.stream.close()
    bench.stream.close()
    assert bench.observers == []
    await bench.stream.chunks.aclose()


async def test_only_so_many_capture_at_a_time() -> None:
    bench = Bench()
    streams = [bench.begin() for _ in range(capturing.CAPTURES - 1)]
    with pytest.raises(CapturesFull):
        bench.begin()
    streams[0].close()
    bench.begin().close()
    for stream in streams:
        stream.close()
        await stream.chunks.aclose()
