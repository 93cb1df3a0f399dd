"""The row writer: the one thread that writes rows into the kernel.

A write waits for the kernel's RTNL lock, for half a second while somebody deletes a namespace. So
the event loop never writes: it appends to a queue, which takes no time, and the thread works it
off, `lanes.BATCH` messages a send, the overlays in turn.

No acknowledgement is asked for. The kernel has handled all messages when `send` returns, and the
answers to those that it refused are then in the socket: reading until there is none tells that
all others were accepted. A refused row is removed from both tables, since one of them may have
taken it, and reported. A removed row that was not there is no error, nor is anything of a device
that is gone: whoever deleted it deleted its rows.
"""

import contextlib
import errno
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from varpd.datapath.linux import rows
from varpd.datapath.linux.lanes import BATCH, Barrier, Batch, GroupChange, Lanes, Wanted, Work
from varpd.datapath.linux.rows import Reply, Table
from varpd.engine.commands import Install, InstallReplicas, RemoveRows
from varpd.engine.settings import Totals

QUEUE_ROWS: Final = Totals().targets
"""Rows that may wait to be written.

As many as all tables together may have entries: a queue can grow so long when everything is loaded
at once, and what is longer is a runaway. Removals are always taken: one that is lost would leave a
row that sends frames to the wrong place, and there are no more of them than rows.
"""

STALL: Final = 0.05
"""Seconds from which on a send counts as a stall: somebody holds the kernel's RTNL lock."""

_SOL_NETLINK: Final = 270
_NETLINK_EXT_ACK: Final = 11
_RECEIVE_SIZE: Final = 65536
T = TypeVar("T")

_log = structlog.get_logger(__name__)


def _nobody(overlay: str, macs: list[bytes], error: str) -> None:
    """Take no notice of refused rows."""


class RowSocket(Protocol):
    """What the writer needs of a netlink socket, which must not block when it is read."""

    def send(self, data: bytes, /) -> int:
        """Have the kernel handle messages."""

    def recv(self, size: int, /) -> bytes:
        """Return answers, or raise `BlockingIOError`."""

    def close(self) -> None:
        """Give it back."""


