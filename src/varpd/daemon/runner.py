"""The one place that turns the wheel: events into the engine, its commands out to where they go.

A turn begins with an event and ends when nothing is left to do because of it: what plugins answer
plainly goes back into the engine within the turn, once all that it had asked for has gone out. What
is fed from inside a turn has a turn of its own afterwards, so nothing here recurses.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, assert_never

import structlog

from varpd.daemon.degradation import CauseKind
from varpd.daemon.held import Held
from varpd.daemon.questions import Questions, failed
from varpd.datapath.base import Datapath, Sink
from varpd.engine import commands, events
from varpd.engine.commands import Command, DatapathCommand
from varpd.engine.events import Event, Failed
from varpd.provider.answers import Target

log = structlog.get_logger()

_NOBODY: Final = Failed("no instance")
_BROKEN: Final = Failed("internal error")


class Core(Protocol):
    """The engine, as the runner sees it."""

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in one event and return what has to be done, in order."""

    def next_deadline(self) -> float | None:
        """Return when `DeadlinePassed` is next due, or None."""

    def is_here(self, overlay: str, target: Target) -> bool:
        """Return whether a target of an overlay is this host."""


class Observer(Protocol):
    """Sees what happens and what follows from it.

    It is called for every batch of frames, so it has to be quick. It changes nothing of what it is
    shown, and keeps no list of frames: that would keep their memory.
    """

    def handled(self, event: Event, out: Sequence[Command], now: float) -> None:
        """See an event and the commands that the engine made of it, before they are carried out."""


class Asked(Protocol):
    """An instance, as the runner sees it."""

    def ask(self, command: Questions) -> list[Event]:
        """Ask the plugin; return what it said and answered at once."""

    def cancel(self, command: commands.CancelQuestions) -> None:
        """Give up questions."""

    def see_ports(self, ports: tuple[str, ...]) -> None:
        """Take the names of the guests' ports that there are."""

    def fault(self, message: str) -> None:
        """Count a fault."""

    def degrade(self, cause: CauseKind, message: str) -> None:
        """Say why the overlay works badly."""

    def clear(self, cause: CauseKind) -> None:
        """Take back what `degrade` said."""


_CAUSES: Final = {
    commands.ReportDatapath: CauseKind.DATAPATH,
    commands.ReportGuard: CauseKind.GUARD,
}


