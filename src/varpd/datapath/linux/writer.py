"""The row writer: the one thread that writes rows into the kernel.

A write waits for the kernel's RTNL lock, for half a second while somebody deletes a namespace. So
the event loop never writes: it appends to a queue, which takes no time, and the thread works it
off, `lanes.BATCH` messages a send, the overlays in turn.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final, TypeVar

import structlog

from varpd.datapath.linux.lanes import Barrier, Batch, GroupChange, Lanes, Wanted, Work
from varpd.datapath.linux.places import Places
from varpd.datapath.linux.row_session import RowCounters, RowSession, RowSocket, open_row_socket
from varpd.datapath.linux.rows import GROUP_BIT, Table
from varpd.engine.commands import Install, InstallReplicas, RemoveRows
from varpd.engine.events import FoundRow
from varpd.engine.histogram import Distribution, Histogram
from varpd.engine.settings import Totals
from varpd.net import vxlan
from varpd.provider.answers import Target

QUEUE_ROWS: Final = Totals().targets
"""Rows that may wait to be written.

As many as all tables together may have entries: a queue can grow so long when everything is loaded
at once, and what is longer is a runaway. Removals are always taken: one that is lost would leave a
row that sends frames to the wrong place, and there are no more of them than rows.
"""

QUEUE_INJECTIONS: Final = 16_384
"""Injections that may wait behind rows, of all overlays; none can take them all (`Places`).

