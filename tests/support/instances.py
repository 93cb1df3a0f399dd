"""A real instance, guard and host around a probe plugin, for tests: nothing else is real."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Any, Final

from support.probes import VALUES
from support.waiting import until
from varpd.daemon.instance import Instance
from varpd.daemon.instance_settings import InstanceSettings
from varpd.daemon.saver import Keep, keep_nothing
from varpd.daemon.shared import SharedObjects
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.datapath.encapsulation import VXLAN
from varpd.engine.commands import CancelQuestions, StartDhcp, StartLookups, StartNeighbours
from varpd.engine.events import (
    Deferred,
    DhcpAnswered,
    Event,
    LookupsAnswered,
    NeighbourQuestion,
    NeighboursAnswered,
)
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target
from varpd.provider.plugin import Plugin, StopReason
from varpd.provider.properties import Value
from varpd.provider.query import FRAME, Cause, Query

OVERLAY: Final = "blue"
VNETID: Final = 77
LOCAL: Final = Target(ip=IPv4Address("192.0.2.100"), port=4789)

PATIENCE: Final = 20.0
"""Seconds after which a condition that does not come true fails a test."""

SOON: Final = InstanceSettings(restart_min=0.01, restart_max=0.05)
"""Restarts without a wait that anybody would notice."""


def query(mac: bytes, cause: Cause = FRAME) -> Query:
    """Return a question about an IPv4 frame to `mac`, or a refresh."""
    frame = mac + b"\x02\x00\x00\x00\x00\x01" + b"\x08\x00" + bytes(46)
    return Query(key=mac, vnetid=VNETID, packet=frame if cause is FRAME else None, cause=cause)


class Stage:
    """One instance at a time of one plugin, and all that it says."""

    def __init__(
        self,
        plugin: type[Plugin],
        settings: InstanceSettings = SOON,
        *,
        shared: SharedObjects | None = None,
        watchdog: Watchdog | None = None,
        overlay: str = OVERLAY,
        keep: Keep = keep_nothing,
    ) -> None:
        self.events: list[Event] = []
        self.objects: list[Any] = []
        """The objects of the plugin that were made, in that order."""
        self.changes = 0
        self.tasks = Tasks()
        self.overlay = overlay
        objects = self.objects

        class Kept(plugin):  # type: ignore[misc,valid-type] # any plugin
            api_version = 1

            def __init__(self, host: Any, destination: Any) -> None:
                objects.append(self)
                super().__init__(host, destination)

        self.instance = Instance(
            Kept,
            overlay,
            VNETID,
            VXLAN,
            LOCAL,
            settings,
            self.tasks,
            self.events.append,
            SharedObjects() if shared is None else shared,
            self._changed,
            watchdog,
            keep=keep,
        )

    @property
    def plugin(self) -> Any:
        """The plugin's object that was made last."""
        return self.objects[-1]

    @property
    def causes(self) -> list[str]:
        """The names of the instance's causes, the gravest first."""
        return [cause.cause.value for cause in self.instance.causes]

    @property
    def faults(self) -> int:
        """How many faults were counted."""
        return self.instance.counters["faults"]

    def ask(self, *queries: Query) -> list[Any]:
        """Ask where frames go; return the answers at once, and keep what was said."""
        told = self.instance.ask(StartLookups(self.overlay, list(queries)))
        self.events += told
        answered = told[-1]
        assert isinstance(answered, LookupsAnswered)
        assert answered.queries == list(queries)
        return list(answered.answers)

    async def answer(self, question: Query) -> Any:
        """Ask where a frame goes, and wait for the answer."""
        self.ask(question)
        return await self.final(question)

    async def neighbour(self, address: IpAddress) -> Any:
        """Ask who has an address, and wait for the answer."""
        question = NeighbourQuestion(address)
        self.events += self.instance.ask(StartNeighbours(self.overlay, [question]))
        return await self.final(question)

    async def dhcp(self, question: Query) -> Any:
        """Ask for the DHCP server, and wait for the answer."""
        self.events += self.instance.ask(StartDhcp(self.overlay, [question]))
        return await self.final(question)

    async def final(self, question: object) -> Any:
        """Wait for the one answer to a question that is not DEFERRED."""
        await until(lambda: self.answers(question))
        answers = self.answers(question)
        assert len(answers) == 1
        return answers[0]

    def answers(self, question: object) -> list[Any]:
        """Return all answers to a question so far but DEFERRED."""
        found: list[Any] = []
        for event in self.events:
            if isinstance(event, LookupsAnswered | DhcpAnswered):
                pairs: list[tuple[object, object]] = list(
                    zip(event.queries, event.answers, strict=True)
                )
            elif isinstance(event, NeighboursAnswered):
                pairs = list(zip(event.questions, event.answers, strict=True))
            else:
                continue
            found += [answer for asked, answer in pairs if asked is question]
        return [answer for answer in found if not isinstance(answer, Deferred)]

    def cancel(self, *questions: Query) -> None:
        """Give up questions."""
        self.instance.cancel(CancelQuestions(self.overlay, list(questions)))

    def _changed(self) -> None:
        self.changes += 1


@asynccontextmanager
async def running(
    plugin: type[Plugin],
    settings: InstanceSettings = SOON,
    values: Mapping[str, Value] = VALUES,
    **kept: Any,
) -> AsyncIterator[Stage]:
    """Start an instance of `plugin`, and stop it in the end."""
    stage = Stage(plugin, settings, **kept)
    await stage.instance.start(values)
    try:
        yield stage
    finally:
        await stage.instance.stop(StopReason.DELETED)
        await stage.tasks.end()