class Runner:
    """Feeds the engine, carries out its commands, and keeps its one timer."""

    def __init__(
        self,
        engine: Core,
        make_datapath: Callable[[Sink], Datapath],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Take the engine, what makes the datapath for its events, and the loop with the clock."""
        self.instances: dict[str, Asked] = {}
        """Who answers the questions of an overlay, by its name."""

        self.faults: Counter[str] = Counter()
        """Faults of varpd itself that were caught, by where."""

        self.observers: list[Observer] = []
        """Who sees all that happens, in this order."""

        self._engine = engine
        self._loop = loop
        self._waiting: deque[Event] = deque()
        self._turning = False
        self._held: dict[str, Held] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._armed: float | None = None
        self._reached = 0.0  # the last deadline; timers may come a moment before their time
        self.datapath = make_datapath(self.feed)
        """What carries frames."""

    def feed(self, event: Event) -> None:
        """Take in an event, from the loop's thread; never raises.

        When this returns the event has been dealt with, unless it came from inside a turn.
        """
        self._waiting.append(event)
        if self._turning:
            return
        self._turning = True
        try:
            while self._waiting:
                self._turn(self._waiting.popleft())
        finally:
            self._turning = False
        self._arm()

    def is_here(self, overlay: str, target: Target) -> bool:
        """Return whether a target of an overlay is this host."""
        return self._engine.is_here(overlay, target)

    def hold(self, overlay: str) -> None:
        """Keep commands for the datapath of an overlay until `release`: its links come later."""
        self._held[overlay] = Held()

    def release(self, overlay: str) -> None:
        """Give the datapath what was kept for an overlay, but for rows that are there already."""
        held = self._held.pop(overlay, None)
        if held is not None:
            self._apply(held.commands())

    def discard(self, overlay: str) -> None:
        """Throw away what was kept for an overlay."""
        self._held.pop(overlay, None)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._armed = None

    def _turn(self, event: Event) -> None:
        """Deal with an event and all that follows from it.

        What plugins answer is told to the engine only after all that it asked for before has gone
        out: else the rows of an answer could be written ahead of an older command for the same MAC.
        """
        if self._held and isinstance(event, events.RowsAdopted) and event.overlay in self._held:
            self._held[event.overlay].found(event.rows)
        for_datapath: list[DatapathCommand] = []
        told: deque[Event] = deque((event,))
        while told:
            for command in self._handle(told.popleft()):
                match command:
                    case (
                        commands.Install()
                        | commands.InstallReplicas()
                        | commands.RemoveRows()
                        | commands.SetDefaultTarget()
                        | commands.Resend()
                        | commands.Inject()
                        | commands.AskUsage()
                        | commands.CheckRows()
                    ):
                        for_datapath.append(command)
                    case (
                        commands.StartLookups() | commands.StartNeighbours() | commands.StartDhcp()
                    ):
                        # What is known goes out before the plugin takes its time.
                        self._apply(for_datapath)
                        for_datapath = []
                        told.extend(self._ask(command))
                    case (
                        commands.CancelQuestions()
                        | commands.ReportFault()
                        | commands.ReportDatapath()
                        | commands.ReportGuard()
                        | commands.ReportPorts()
                        | commands.Note()
                    ):
                        self._tell(command)
                    case _:
                        assert_never(command)
        self._apply(for_datapath)

    def _handle(self, event: Event) -> list[Command]:
        now = max(self._loop.time(), self._reached)
        try:
            out = self._engine.handle(event, now)
        except Exception as exc:
            self._caught("engine", exc, event)
            return []
        for observer in self.observers:
            try:
                observer.handled(event, out, now)
            except Exception as exc:
                self._caught("observer", exc, event)
        return out

    def _apply(self, batch: list[DatapathCommand]) -> None:
        if self._held:
            batch = [command for command in batch if not self._kept(command)]
        if not batch:
            return
        try:
            self.datapath.apply(batch)
        except Exception as exc:
            self._caught("datapath", exc, *batch)

    def _kept(self, command: DatapathCommand) -> bool:
        held = self._held.get(command.overlay)
        if held is None:
            return False
        held.keep(command)
        return True

    def _ask(self, command: Questions) -> list[Event]:
        instance = self.instances.get(command.overlay)
        if instance is None:
            return [failed(command, _NOBODY)]
        try:
            return instance.ask(command)
        except Exception as exc:
            self._caught("instance", exc, command)
            return [failed(command, _BROKEN)]

    def _tell(
        self,
        command: commands.CancelQuestions
        | commands.ReportFault
        | commands.ReportDatapath
        | commands.ReportGuard
        | commands.ReportPorts
        | commands.Note,
    ) -> None:
        """Carry out a command that nothing follows from."""
        if isinstance(command, commands.Note):
            mac = {} if command.mac is None else {"mac": command.mac.hex(":")}
            log.info(command.text, overlay=command.overlay, **mac)
            return
        instance = self.instances.get(command.overlay)
        if instance is None:
            return
        try:
            match command:
                case commands.CancelQuestions():
                    instance.cancel(command)
                case commands.ReportFault():
                    instance.fault(command.message)
                case commands.ReportPorts():
                    instance.see_ports(command.ports)
                case commands.ReportDatapath() | commands.ReportGuard():
                    cause = _CAUSES[type(command)]
                    if command.message is None:
                        instance.clear(cause)
                    else:
                        instance.degrade(cause, command.message)
                case _:
                    assert_never(command)
        except Exception as exc:
            self._caught("instance", exc, command)

    def _caught(self, where: str, exc: Exception, *work: Event | Command) -> None:
        """Count and log an exception of our own; what the work was about goes on without it."""
        self.faults[where] += 1
        log.error(
            "internal error",
            where=where,
            overlays=sorted({item.overlay for item in work if hasattr(item, "overlay")}),
            work=sorted({type(item).__name__ for item in work}),
            exc_info=exc,
        )

    def _arm(self) -> None:
        """See to it that the engine is told when its next deadline passes."""
        deadline = self._engine.next_deadline()
        if deadline == self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = deadline
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._due)

    def _due(self) -> None:
        if self._armed is not None:
            self._reached = self._armed
        self._timer = self._armed = None
        self.feed(events.DeadlinePassed())
