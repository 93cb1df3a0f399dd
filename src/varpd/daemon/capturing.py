"""Captures of frames for those who ask for them: where nobody does, nothing is done.

A capture is an observer of the runner for as long as it lasts. It copies what it keeps of a frame
into a buffer with a bound; what comes while that is full is lost to the capture and counted at its
end, and nobody waits. Frames of one interface each are the punted ones, those that were sent on,
and those that went to local guests; a comment names the target.
"""

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Final

from varpd.control.captures import PCAPNG, Capture, CaptureKind
from varpd.control.streams import Feed, Stream
from varpd.daemon.runner import Observer
from varpd.engine.commands import Command, Inject, Install, Resend
from varpd.engine.events import Event, FramesPunted, OverlayRemoved
from varpd.net import pcapng

CAPTURES: Final = 8
"""Captures at a time; protects the daemon's time and memory."""

BUFFER_FRAMES: Final = 65_536
"""Frames that wait for one caller."""

BUFFER_BYTES: Final = 16 << 20
"""Bytes of frames that wait for one caller."""

SLICE: Final = 256
"""Frames that are written in one turn of the event loop: about a millisecond's work."""

_DESCRIPTIONS: Final[dict[CaptureKind, str]] = {
    "punted": "frames that the kernel had no row for",
    "resent": "frames that varpd sent on",
    "injected": "frames that varpd delivered to guests on this host",
}


class CapturesFull(Exception):  # noqa: N818 - named like what a plugin raises beside it
    """As many capture as may."""


class Capturing:
    """One capture, from its beginning to its end; an observer of the runner."""

    def __init__(
        self,
        overlay: str,
        headroom: int,
        wanted: Capture,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take whose frames are captured, and which.

        Args:
            overlay: name of the overlay.
            headroom: bytes in front of a frame that the encapsulation put there.
            wanted: which frames, and what is kept of them.
            clock: tells nanoseconds since the epoch.
        """
        self.overlay = overlay
        """Name of the overlay."""

        self._headroom = headroom
        self._wanted = wanted
        self._clock = clock
        self._left = wanted.count
        kinds = dict.fromkeys(wanted.kinds)
        self._interfaces = {kind: number for number, kind in enumerate(kinds)}
        self._seen = dict.fromkeys(kinds, 0)
        self._lost = dict.fromkeys(kinds, 0)
        self._feed: Feed[pcapng.Packet] = Feed(
            BUFFER_FRAMES, BUFFER_BYTES, lambda packet: len(packet.data)
        )

    def handled(self, event: Event, out: Sequence[Command], now: float) -> None:
        """See what happens; see `varpd.daemon.runner.Observer`."""
        overlay = self.overlay
        if isinstance(event, FramesPunted) and event.overlay == overlay:
            self._keep("punted", event.packets, self._headroom, "")
        elif isinstance(event, OverlayRemoved) and event.overlay == overlay:
            self.close()
        for command in out:
            if isinstance(command, Install | Resend) and command.overlay == overlay:
                if command.packets:
                    self._keep("resent", command.packets, self._headroom, f"to {command.target}")
            elif isinstance(command, Inject) and command.overlay == overlay:
                self._keep("injected", command.frames, 0, "")

    def close(self) -> None:
        """Capture nothing more; what waits is still written."""
        self._feed.close()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the capture as pcapng, as frames come, with its statistics at the end."""
        yield pcapng.section("varpd") + b"".join(
            pcapng.interface(f"{self.overlay}:{kind}", _DESCRIPTIONS[kind], self._wanted.snaplen)
            for kind in self._interfaces
        )
        told = 0
        while packets := await self._feed.take():
            for start in range(0, len(packets), SLICE):
                some = packets[start : start + SLICE]
                yield b"".join(packet.serialize() for packet in some)
            if self._feed.lost != told:
                # Whoever breaks the capture off knows at least what was lost until now.
                told = self._feed.lost
                yield self._statistics()
        yield self._statistics()

    def _statistics(self) -> bytes:
        now = self._clock()
        return b"".join(
            pcapng.statistics(number, now, self._seen[kind], self._lost[kind])
            for kind, number in self._interfaces.items()
        )

    def _keep(self, kind: CaptureKind, packets: Iterable[bytes], start: int, comment: str) -> None:
        interface = self._interfaces.get(kind)
        if interface is None or self._feed.closed:
            return
        now = self._clock()
        end = start + self._wanted.snaplen
        for packet in packets:
            if self._left == 0:
                break
            self._seen[kind] += 1
            kept = pcapng.Packet(interface, now, packet[start:end], len(packet) - start, comment)
            if not self._feed.put(kept):
                self._lost[kind] += 1
            elif self._left is not None:
                self._left -= 1
        if self._left == 0:
            self.close()


class Captures:
    """All captures that are going on."""

    def __init__(self, observers: list[Observer]) -> None:
        """Take the observers of the runner, among which captures are while they last."""
        self._observers = observers
        self._going_on: list[Capturing] = []

    def begin(self, overlay: str, headroom: int, wanted: Capture) -> Stream:
        """Begin a capture, which is what is returned.

        Raises:
            CapturesFull: as many capture as may.
        """
        if len(self._going_on) >= CAPTURES:
            raise CapturesFull
        capturing = Capturing(overlay, headroom, wanted)
        self._going_on.append(capturing)
        self._observers.append(capturing)
        return Stream(PCAPNG, capturing.chunks(), lambda: self._end(capturing))

    def _end(self, capturing: Capturing) -> None:
        capturing.close()
        if capturing in self._going_on:
            self._going_on.remove(capturing)
            self._observers.remove(capturing)