def open_row_socket() -> RowSocket:
    """Return a netlink socket of the calling thread's network namespace.

    Raises:
        OSError: there is none to be had.
    """
    netlink = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )
    try:
        netlink.setblocking(False)
        netlink.bind((0, 0))
        # The reason in words. NETLINK_CAP_ACK stays off: the refused message must be in the answer.
        netlink.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
    except BaseException:
        netlink.close()
        raise
    return netlink


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
        self.written = 0
        """Rows written since the start."""
        self.removed = 0
        """Rows that were to be removed and are gone."""
        self.refused = 0
        """Rows that the kernel, or the full queue, refused."""
        self.not_removed = 0
        """Rows that the kernel did not remove, for a reason other than that they were not there."""
        self.stalls = 0
        """Sends that took longer than `STALL`."""
        self._bound = queue_rows
        self._requests: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lanes = Lanes()
        # The loop alone counts up the one, the thread alone the other: no lock is needed.
        self._submitted = 0
        self._finished = 0
        self._stopped = False
        self._open_socket = open_socket
        self._clock = clock
        self._socket: RowSocket | None = None
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
        self._socket = self._open_socket()
        self._thread = threading.Thread(target=self._run, name="row-writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish everything asked for so far and end; waits for the thread."""
        self._stopped = True
        self._requests.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def open(self, overlay: str, vx_ifindex: int, mac_master: bool = True) -> None:
        """Write an overlay's rows from now on: to its tunnel device, and to that one's bridge."""
        table = Table(vx_ifindex, mac_master)
        self._requests.put(lambda: self._lanes.open(overlay, table))

    def close(self, overlay: str) -> Future[None]:
        """Write no more for an overlay; done when the last write is over, queued ones dropped."""

        def close() -> None:
            self._finished += self._lanes.close(overlay)
            _resolve(done, None)

        done: Future[None] = Future()
        self._ask_for(done, close, None)
        return done

    def submit(self, command: Install | InstallReplicas | RemoveRows) -> None:
        """Write or remove the rows of a command; its frames are not this writer's."""
        match command:
            case Install(overlay, target, macs, _):
                self._submit(overlay, macs, target)
            case InstallReplicas(overlay, mac, targets):
                self._submit(overlay, [mac], targets)
            case RemoveRows(overlay, macs):
                self._submit(overlay, macs, None)

    def inject(self, send: Callable[[], None], overlay: str | None = None) -> None:
        """Call `send` in the thread, behind all rows submitted so far.

        With `overlay`: behind the rows of that one only, and not at all once it is closed.
        """
        barrier = Barrier(send, drop=None if overlay is None else lambda: None)
        self._ask(lambda: self._lanes.put_barrier(barrier, overlay))

    def settle(self) -> Future[None]:
        """Return what is done when everything submitted so far has been written."""
        done: Future[None] = Future()
        barrier = Barrier(lambda: _resolve(done, None))
        self._ask_for(done, lambda: self._lanes.put_barrier(barrier), None)
        return done

    def usage(self, overlay: str, macs: Sequence[bytes]) -> Future[list[float | None]]:
        """Ask for each row how many seconds ago it carried a frame; None: there is no row."""
        done: Future[list[float | None]] = Future()
        unknown: list[float | None] = [None] * len(macs)

        def ask() -> None:
            table = self._lanes.table(overlay)
            _resolve(done, unknown if table is None else self._read_usage(table, macs))

        barrier = Barrier(ask, drop=lambda: _resolve(done, unknown))
        self._ask_for(done, lambda: self._lanes.put_barrier(barrier, overlay), unknown)
        return done

    def _submit(self, overlay: str, macs: list[bytes], wanted: Wanted) -> None:
        refused = bool(wanted) and self.queued + len(macs) > self._bound
        if refused:
            wanted = () if isinstance(wanted, tuple) else None

        def put() -> None:
            self._finished += self._lanes.put(overlay, macs, wanted)
            if refused:
                self._report(overlay, macs, "the row writer's queue is full")

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

    def _run(self) -> None:
        running = True
        while running or self._lanes.busy:
            # With rows at hand only what is asked already is taken in, else the thread sleeps.
            running = self._take_requests(wait=not self._lanes.busy) and running
            work = self._lanes.next_work()
            if work is not None:
                self._guarded(partial(self._do, work))

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

    def _do(self, work: Work) -> None:
        match work:
            case Barrier():
                work.run()
            case Batch():
                self._finished += work.size
                self._write(work)
            case GroupChange():
                self._finished += 1
                self._change_group(work)

    def _write(self, batch: Batch) -> None:
        table = batch.table
        message = b"".join(
            rows.encode_install(table, target, macs) for target, macs in batch.installs.items()
        )
        if batch.removals:
            message += rows.encode_remove(table, batch.removals)
        try:
            replies = self._transact(message)
        except OSError as error:
            # What was accepted before is not known, so nothing of it may stay.
            macs = [mac for macs in batch.installs.values() for mac in macs]
            self._undo(batch.overlay, table, macs, str(error))
            self._remove_halves(table, batch.removals)
            return
        written = batch.size - len(batch.removals)
        removed = len(batch.removals)
        refused: dict[str, list[bytes]] = {}
        halved = []
        for reply in replies:
            if reply.kind == rows.RTM_DELNEIGH:
                if reply.error == errno.ENOENT:
                    halved.append(reply.mac)
                elif reply.error not in rows.NOT_THERE:
                    removed -= 1
                    self._cannot_remove(reply)
            else:
                written -= 1
                if reply.error not in rows.NOT_THERE:
                    refused.setdefault(reply.text, []).append(reply.mac)
        self.written += written
        self.removed += removed
        # One of the two rows was missing, and then the kernel leaves the other.
        self._remove_halves(table, halved)
        for text, macs in refused.items():
            self._undo(batch.overlay, table, macs, text)

    def _change_group(self, change: GroupChange) -> None:
        # Added first, so that there is no moment without a destination, and so no punt.
        table, mac = change.table, change.mac
        messages = [rows.encode_append(table, mac, target) for target in change.added]
        if change.whole:
            messages.append(rows.encode_remove_halves(Table(table.ifindex, master=False), [mac]))
        else:
            messages += [
                rows.encode_remove_destination(table, mac, target) for target in change.removed
            ]
        try:
            replies = [
                reply
                for at in range(0, len(messages), BATCH)
                for reply in self._transact(b"".join(messages[at : at + BATCH]))
                if reply.error not in rows.NOT_THERE
            ]
        except OSError as error:
            refusal = str(error)
        else:
            refusal = next((r.text for r in replies if r.kind == rows.RTM_NEWNEIGH), "")
            for reply in replies:
                if reply.kind == rows.RTM_DELNEIGH:
                    self._cannot_remove(reply)
        if refusal:
            self._lanes.forget_group(change.overlay, mac)
            self._undo(change.overlay, table, [mac], refusal)
        else:
            self.written += len(change.added)
            self.removed += len(change.removed)

    def _undo(self, overlay: str, table: Table, macs: list[bytes], error: str) -> None:
        """Remove both rows of refused MACs, of which one may have been written, and report them."""
        try:
            self._remove_halves(table, macs)
        finally:
            self._report(overlay, macs, error)

    def _report(self, overlay: str, macs: list[bytes], error: str) -> None:
        if macs:
            self.refused += len(macs)
            self.on_refused(overlay, macs, error)

    def _remove_halves(self, table: Table, macs: list[bytes]) -> None:
        for at in range(0, len(macs), BATCH // 2):
            message = rows.encode_remove_halves(table, macs[at : at + BATCH // 2])
            for reply in self._transact(message):
                if reply.error not in rows.NOT_THERE:
                    self._cannot_remove(reply)

    def _cannot_remove(self, reply: Reply) -> None:
        self.not_removed += 1
        _log.warning("row not removed", mac=reply.mac.hex(":"), error=reply.text)

    def _read_usage(self, table: Table, macs: Sequence[bytes]) -> list[float | None]:
        idle: list[float | None] = [None] * len(macs)
        for start in range(0, len(macs), BATCH):
            message = b"".join(
                rows.encode_get(table, mac, at)
                for at, mac in enumerate(macs[start : start + BATCH], start)
            )
            for reply in self._transact(message):
                if not reply.error:
                    idle[reply.sequence] = reply.idle
        return idle

    def _transact(self, message: bytes) -> list[Reply]:
        """Send messages and return what the kernel said: refusals, and rows that were asked for.

        Raises:
            OSError: they could not be sent, or answers were lost.
        """
        if self._socket is None or not message:
            return []
        began = self._clock()
        self._socket.send(message)
        if self._clock() - began > STALL:
            self.stalls += 1
        replies: list[Reply] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                replies.extend(rows.parse_replies(self._socket.recv(_RECEIVE_SIZE)))
        return replies


def _resolve(future: Future[T], result: T) -> None:
    """Give a future its result unless whoever waited for it gave up."""
    if future.set_running_or_notify_cancel():
        future.set_result(result)