They come in the pace of guests' questions and plugins' announcements, and end once the kernel's
lock is free: so many come in seconds of a flood, and whoever asked then has asked again.
"""

T = TypeVar("T")

_log = structlog.get_logger(__name__)


def _nobody(overlay: str, macs: list[bytes], error: str) -> None:
    """Take no notice of refused rows."""


class RowWriter:
    """Writes rows in a thread of its own; the methods are for the event loop and never wait.

    `stop` alone waits. Commands for an overlay that is not open are ignored.
    """

    def __init__(
        self,
        on_refused: Callable[[str, list[bytes], str], None] = _nobody,
        queue_rows: int = QUEUE_ROWS,
        open_socket: Callable[[], RowSocket] = open_row_socket,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_refused(overlay, macs, error)` is called from the thread; so is `clock`."""
        self.on_refused = on_refused
        self.counters = RowCounters()
        """What became of the rows."""
        self.delays = Histogram()
        """From frames' arrival, on the writer's clock, to their rows, for all overlays."""
        self._delays: dict[str, Histogram] = {}
        self._bound = queue_rows
        self._requests: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lanes = Lanes()
        # The loop alone counts up the one, the thread alone the other: no lock is needed.
        self._submitted = 0
        self._finished = 0
        self._injections = Places(QUEUE_INJECTIONS)
        self._stopped = False
        self._open_socket = open_socket
        self._clock = clock
        self._session: RowSession | None = None
        self._thread: threading.Thread | None = None

    @property
    def queued(self) -> int:
        """Rows that wait to be written or removed."""
        return self._submitted - self._finished

    def start(self) -> None:
        """Begin to write, in the network namespace of the calling thread.

        Raises:
            OSError: there is no netlink socket to be had.
        """
        session = RowSession(
            self._open_socket(),
            self.counters,
            lambda *refusal: self.on_refused(*refusal),
            self._clock,
        )
        self._session = session
        self._thread = threading.Thread(
            target=self._run, args=(session,), name="row-writer", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Finish everything asked for so far and end; waits for the thread."""
        self._stopped = True
        self._requests.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._session is not None:
            self._session.close()
            self._session = None

    def open(
        self,
        overlay: str,
        vx_ifindex: int,
        mac_master: bool = True,
        groups: Mapping[bytes, tuple[Target, ...]] | None = None,
        listen_port: int = vxlan.PORT,
        moved: bool = False,
    ) -> None:
        """Write an overlay's rows from now on: to its tunnel device, and to that one's bridge.

        `groups` are the group MACs that the device has destinations of already; `listen_port` is
        that of the device. `moved`: it is open, and its links were made anew; what waits is kept.
        """
        table = Table(vx_ifindex, mac_master, listen_port)
        if moved:
            self._requests.put(lambda: self._lanes.move(overlay, table))
            return
        self._delays[overlay] = Histogram()
        self._requests.put(lambda: self._lanes.open(overlay, table, groups))

    def close(self, overlay: str) -> Future[None]:
        """Write no more for an overlay; done when the last write is over, queued ones dropped."""

        def close() -> None:
            self._finished += self._lanes.close(overlay)
            _resolve(done, None)

        self._delays.pop(overlay, None)
        done: Future[None] = Future()
        self._ask_for(done, close, None)
        return done

    def delays_of(self, overlay: str) -> Distribution:
        """Return the `delays` of one overlay since it was opened."""
        found = self._delays.get(overlay)
        return Distribution() if found is None else found.distribution

    def submit(self, command: Install | InstallReplicas | RemoveRows) -> None:
        """Write or remove the rows of a command; its frames are not this writer's."""
        match command:
            case Install(overlay, target, macs, _, since):
                self._submit(overlay, macs, target, since)
            case InstallReplicas(overlay, mac, targets):
                self._submit(overlay, [mac], targets)
            case RemoveRows(overlay, macs):
                self._submit(overlay, macs, None)

    def inject(self, send: Callable[[], None], overlay: str | None = None) -> None:
        """Call `send` in the thread, behind all rows submitted so far.

        With `overlay`: behind the rows of that one only, and not at all once it is closed. Where
        as many of that overlay wait as there are places left, it is dropped and counted.
        """
        owner = overlay or ""
        if not self._injections.take(owner):
            self.counters.not_injected += 1
            return

        def end() -> None:
            self._injections.give(owner)

        def run() -> None:
            end()
            send()

        barrier = Barrier(run, drop=None if overlay is None else end)
        self._ask(lambda: self._lanes.put_barrier(barrier, overlay))

    def settle(self) -> Future[None]:
        """Return what is done when everything submitted so far has been written."""
        done: Future[None] = Future()
        barrier = Barrier(lambda: _resolve(done, None))
        self._ask_for(done, lambda: self._lanes.put_barrier(barrier), None)
        return done

    def usage(self, overlay: str, macs: Sequence[bytes]) -> Future[list[float | None]]:
        """Ask for each row how many seconds ago it carried a frame; None: there is no row.

        The future fails with OSError if the kernel's answers were lost.
        """
        done: Future[list[float | None]] = Future()
        unknown: list[float | None] = [None] * len(macs)

        def ask() -> None:
            table, session = self._lanes.table(overlay), self._session
            if table is None or session is None:
                _resolve(done, unknown)
                return
            try:
                idle = session.usage(table, macs)
            except OSError as error:
                done.set_exception(error)
            else:
                _resolve(done, idle)

        barrier = Barrier(ask, drop=lambda: _resolve(done, unknown))
        self._ask_for(done, lambda: self._lanes.put_barrier(barrier, overlay), unknown)
        return done

    def check(self, overlay: str, macs: Sequence[bytes]) -> Future[list[FoundRow | None]]:
        """Find out what rows MACs have; None where that cannot be found out."""
        done: Future[list[FoundRow | None]] = Future()
        unknown: list[FoundRow | None] = [None] * len(macs)

        def look() -> None:
            table, session = self._lanes.table(overlay), self._session
            if table is None or session is None:
                _resolve(done, unknown)
                return
            found = session.look(table, macs)
            for mac, row in zip(macs, found, strict=True):
                if mac[0] & GROUP_BIT:
                    there, torn = ((), False) if row is None else (row.targets, bool(row.fault))
                    self._lanes.found_group(overlay, mac, there, torn=torn)
            _resolve(done, found)

        barrier = Barrier(look, drop=lambda: _resolve(done, unknown))
        self._ask_for(done, lambda: self._lanes.put_barrier(barrier, overlay), unknown)
        return done

    def _submit(self, overlay: str, macs: list[bytes], wanted: Wanted, since: float = 0.0) -> None:
        refused = bool(wanted) and self.queued + len(macs) > self._bound
        if refused:
            wanted = () if isinstance(wanted, tuple) else None

        def put() -> None:
            self._finished += self._lanes.put(overlay, macs, wanted, since)
            if refused:
                self.counters.refused += len(macs)
                self.on_refused(overlay, macs, "the row writer's queue is full")

        self._submitted += len(macs)
        self._ask(put)

    def _ask(self, request: Callable[[], None]) -> None:
        if not self._stopped:
            self._requests.put(request)

    def _ask_for(self, done: Future[T], request: Callable[[], None], nothing: T) -> None:
        if self._stopped:
            _resolve(done, nothing)
        else:
            self._requests.put(request)

    def _run(self, session: RowSession) -> None:
        running = True
        while running or self._lanes.busy:
            # With rows at hand only what is asked already is taken in, else the thread sleeps.
            running = self._take_requests(wait=not self._lanes.busy) and running
            work = self._lanes.next_work()
            if work is not None:
                self._guarded(partial(self._do, session, work))

    def _take_requests(self, wait: bool) -> bool:
        """Take in what is asked; return whether the writer goes on after that."""
        with contextlib.suppress(queue.Empty):
            while (request := self._requests.get(block=wait)) is not None:
                wait = False
                self._guarded(request)
            return False
        return True

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do something that must not end the thread: a row left unwritten is the lesser evil."""
        try:
            step()
        except Exception:
            _log.exception("row writer failed")

    def _do(self, session: RowSession, work: Work) -> None:
        match work:
            case Barrier():
                work.run()
            case Batch():
                self._finished += work.size
                session.write(work)
                self._observe(work)
            case GroupChange():
                self._finished += 1
                if not session.change_group(work):
                    self._lanes.forget_group(work.overlay, work.mac)

    def _observe(self, batch: Batch) -> None:
        """Count how long frames' rows took, now that they are in the kernel."""
        if not batch.since:
            return
        now = self._clock()
        of_overlay = self._delays.get(batch.overlay)
        for since, count in batch.since:
            self.delays.observe(now - since, count)
            if of_overlay is not None:
                of_overlay.observe(now - since, count)


def _resolve(future: Future[T], result: T) -> None:
    """Give a future its result unless whoever waited for it gave up."""
    if future.set_running_or_notify_cancel():
        future.set_result(result)
