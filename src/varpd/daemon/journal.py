"""The memory of what happened: a bounded story of each overlay, for all that explains.

It is fed where all events and commands pass (`varpd.daemon.runner`), a record a batch: lists of a
batch are kept as they are, nothing is put into words before somebody asks. Frames are not kept.

An overlay's story has two rings, so that a guest who makes varpd busy does not push out what the
administrator did: one for what comes with traffic, one for all else. How much they hold is shared:
the more overlays, the shorter the memory of each.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct

from varpd.daemon.audience import Audience
from varpd.daemon.degradation import Cause
from varpd.daemon.records import KEPT, MAKERS, TRAFFIC, Batch, Detail, Kind, Record
from varpd.engine import commands, events
from varpd.engine.commands import Command
from varpd.engine.events import Event
from varpd.engine.settings import Settings
from varpd.net.addresses import IpAddress, MacAddress
from varpd.provider.answers import Neighbour


class Bounds(Struct, frozen=True):
    """What is remembered: of one overlay at most, of all together, and of one at least."""

    overlay: int
    total: int
    least: int

    def each(self, overlays: int) -> int:
        """Return the bound for each of so many overlays."""
        return max(self.least, min(self.overlay, self.total // max(1, overlays)))


class Memory(Struct, frozen=True):
    """Bounds of all that is remembered."""

    traffic: Bounds = Bounds(overlay=2_048, total=16_384, least=16)
    """Records of traffic, a batch each."""

    others: Bounds = Bounds(overlay=512, total=65_536, least=64)
    """Records of all else."""

    addresses: Bounds = Bounds(overlay=4_096, total=65_536, least=64)
    """Overlay addresses of which it is known who has them."""


MEMORY: Final = Memory()


class KnownAddress(Struct, frozen=True):
    """What was last said of who has an overlay address."""

    mac: MacAddress | None
    """None: nobody that the plugin knows."""

    at: float
    """When, by the clock of the loop."""

    announced: bool
    """Whether the plugin said it unasked."""


class Story:
    """What is remembered of one overlay."""

    def __init__(self, settings: Settings) -> None:
        """Begin with nothing; `settings` are those that later ones are compared with."""
        self.settings = settings
        self.traffic: deque[Record | Batch] = deque()
        self.others: deque[Record] = deque()
        self.addresses: dict[IpAddress, KnownAddress] = {}
        self.causes: dict[str, str] = {}


class Journal:
    """Remembers what happened; a `varpd.daemon.runner.Observer`."""

    def __init__(
        self,
        clock: Callable[[], float],
        audience: Audience | None = None,
        memory: Memory = MEMORY,
    ) -> None:
        """Take the clock of the loop, who hears of everything at once, and the bounds."""
        self.audience = Audience() if audience is None else audience
        """Who hears of everything at once."""

        self._clock = clock
        self._memory = memory
        self._stories: dict[str, Story] = {}
        self._number = 0
        self._special: dict[type, Callable[[Any, float], None]] = {
            events.OverlayAdded: self._added,
            events.OverlayChanged: self._changed,
            events.NeighboursAnswered: self._neighbours_answered,
            events.Announced: self._announced,
        }
        self._resize()

    # -- looking -------------------------------------------------------------------------------

    def story(self, overlay: str) -> Iterator[Record]:
        """Yield what is remembered of an overlay, the latest first."""
        found = self._stories.get(overlay)
        if found is not None:
            rings = reversed(found.traffic), reversed(found.others)
            for item in merge(*rings, key=attrgetter("number"), reverse=True):
                if isinstance(item, Batch):
                    yield from item.records()
                else:
                    yield item

    def known(self, overlay: str, address: IpAddress) -> KnownAddress | None:
        """Return what was last said of who has an overlay address."""
        found = self._stories.get(overlay)
        return None if found is None else found.addresses.get(address)

    # -- what does not come by the runner ------------------------------------------------------

    def say(self, overlay: str, kind: Kind, text: str) -> None:
        """Remember something about an overlay in words."""
        self._put(overlay, self._clock(), kind, (), text)

    def causes(self, overlay: str, causes: Iterable[Cause]) -> None:
        """Hear why an overlay works badly now; what is new in it is remembered."""
        found = self._stories.get(overlay)
        if found is None:
            return
        before, found.causes = found.causes, {item.cause.value: item.message for item in causes}
        for cause, message in found.causes.items():
            if before.get(cause) != message:
                self.say(overlay, Kind.DEGRADED, f"{cause}: {message}")
        for cause in before:
            if cause not in found.causes:
                self.say(overlay, Kind.RECOVERED, cause)

    # -- the runner ----------------------------------------------------------------------------

    def handled(self, event: Event, out: Sequence[Command], now: float) -> None:
        """See `Observer.handled`."""
        if type(event) is events.FramesPunted:
            if len(out) == 1 and type(out[0]) is commands.StartLookups:
                return  # what is answered is worth remembering, not that it is asked
        elif type(event) is events.LookupsAnswered and self._batch(event, out, now):
            return
        special = self._special.get(type(event))
        if special is not None:
            special(event, now)
        make = MAKERS.get(type(event))
        if make is not None and (fields := make(event)) is not None:
            overlay, kind, macs, detail = fields
            self._put(overlay, now, kind, macs, detail)
        for command in out:
            make = MAKERS.get(type(command))
            if make is not None and (fields := make(command)) is not None:
                overlay, kind, macs, detail = fields
                self._put(overlay, now, kind, macs, detail)
        if type(event) is events.OverlayRemoved:
            self._stories.pop(event.overlay, None)
            self._resize()

    def _batch(self, event: events.LookupsAnswered, out: Sequence[Command], now: float) -> bool:
        """Remember a batch if all answers in it are targets with rows; return whether they are."""
        found = []
        count = 0
        for command in out:
            if type(command) is not commands.Install:
                return False
            macs = command.macs
            count += len(macs)
            found.append((command.target, macs))
        story = self._stories.get(event.overlay)
        if story is None or count != len(event.answers):
            return False
        self._number += 1
        batch = Batch(self._number, now, found)
        story.traffic.append(batch)
        if self.audience.is_there:
            for record in reversed(list(batch.records())):
                self.audience.tell(event.overlay, record)
        return True

    def _put(
        self, overlay: str, at: float, kind: Kind, macs: Sequence[bytes], detail: Detail
    ) -> None:
        found = self._stories.get(overlay)
        if found is None:
            return
        count = len(macs)
        self._number += 1
        kept = macs if count <= KEPT else macs[:KEPT]
        record = Record(self._number, at, kind, kept, count, detail)
        if kind in TRAFFIC:
            found.traffic.append(record)
        else:
            found.others.append(record)
        if self.audience.is_there:
            self.audience.tell(overlay, record)

    def _resize(self) -> None:
        """Share the memory anew."""
        overlays = len(self._stories)
        self._addresses_room = self._memory.addresses.each(overlays)
        traffic, others = self._memory.traffic.each(overlays), self._memory.others.each(overlays)
        for story in self._stories.values():
            if story.traffic.maxlen != traffic:
                story.traffic = deque(story.traffic, traffic)
            if story.others.maxlen != others:
                story.others = deque(story.others, others)

    def _added(self, event: events.OverlayAdded, _: float) -> None:
        self._stories[event.overlay] = Story(event.settings)
        self._resize()

    def _changed(self, event: events.OverlayChanged, now: float) -> None:
        found = self._stories.get(event.overlay)
        if found is not None:
            before, found.settings = found.settings, event.settings
            self._put(event.overlay, now, Kind.CHANGED, (), _difference(before, event.settings))

    def _neighbours_answered(self, event: events.NeighboursAnswered, now: float) -> None:
        for question, answer in zip(event.questions, event.answers, strict=True):
            if not isinstance(answer, events.Deferred | events.Failed):
                mac = answer.mac if isinstance(answer, Neighbour) else answer
                holder = mac if isinstance(mac, MacAddress) else None
                known = KnownAddress(holder, now, announced=False)
                self._know(event.overlay, question.address, known)

    def _announced(self, event: events.Announced, now: float) -> None:
        known = KnownAddress(MacAddress(event.mac), now, announced=True)
        self._know(event.overlay, event.address, known)

    def _know(self, overlay: str, address: IpAddress, known: KnownAddress) -> None:
        """Remember who has an address, as was said last."""
        found = self._stories.get(overlay)
        if found is None:
            return
        found.addresses.pop(address, None)
        found.addresses[address] = known
        while len(found.addresses) > self._addresses_room:
            del found.addresses[next(iter(found.addresses))]


def _difference(before: Settings, after: Settings) -> str:
    """Return in words what of the settings is another."""
    return ", ".join(
        f"{name} {old} to {new}"
        for name in before.__struct_fields__
        if (old := getattr(before, name)) != (new := getattr(after, name))
    )
