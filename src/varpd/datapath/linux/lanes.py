"""What the row writer has still to do: one lane an overlay, served in turn.

In a lane each MAC stands once. What is asked for later about a MAC that still waits takes the place
of what was asked for before, so the queue is never longer than there are MACs, a removal never
overtakes a write, and no order is needed between the MACs of one batch. A `Barrier` stands in a
lane behind everything that was asked for before it, and so is reached when all that has been done.

Only the writer's thread touches this.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from varpd.datapath.linux.rows import Table
from varpd.provider.answers import Target

BATCH: Final = 64
"""Messages in one send.

More cost less each (2.9 us instead of 3.5 at 256), but hold the kernel's RTNL lock, and other
overlays, for longer; and the answers to 64 refused messages fit into any receive buffer.
"""

Wanted = Target | None | tuple[Target, ...]
"""The one target of a unicast MAC; None: no row; several: those of a group MAC."""


@dataclass(slots=True, eq=False)
class Barrier:
    """Something to be done behind rows."""

    run: Callable[[], None]
    """Called once every lane that it stands in has come to it."""

    drop: Callable[[], None] | None = None
    """Called instead when its lane is closed; None: a closed lane counts as passed."""

    lanes: int = 0
    """Lanes in which it still stands."""


@dataclass(slots=True)
class Batch:
    """Rows of unicast MACs to write and to remove, in any order."""

    overlay: str
    table: Table
    installs: dict[Target, list[bytes]]
    removals: list[bytes]
    since: list[tuple[float, int]] = field(default_factory=list)
    """When frames came that these rows are for, with how many rows: the first ones first."""

    @property
    def size(self) -> int:
        """How many MACs it is about."""
        return sum(map(len, self.installs.values())) + len(self.removals)


@dataclass(slots=True)
class GroupChange:
    """The destinations of a group MAC to add and then to take away."""

    overlay: str
    table: Table
    mac: bytes
    added: list[Target]
    removed: list[Target]
    whole: bool
    """Whether no destination is left."""

    anew: bool = False
    """Whether all that there is goes first: there is something that cannot be named."""


Work = Batch | GroupChange | Barrier


@dataclass(slots=True)
class _Lane:
    table: Table
    waiting: OrderedDict[bytes, Wanted | Barrier] = field(default_factory=OrderedDict)
    """By MAC; barriers by names of their own, which are longer."""
    groups: dict[bytes, tuple[Target, ...]] = field(default_factory=dict)
    """Destinations of group MACs as the kernel has them."""
    torn: set[bytes] = field(default_factory=set)
    """Group MACs with destinations that varpd did not write so."""
    since: deque[tuple[float, int]] = field(default_factory=deque)
    """When frames came for the rows that wait, with how many rows, in the order of `waiting`."""


class Lanes:
    """The lanes of all open overlays."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        # Names of the lanes where something waits, the next one to serve first.
        self._turns: deque[str] = deque()
        self._barriers = 0

    @property
    def busy(self) -> bool:
        """Whether anything waits."""
        return bool(self._turns)

    def table(self, overlay: str) -> Table | None:
        """Return the tables of an open overlay."""
        lane = self._lanes.get(overlay)
        return None if lane is None else lane.table

    def open(
        self, overlay: str, table: Table, groups: Mapping[bytes, tuple[Target, ...]] | None = None
    ) -> None:
        """Give an overlay a lane; one that it had is closed.

        `groups` are the group MACs that the kernel has destinations of already.
        """
        self.close(overlay)
        self._lanes[overlay] = _Lane(table, groups=dict(groups or {}))

    def move(self, overlay: str, table: Table) -> None:
        """Have what waits for an overlay written to other tables, which are empty."""
        lane = self._lanes.get(overlay)
        if lane is not None:
            lane.table = table
            lane.groups.clear()

    def close(self, overlay: str) -> int:
        """Take an overlay's lane away with all that waits in it; return how many MACs waited."""
        lane = self._lanes.pop(overlay, None)
        if lane is None:
            return 0
        if lane.waiting:
            self._turns.remove(overlay)
        rows = 0
        for wanted in lane.waiting.values():
            if not isinstance(wanted, Barrier):
                rows += 1
            elif wanted.drop is not None:
                wanted.drop()
            else:
                wanted.lanes -= 1
                if wanted.lanes == 0:
                    wanted.run()
        return rows

    def put(self, overlay: str, macs: Sequence[bytes], wanted: Wanted, since: float = 0.0) -> int:
        """Ask for the rows of MACs; return how many of these add nothing to what is to be done.

        That is those whose earlier wish is superseded, or all if the overlay is not open. `since`
        is when a frame came that the rows are for; 0: there was none.
        """
        lane = self._lanes.get(overlay)
        if lane is None:
            return len(macs)
        waiting = lane.waiting
        before = len(waiting)
        if before == 0 and macs:
            self._turns.append(overlay)
        for mac in macs:
            waiting[mac] = wanted
        added = len(waiting) - before
        if added:
            last, count = lane.since.pop() if lane.since else (since, 0)
            if last != since:
                lane.since.append((last, count))
                count = 0
            lane.since.append((since, count + added))
        return len(macs) - added

    def put_barrier(self, barrier: Barrier, overlay: str | None = None) -> None:
        """Put a barrier behind all that waits, or all that waits in one overlay's lane."""
        names: Iterable[str]
        if overlay is None:
            names = [name for name, lane in self._lanes.items() if lane.waiting]
        elif overlay in self._lanes:
            names = [overlay]
        elif barrier.drop is not None:
            barrier.drop()
            return
        else:
            names = []
        self._barriers += 1
        name_of_barrier = b"barrier %d" % self._barriers
        for name in names:
            waiting = self._lanes[name].waiting
            if not waiting:
                self._turns.append(name)
            waiting[name_of_barrier] = barrier
            barrier.lanes += 1
        if barrier.lanes == 0:
            barrier.run()

    def next_work(self) -> Work | None:
        """Take what is to be done next, or None if nothing waits."""
        while self._turns:
            overlay = self._turns.popleft()
            lane = self._lanes[overlay]
            work = _take(overlay, lane)
            if lane.waiting:
                self._turns.append(overlay)
            if not isinstance(work, Barrier):
                return work
            work.lanes -= 1
            if work.lanes == 0:
                return work
        return None

    def found_group(
        self, overlay: str, mac: bytes, targets: tuple[Target, ...], *, torn: bool
    ) -> None:
        """Take note of the destinations that a group MAC has in the kernel, as far as known.

        `torn`: some are not as varpd writes them, and the next change writes all of them anew.
        """
        lane = self._lanes.get(overlay)
        if lane is not None:
            lane.groups[mac] = targets
            if torn:
                lane.torn.add(mac)

    def forget_group(self, overlay: str, mac: bytes) -> None:
        """Take note that the kernel has no destination of a group MAC."""
        lane = self._lanes.get(overlay)
        if lane is not None:
            lane.groups.pop(mac, None)


