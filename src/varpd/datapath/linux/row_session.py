"""What the row writer's thread says to the kernel, and what it hears.

No acknowledgement is asked for. The kernel has handled all messages when `send` returns, and the
answers to those that it refused are then in the socket: reading until there is none tells that
all others were accepted. A refused row is removed from both tables, since one of them may have
taken it, and reported. A removed row that was not there is no error, nor is anything of a device
that is gone: whoever deleted it deleted its rows.
"""

import contextlib
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from varpd.datapath.linux import netlink, rows, verdicts
from varpd.datapath.linux.lanes import BATCH, Batch, GroupChange
from varpd.datapath.linux.netlink import FdbRow
from varpd.datapath.linux.rows import Reply, Table
from varpd.engine.events import FoundRow

STALL: Final = 0.05
"""Seconds from which on a send counts as a stall: somebody holds the kernel's RTNL lock."""

_NETLINK_EXT_ACK: Final = 11
_RECEIVE_SIZE: Final = 65536

_log = structlog.get_logger(__name__)


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
    opened = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )
    try:
        opened.setblocking(False)
        opened.bind((0, 0))
        netlink.hear_kernel_only(opened)
        # The reason in words. NETLINK_CAP_ACK stays off: the refused message must be in the answer.
        opened.setsockopt(netlink.SOL_NETLINK, _NETLINK_EXT_ACK, 1)
    except BaseException:
        opened.close()
        raise
    return opened


@dataclass(slots=True)
class RowCounters:
    """What became of rows since the start."""

    written: int = 0
    """Rows written."""

    removed: int = 0
    """Rows that were to be removed and are gone."""

    refused: int = 0
    """Rows that the kernel, or the full queue, refused."""

    not_removed: int = 0
    """Rows that the kernel did not remove, for a reason other than that they were not there."""

    not_injected: int = 0
    """Injections dropped because too many waited behind rows."""

    stalls: int = 0
    """Sends that took longer than `STALL`."""


class RowSession:
    """Writes rows over one socket; for one thread."""

    def __init__(
        self,
        row_socket: RowSocket,
        counters: RowCounters,
        report: Callable[[str, list[bytes], str], None],
        clock: Callable[[], float],
    ) -> None:
        """`report(overlay, macs, error)` is told of refused rows; `clock` tells seconds."""
        self._socket = row_socket
        self._counters = counters
        self._report = report
        self._clock = clock

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def write(self, batch: Batch) -> None:
        """Write and remove the rows of a batch."""
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
            if reply.kind == netlink.RTM_DELNEIGH:
                if reply.error == errno.ENOENT:
                    halved.append(reply.mac)
                elif reply.error not in rows.NOT_THERE:
                    removed -= 1
                    self._cannot_remove(reply)
            else:
                written -= 1
                if reply.error not in rows.NOT_THERE:
                    refused.setdefault(reply.text, []).append(reply.mac)
        self._counters.written += written
        self._counters.removed += removed
        # One of the two rows was missing, and then the kernel leaves the other.
        self._remove_halves(table, halved)
        for text, macs in refused.items():
            self._undo(batch.overlay, table, macs, text)

    def change_group(self, change: GroupChange) -> bool:
        """Change the destinations of a group MAC; False: refused, and it has none."""
        # Added first, so that there is no moment without a destination, and so no punt.
        table, mac = change.table, change.mac
        messages = [rows.encode_append(table, mac, target) for target in change.added]
        everything = rows.encode_remove_halves(Table(table.ifindex, master=False), [mac])
        if change.anew:
            messages.insert(0, everything)
        elif change.whole:
            messages.append(everything)
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
            refusal = next((r.text for r in replies if r.kind == netlink.RTM_NEWNEIGH), "")
            for reply in replies:
                if reply.kind == netlink.RTM_DELNEIGH:
                    self._cannot_remove(reply)
        if refusal:
            self._undo(change.overlay, table, [mac], refusal)
            return False
        self._counters.written += len(change.added)
        self._counters.removed += len(change.removed)
        return True

    def _undo(self, overlay: str, table: Table, macs: list[bytes], error: str) -> None:
        """Remove both rows of refused MACs, of which one may have been written, and report them."""
        try:
            self._remove_halves(table, macs)
        finally:
            if macs:
                self._counters.refused += len(macs)
                self._report(overlay, macs, error)

    def _remove_halves(self, table: Table, macs: list[bytes]) -> None:
        for at in range(0, len(macs), BATCH // 2):
            message = rows.encode_remove_halves(table, macs[at : at + BATCH // 2])
            for reply in self._transact(message):
                if reply.error not in rows.NOT_THERE:
                    self._cannot_remove(reply)

    def _cannot_remove(self, reply: Reply) -> None:
        self._counters.not_removed += 1
        _log.warning("row not removed", mac=reply.mac.hex(":"), error=reply.text)

    def usage(self, table: Table, macs: Sequence[bytes]) -> list[float | None]:
        """Ask for each row how many seconds ago it carried a frame; None: there is no row.

        Raises:
            OSError: the answers were lost.
        """
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

    def look(self, table: Table, macs: Sequence[bytes]) -> list[FoundRow | None]:
        """Return what rows MACs have; None where that cannot be found out."""
        found: list[FoundRow | None] = [None] * len(macs)
        try:
            for start in range(0, len(macs), BATCH // 2):
                self._look(table, macs[start : start + BATCH // 2], start, found)
            groups = [at for at, mac in enumerate(macs) if mac[0] & rows.GROUP_BIT]
            if groups:
                there = verdicts.groups(table)
                for at in groups:
                    found[at] = None if there is None else there.get(macs[at], FoundRow())
        except OSError as error:
            _log.warning("rows cannot be looked at", error=str(error))
            return [None] * len(macs)
        return found

    def _look(
        self, table: Table, macs: Sequence[bytes], start: int, found: list[FoundRow | None]
    ) -> None:
        message = b"".join(rows.encode_look(table, mac, at) for at, mac in enumerate(macs))
        own: list[FdbRow | None] = [None] * len(macs)
        bridges: list[FdbRow | None] = [None] * len(macs)
        unknown: set[int] = set()
        for number, error, row in self._rows(message):
            at, bridge = divmod(number, 2)
            if row is not None:
                (bridges if bridge else own)[at] = row
            elif error != errno.ENOENT:
                unknown.add(at)
        for at in range(len(macs)):
            if at not in unknown:
                found[start + at] = verdicts.found(table, own[at], bridges[at])

    def _rows(self, message: bytes) -> list[tuple[int, int, FdbRow | None]]:
        """Ask for rows; return for each answer its number, and an error or a row.

        Raises:
            OSError: answers were lost.
        """
        self._socket.send(message)
        answers: list[tuple[int, int, FdbRow | None]] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self._socket.recv(_RECEIVE_SIZE)
                for item in netlink.messages(data):
                    if item.kind == netlink.NLMSG_ERROR:
                        answers.append((item.sequence, netlink.error_of(data, item), None))
                    elif item.kind == netlink.RTM_NEWNEIGH:
                        answers.append((item.sequence, 0, netlink.parse_fdb_row(data, item)))
        return answers

    def _transact(self, message: bytes) -> list[Reply]:
        """Send messages and return what the kernel said: refusals, and rows that were asked for.

        Raises:
            OSError: they could not be sent, or answers were lost.
        """
        if not message:
            return []
        began = self._clock()
        self._socket.send(message)
        if self._clock() - began > STALL:
            self._counters.stalls += 1
        replies: list[Reply] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                replies.extend(rows.parse_replies(self._socket.recv(_RECEIVE_SIZE)))
        return replies
