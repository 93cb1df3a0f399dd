"""The round through all overlays: links and tables that nobody told of.

One timer for all, so that idle overlays cost next to nothing. A small table is read for rows that
varpd did not write; those that it did write are looked at by the engine's own round.
"""

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from varpd.datapath.linux import netlink, tables
from varpd.datapath.linux.netlink import FdbRow
from varpd.engine.events import TableRead
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO

if TYPE_CHECKING:
    from varpd.datapath.linux.caretaker import Cared, Caretaker

PERIOD: Final = 10.0
"""Seconds between two looks at an overlay, at least."""

PACE: Final = 0.5
"""Seconds between two looks, whatever the overlay, at least: one takes ten milliseconds."""

HASTE: Final = 0.05
"""The same while something may be amiss with any overlay."""

TABLE_MAX: Final = 100_000
"""Rows of both tables, up to which they are read: the kernel needs two seconds for so many."""

SHARE: Final = 200
"""Times as long as reading took until an overlay's tables are read again."""

SLICE: Final = 1024
"""MACs told in one event."""

_log = structlog.get_logger(__name__)


class Rounds:
    """Looks at one overlay after another."""

    def __init__(self, caretaker: "Caretaker") -> None:
        """Take who looks after them."""
        self._caretaker = caretaker
        self._round: list[str] = []
        self._doubted: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin."""
        self._arm(PACE)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def doubt(self) -> None:
        """Look at all of them soon."""
        self._doubted.update(self._caretaker.cared)
        if self._timer is not None and self._due > asyncio.get_running_loop().time() + HASTE:
            self._timer.cancel()
            self._arm(HASTE)

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        cared = self._next()
        if cared is not None and not cared.paused:
            self._caretaker.look_in(cared, 0.0)
            if loop.time() >= cared.table_at:
                self._read(cared)
        pause = HASTE if self._doubted else max(PACE, PERIOD / max(1, len(self._caretaker.cared)))
        self._arm(pause)

    def _arm(self, pause: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + pause
        self._timer = loop.call_at(self._due, self._turn)

    def _next(self) -> "Cared | None":
        known = self._caretaker.cared
        if self._doubted:
            cared = known.get(self._doubted.pop())
            if cared is not None:
                cared.table_at = 0.0
            return cared
        if not self._round:
            self._round = list(known)
        return known.get(self._round.pop()) if self._round else None

    def _read(self, cared: "Cared") -> None:
        """Read the tables of an overlay beside the loop, and tell of them."""
        if cared.reading:
            # What is in doubt now may have been read already: once more, when that is done.
            self._doubted.add(cared.link.name)
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        cared.table_at = began + PERIOD
        cared.reading = True

        def read(cared: "Cared", rows: list[FdbRow] | Exception) -> None:
            cared.reading = False
            cared.table_at = loop.time() + max(PERIOD / 2, SHARE * (loop.time() - began))
            if isinstance(rows, Exception):
                _log.warning("a table cannot be read", overlay=cared.link.name, error=str(rows))
            else:
                self._tell(cared, rows)

        threads = self._caretaker.threads
        self._caretaker.submit(cared, threads.tables.submit(table, cared.made.pair.device), read)

    def _tell(self, cared: "Cared", rows: list[FdbRow]) -> None:
        is_dynamic = cared.link.mode is Mode.DYNAMIC
        macs: dict[bytes, None] = {}
        defaults = []
        for row in rows:
            if row.mac == ZERO and not row.master:
                defaults.append(row)
            elif not row.master or (is_dynamic and not row.state & netlink.NUD_PERMANENT):
                macs[row.mac] = None
        some = list(macs)
        for start in range(0, len(some), SLICE):
            self._caretaker.sink(TableRead(cared.link.name, some[start : start + SLICE]))
        if len(defaults) > 1:
            cared.strange = defaults
            self._caretaker.look_in(cared, 0.0)


def table(device: int) -> list[FdbRow]:
    """Return all rows of a small table, and none of a larger one; blocks."""
    rows = list(islice(tables.fdb_rows(device), TABLE_MAX + 1))
    return rows if len(rows) <= TABLE_MAX else []