def _take(overlay: str, lane: _Lane) -> Work:
    """Take a barrier, a group MAC, or as many unicast MACs as make a batch."""
    installs: dict[Target, list[bytes]] = {}
    removals: list[bytes] = []
    waiting = lane.waiting
    add = removals.append
    before: object = None
    for taken in range(min(BATCH, len(waiting))):
        key, wanted = waiting.popitem(last=False)
        # MACs of one target mostly stand together: only where they do not, there is more to see.
        if wanted is not before:
            if isinstance(wanted, Barrier | tuple):
                if taken == 0:
                    if isinstance(wanted, Barrier):
                        return wanted
                    _take_since(lane, 1)
                    return _group_change(overlay, lane, key, wanted)
                waiting[key] = wanted
                waiting.move_to_end(key, last=False)
                break
            add = (removals if wanted is None else installs.setdefault(wanted, [])).append
            before = wanted
        add(key)
    batch = Batch(overlay, lane.table, installs, removals)
    batch.since = _take_since(lane, batch.size)
    return batch


def _take_since(lane: _Lane, rows: int) -> list[tuple[float, int]]:
    """Take from a lane when the frames came that its first rows are for."""
    taken = []
    while rows:
        since, count = lane.since.popleft()
        some = min(count, rows)
        if some < count:
            lane.since.appendleft((since, count - some))
        rows -= some
        if since:
            taken.append((since, some))
    return taken


def _group_change(overlay: str, lane: _Lane, mac: bytes, wanted: tuple[Target, ...]) -> GroupChange:
    there = lane.groups.pop(mac, ())
    anew = mac in lane.torn
    if anew:
        lane.torn.discard(mac)
        there = ()
    if wanted:
        lane.groups[mac] = wanted
    return GroupChange(
        overlay,
        lane.table,
        mac,
        added=[target for target in dict.fromkeys(wanted) if target not in there],
        removed=[target for target in dict.fromkeys(there) if target not in wanted],
        whole=not wanted,
        anew=anew,
    )
