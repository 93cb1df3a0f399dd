"""Keeps the links of overlays, and the tables behind them, as they should be.

Each overlay is looked at when the drift monitor tells of a change, and now and then without one;
one after another, in the kernel's threads. What is found is put right at once, or only told, and
what cannot be put right is tried again with growing pauses (`varpd.datapath.linux.patience`).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, Protocol, TypeVar

import structlog
from msgspec import Struct

from varpd.datapath.base import DatapathError, Link
from varpd.datapath.linux import link_check
from varpd.datapath.linux.drift_monitor import DriftMonitor
from varpd.datapath.linux.kernel import Kernel
from varpd.datapath.linux.link_check import Examined, Port
from varpd.datapath.linux.links import Pair
from varpd.datapath.linux.monitor import Monitor
from varpd.datapath.linux.netlink import FdbRow
from varpd.datapath.linux.opening import Made
from varpd.datapath.linux.patience import WINDOW, Patience
from varpd.datapath.linux.rounds import Rounds
from varpd.datapath.linux.threads import KernelThreads
from varpd.datapath.linux.writer import RowWriter
from varpd.engine.events import (
    Event,
    LinksDrifted,
    LinksWrong,
    PortsSeen,
    RowsTouched,
    TableLost,
    TablesDoubted,
)

T = TypeVar("T")

SOON: Final = 0.02
"""Seconds from a change to the look at it: changes come in groups."""

STRANGE_MAX: Final = 64
"""Default rows of others that are remembered until they are removed."""

_log = structlog.get_logger(__name__)


class Cared(Struct, eq=False):
    """An overlay that is looked after."""

    link: Link
    made: Made
    patience: Patience
    ports: list[Port] = []
    """The guests' ports that its bridge had when it was last looked at."""

    strange: list[FdbRow] = []
    """Default rows that somebody else wrote."""

    told: frozenset[str] = frozenset()
    """Differences that were told and left."""

    wrong: str | None = None
    """What was last told to be amiss."""

    paused: int = 0
    """How many changes of varpd itself are under way."""

    busy: bool = False
    again: bool = False
    """Whether to look again after what is under way."""

    timer: asyncio.TimerHandle | None = None
    """For the next look, at `due`."""

    due: float = 0.0
    table_at: float = 0.0
    """When its tables may be read again."""

    reading: bool = False
    """Whether they are being read."""


class Protector(Protocol):
    """Who keeps an overlay's links apart from the host."""

    def protect(self, kernel: Kernel, link: Link, pair: Pair) -> None:
        """Guard links before frames can flow over them; in the kernel's thread."""

    def close(self, overlay: str, ports: Iterable[int]) -> None:
        """Have ports give nothing to the host."""

    def see(self, overlay: str, ports: Sequence[Port]) -> None:
        """Take note of the guests' ports that an overlay's bridge has now."""


class _Nobody:
    def protect(self, kernel: Kernel, link: Link, pair: Pair) -> None:
        """Guard nothing."""

    def close(self, overlay: str, ports: Iterable[int]) -> None:
        """Close nothing."""

    def see(self, overlay: str, ports: Sequence[Port]) -> None:
        """Note nothing."""


