"""Reading punted frames on the event loop: fair between overlays, with buffers that grow."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from varpd.datapath.linux.buffers import CALM, Buffered, PuntBuffers
from varpd.datapath.linux.turns import Turns

log: Final = structlog.get_logger()


class Punts(Buffered, Protocol):
    """A punt socket, as the reader sees it."""

    lost: int
    """Datagrams that the kernel dropped."""

    @property
    def waiting(self) -> Sequence[bytes]:
        """Frames that came before reading began; a turn delivers them first."""

    def fileno(self) -> int:
        """Return what the event loop waits for."""

    def read_turn(self, budget: int) -> int:
        """Deliver up to `budget` frames, and return how many."""


class PuntReader:
    """Reads every punt socket when it has something."""

    def __init__(self, total: int) -> None:
        """Take how many bytes the sockets' buffers together may have."""
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(time.perf_counter)
        self._buffers = PuntBuffers(total)
        self._calm: asyncio.TimerHandle | None = None
        self._behind: dict[str, asyncio.Handle] = {}
        self._missing: dict[str, int] = {}

    def add(self, overlay: str, punts: Punts) -> None:
        """Begin to read an overlay's socket."""
        missing = self._missing[overlay] = self._buffers.open(overlay, punts)
        if missing:
            log.warning(
                "the kernel grants a smaller receive buffer than misses need, so bursts of them may"
                " be lost: raise net.core.rmem_max, or run varpd with CAP_NET_ADMIN on the host",
                overlay=overlay,
                missing_bytes=missing,
            )
        self._loop.add_reader(punts.fileno(), self._read, overlay, punts)
        self._catch_up(overlay, punts)

    def remove(self, overlay: str, punts: Punts) -> None:
        """Read an overlay's socket no more."""
        self._loop.remove_reader(punts.fileno())
        if (behind := self._behind.pop(overlay, None)) is not None:
            behind.cancel()
        self._turns.forget(overlay)
        self._missing.pop(overlay, None)
        self._buffers.close(overlay)

    def buffer(self, overlay: str) -> tuple[int, int]:
        """Return the bytes of an overlay's buffer, and how many less it got than it should have."""
        return self._buffers.size(overlay), self._missing[overlay]

    def stop(self) -> None:
        """Leave no timer behind."""
        if self._calm is not None:
            self._calm.cancel()
            self._calm = None

    def _catch_up(self, overlay: str, punts: Punts) -> None:
        """Read turn by turn while frames wait of which the event loop knows nothing."""
        self._behind.pop(overlay, None)
        if punts.waiting:
            self._read(overlay, punts)
            self._behind[overlay] = self._loop.call_soon(self._catch_up, overlay, punts)

    def _read(self, overlay: str, punts: Punts) -> None:
        lost = punts.lost
        self._turns.take(overlay, punts.read_turn)
        if punts.lost > lost:
            self._buffers.lost(overlay, self._loop.time())
            if self._calm is None:
                self._calm = self._loop.call_later(CALM, self._calm_down)

    def _calm_down(self) -> None:
        wait = self._buffers.calm(self._loop.time())
        self._calm = None if wait is None else self._loop.call_later(wait, self._calm_down)