class Caretaker:
    """Looks after links; used from the event loop."""

    def __init__(
        self,
        threads: KernelThreads,
        sink: Callable[[Event], None],
        writer: RowWriter,
        monitor: Monitor,
        protector: Protector | None = None,
    ) -> None:
        """Take what waits for the kernel, who is told, and who has to follow new links.

        `protector` guards new links and ports; nobody does unless given.
        """
        self._protector = protector or _Nobody()
        self.threads = threads
        self.sink = sink
        self._writer = writer
        self._followed = monitor
        self.cared: dict[str, Cared] = {}
        """Who is looked after, by name."""

        self._rounds = Rounds(self)
        self.monitor = DriftMonitor(_Ear(self, self._rounds))
        """Hears of changes."""

    def start(self) -> None:
        """Begin.

        Raises:
            OSError: there is no netlink socket to be had.
        """
        self.monitor.start()
        self._rounds.start()

    def stop(self) -> None:
        """End."""
        self.monitor.stop()
        self._rounds.stop()
        for name in list(self.cared):
            self.leave(name)

    def care(self, link: Link, made: Made) -> None:
        """Look after the links of an overlay from now on."""
        self.leave(link.name)
        cared = self.cared[link.name] = Cared(link, made, Patience())
        self._watch(cared)
        self.look_in(cared, 0.0)

    def leave(self, overlay: str) -> None:
        """Look after the links of an overlay no longer."""
        self.monitor.unwatch(overlay)
        cared = self.cared.pop(overlay, None)
        if cared is not None and cared.timer is not None:
            cared.timer.cancel()

    def pause(self, overlay: str) -> None:
        """Leave the links of an overlay alone until `resume`: varpd changes them."""
        if (cared := self.cared.get(overlay)) is not None:
            cared.paused += 1

    def resume(self, overlay: str, link: Link) -> None:
        """Look after links again, as `link` wants them."""
        if (cared := self.cared.get(overlay)) is not None:
            cared.paused -= 1
            cared.link = link
            self.look_in(cared, 0.0)

    # -- looking -------------------------------------------------------------------------------

    def look_in(self, cared: Cared, seconds: float) -> None:
        """Look at an overlay after a while, or sooner if that is planned."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if cared.timer is not None:
            if cared.due <= due:
                return
            cared.timer.cancel()
        cared.due = due
        cared.timer = loop.call_at(due, self._look, cared)

    def _look(self, cared: Cared) -> None:
        cared.timer = None
        if cared.busy or cared.paused:
            # What changed meanwhile is looked at afterwards.
            cared.again = True
            return
        cared.busy = True
        strange = list(cared.strange)
        self.submit(
            cared,
            self.threads.submit(
                link_check.examine, cared.link, cared.made.pair, cared.made.default, strange
            ),
            self._examined,
        )

    def _examined(self, cared: Cared, found: Examined | Exception) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(found, Exception):
            self._failed(cared, found)
            return
        if found.open:
            # The kernel makes each new port so: that is nobody's change.
            self._protector.close(cared.link.name, found.open)
        if found.ports is not None and not found.rebuild:
            if found.ports != cared.ports:
                names = tuple(port.name for port in found.ports)
                self.sink(PortsSeen(cared.link.name, names))
            cared.ports = found.ports
            self._protector.see(cared.link.name, found.ports)
            self._watch(cared)
        if not found.differences:
            cared.strange.clear()
            cared.told = frozenset()
            fought = _fought(cared, now)
            self._say(cared, "; ".join(filter(None, (found.lasting, fought))) or None)
            if fought:
                self.look_in(cared, WINDOW / 4)
            self._done(cared)
        elif not cared.link.repair:
            self._left(cared, found)
        elif (due := cared.patience.next_at(now)) > now:
            self._say(cared, cared.wrong or _fought(cared, now) or "; ".join(found.differences))
            self._done(cared)
            self.look_in(cared, due - now)
        else:
            self._repair(cared, found)

    def _left(self, cared: Cared, found: Examined) -> None:
        """Only tell what is amiss."""
        new = [text for text in found.differences if text not in cared.told]
        cared.told = frozenset(found.differences)
        if new:
            self.sink(LinksDrifted(cared.link.name, new, repaired=False))
        self._say(cared, "; ".join(found.differences))
        self._done(cared)

    def _repair(self, cared: Cared, found: Examined) -> None:
        strange = list(cared.strange)
        future = self.threads.submit(
            link_check.repair,
            cared.link,
            cared.made.pair,
            cared.made.default,
            strange,
            self._protector.protect,
        )

        def repaired(cared: Cared, pair: Pair | Exception) -> None:
            if isinstance(pair, Exception):
                self._failed(cared, pair)
            else:
                self._repaired(cared, found, pair)

        self.submit(cared, future, repaired)

    def _repaired(self, cared: Cared, found: Examined, pair: Pair) -> None:
        now = asyncio.get_running_loop().time()
        name = cared.link.name
        cared.patience.repaired(now)
        cared.strange.clear()
        self.sink(LinksDrifted(name, found.differences, repaired=True))
        before = cared.made.pair
        if (pair.bridge, pair.device) != (before.bridge, before.device):
            cared.made.pair = pair
            port = cared.link.listen_port
            self._writer.open(name, pair.device, listen_port=port, moved=True)
            self._followed.move(name, pair.bridge, pair.device)
            self._watch(cared)
        if found.lost:
            self.sink(TableLost(name))
        if pair.bridge == before.bridge or not cared.ports:
            self._say(cared, _fought(cared, now))
            self._finish(cared)
            return
        # Only now that the new bridge is listened to: what guests send tells where they are.
        future = self.threads.submit(link_check.put_back, pair.bridge, cared.ports)

        def back(cared: Cared, ports: list[str] | Exception) -> None:
            if isinstance(ports, Exception):
                self._failed(cared, ports)
                return
            if ports:
                text = f"{', '.join(ports)} had lost the bridge {name}"
                self.sink(LinksDrifted(name, [text], repaired=True))
            self._say(cared, _fought(cared, now))
            self._finish(cared)

        self.submit(cared, future, back)

    def _failed(self, cared: Cared, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        cared.patience.failed(now)
        self._say(cared, f"links cannot be put right: {error}")
        self._done(cared)
        self.look_in(cared, cared.patience.next_at(now) - now)

    def _finish(self, cared: Cared) -> None:
        """See whether all is well now."""
        self._done(cared)
        self.look_in(cared, SOON)

    def _done(self, cared: Cared) -> None:
        cared.busy = False
        if cared.again and not cared.paused:
            cared.again = False
            self.look_in(cared, SOON)

    def _say(self, cared: Cared, message: str | None) -> None:
        if message != cared.wrong:
            cared.wrong = message
            self.sink(LinksWrong(cared.link.name, message))

    def _watch(self, cared: Cared) -> None:
        pair = cared.made.pair
        indices = [port.index for port in cared.ports]
        self.monitor.watch(cared.link.name, pair.bridge, pair.device, indices)

    def submit(
        self, cared: Cared, future: Future[T], then: Callable[[Cared, T | Exception], None]
    ) -> None:
        """Have `then` called in the loop when something is done, unless the overlay is left."""
        loop = asyncio.get_running_loop()

        # Neither knows the future but by its argument: it knows them, and a circle would keep what
        # may be a whole table until the collector comes.
        def finished(future: Future[T]) -> None:
            if self.cared.get(cared.link.name) is not cared or future.cancelled():
                return
            error = future.exception()
            if error is None:
                then(cared, future.result())
            elif isinstance(error, DatapathError | OSError):
                then(cared, error)
            else:
                _log.error("internal error", where="caretaker", exc_info=error)
                then(cared, OSError(str(error)))

        def done(future: Future[T]) -> None:
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finished, future)

        future.add_done_callback(done)


class _Ear:
    """See `varpd.datapath.linux.drift_monitor.Ear`."""

    def __init__(self, caretaker: Caretaker, rounds: Rounds) -> None:
        self._caretaker = caretaker
        self._rounds = rounds

    def rows_touched(self, overlay: str, written: set[bytes], removed: set[bytes]) -> None:
        """See `Ear`."""
        self._caretaker.sink(RowsTouched(overlay, [*written], [*removed]))

    def default_touched(self, overlay: str, row: FdbRow | None) -> None:
        """See `Ear`."""
        if (cared := self._caretaker.cared.get(overlay)) is not None:
            if row is not None and len(cared.strange) < STRANGE_MAX:
                cared.strange.append(row)
            self._caretaker.look_in(cared, 0.0)

    def links_touched(self, overlay: str) -> None:
        """See `Ear`."""
        if (cared := self._caretaker.cared.get(overlay)) is not None:
            self._caretaker.look_in(cared, SOON)

    def loopback_touched(self) -> None:
        """See `Ear`."""
        self._rounds.doubt()

    def overflowed(self) -> None:
        """See `Ear`."""
        self._rounds.doubt()
        self._caretaker.sink(TablesDoubted())


def _fought(cared: Cared, now: float) -> str | None:
    if not cared.patience.is_tried(now):
        return None
    times = cared.patience.recent(now)
    return f"somebody keeps changing links: put right {times} times in {WINDOW:.0f} s"
