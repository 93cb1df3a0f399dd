"""One search plugin at work for one overlay, from its creation to its end.

An instance outlives the plugin's object: after a panic it ends the object and makes another from
what was saved last::

    start ──► AT WORK ──stop──► STOPPED
                │  ▲
          panic │  │ restored, after a back-off
                ▼  │
               DOWN ────stop──► STOPPED
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from varpd.daemon.backoff import Backoff
from varpd.daemon.calls import OperationFailed
from varpd.daemon.declared import Declared
from varpd.daemon.degradation import Cause, CauseKind
from varpd.daemon.endpoints import Endpoints
from varpd.daemon.guard import STOPPED
from varpd.daemon.health import Health
from varpd.daemon.host import Place
from varpd.daemon.instance_settings import InstanceSettings
from varpd.daemon.life import Life, LifeOwner
from varpd.daemon.lookups import Meter
from varpd.daemon.mailbox import PanicSaid
from varpd.daemon.operations import Operations
from varpd.daemon.questions import Questions, failed
from varpd.daemon.recent import PANIC
from varpd.daemon.saver import Keep, Saver, keep_nothing
from varpd.daemon.shared import SharedObjects
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.datapath.encapsulation import Encapsulation
from varpd.engine.commands import CancelQuestions
from varpd.engine.events import DefaultTargetSet, Event, InstanceStarted, InstanceStopped
from varpd.provider.answers import Target
from varpd.provider.errors import ProviderError
from varpd.provider.plugin import Plugin, State, StopReason
from varpd.provider.properties import Value

_COUNTED: Final = dict.fromkeys(("ignored", "lost", "late_answers", "other_family", "panics"), 0)
"""What is counted besides faults."""


class InstanceFailed(Exception):  # noqa: N818 - named like what a plugin raises beside it
    """An instance cannot begin, or is gone; the message is a sentence for the operator."""


class Instance:
    """One search plugin at work for one overlay.

    `degrade` and `clear` say on behalf of varpd why the instance works badly (such as `DATAPATH`),
    and take it back; `fault` counts a fault that others noticed, such as a time-out.

    All methods are called from the event loop. `start` emits `InstanceStarted` (for a POINT
    plugin followed by `DefaultTargetSet`), `stop` and a panic emit `InstanceStopped`; so the
    engine must know the overlay before `start` is called.
    """

    def __init__(
        self,
        plugin: type[Plugin],
        overlay: str,
        vnetid: int,
        encapsulation: Encapsulation,
        local: Target | None,
        settings: InstanceSettings,
        tasks: Tasks,
        emit: Callable[[Event], None],
        shared: SharedObjects,
        changed: Callable[[], None],
        watchdog: Watchdog | None = None,
        meter: Meter | None = None,
        keep: Keep = keep_nothing,
    ) -> None:
        """Take what the instance works for and with.

        Args:
            plugin: a class that the loader registered.
            overlay: name of the overlay.
            vnetid: its virtual network identifier.
            encapsulation: how its frames are wrapped.
            local: this host's own VTEP, if it is known; its family is the underlay's.
            settings: may be replaced later by `configure`.
            tasks: whose end is the daemon's end.
            emit: takes what the instance says unasked; never called within `ask` or `cancel`.
            shared: what instances of one plugin share.
            changed: called when causes, the saved state or the default target changed.
            watchdog: is told who runs on the event loop.
            meter: counts what the plugin answers.
            keep: stores what the plugin saved.
        """
        self.values: Mapping[str, Value] = {}
        """The plugin's properties that are set."""
        self.meter = meter or Meter()  # what the plugin answered, in all its lives
        self.endpoints = Endpoints(overlay)  # which guests are here, as the plugin is told
        self.see_ports = self.endpoints.see
        self.default_target: Target | None = None
        """Where everything goes; None for a DYNAMIC plugin or before `start`."""
        self._place = Place(plugin, overlay, vnetid, encapsulation.name, encapsulation.kinds, local)
        self._settings = settings
        self._tasks, self._emit = tasks, emit
        self._shared = shared
        self._changed = changed
        self._watchdog = watchdog or Watchdog()
        self._health = Health(overlay, plugin.name, changed)
        self.degrade = self._health.degrade
        self.clear = self._health.clear
        self.fault = self._health.fault
        self._counts = Counter(_COUNTED)
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._saver = Saver(overlay, self._health, tasks, changed, keep)
        self._declared = Declared(plugin, encapsulation.kinds)
        self._life: Life | None = None
        self._starting: Life | None = None
        self._ended = asyncio.Event()
        self._recovery: asyncio.Task[None] | None = None
        self._pauses, self._began = Backoff(settings.restart_min, settings.restart_max), 0.0

    async def start(self, values: Mapping[str, Value], state: State | None = None) -> None:
        """Make the plugin's object, set its properties, start it, and save it.

        Args:
            values: the plugin's properties that are set; the truth where `state` differs.
            state: what an earlier `save` returned, if it is to be restored.

        Raises:
            ProviderError: the plugin refuses; `PropertyMissing` names all that is missing.
            InstanceFailed: anything else; the instance is closed either way.
        """
        async with self._lock:
            if self._life is not None:
                raise ValueError("the instance was started already")
            self._saver.state = state
            reason = StopReason.DELETED if state is None else StopReason.FAULT
            await self._begin(self._declared.check(values), state, reason)

    def ask(self, command: Questions) -> list[Event]:
        """Ask the plugin; never raises.

        Returns:
            What the plugin said meanwhile, then one event with an answer for each question,
            `DEFERRED` for what comes later through `emit`.
        """
        life = self._life
        return [failed(command, STOPPED)] if life is None else life.exchange.ask(command)

    @property
    def operations(self) -> Operations | None:
        """The operations of the plugin's object that is at work, if one is."""
        return None if self._life is None else self._life.operations

    def cancel(self, command: CancelQuestions) -> None:
        """Give up questions; `Failed` is their answer, given through `emit` soon."""
        if self._life is not None:
            self._life.guard.cancel(command.questions)

    def configure(self, settings: InstanceSettings) -> None:
        """Take other settings, for all that begins from now on."""
        self._settings = settings

    async def set_properties(self, values: Mapping[str, Value | None]) -> None:
        """Set properties of the plugin, all or none; None goes back to the default.

        An instance that is down after a panic is restored with them at once.

        Raises:
            ProviderError: one was refused; nothing changed.
            InstanceFailed: the plugin failed or was stopped meanwhile; nothing changed.
        """
        async with self._lock:
            wanted = {**self.values, **values}
            merged = {name: value for name, value in wanted.items() if value is not None}
            checked = self._declared.check(merged)
            self._declared.check_changes(self.values, values)
            life = self._life
            if life is None:
                if self._recovery is None:
                    raise InstanceFailed("the instance is not at work")
                await self._begin(checked, self._saver.state, StopReason.FAULT)
                return
            timeout = self._settings.start_timeout
            changes = {name: checked.get(name) for name in values}
            try:
                await life.operations.set_all(changes, self.values, timeout)
            except OperationFailed as exc:
                raise InstanceFailed(str(exc)) from exc
            self.values = checked
            await self._ask_default(life)
            await self._saver.save(life, self._settings.lookup_timeout)
            self._changed()

    def get_property(self, name: str) -> Value | None:
        """Return the value of the plugin's property, its default, or None.

        Raises:
            PropertyUnknown: there is no property of that name.
        """
        declared = self._declared.find(name)
        if self._life is not None:
            with suppress(OperationFailed, ProviderError):
                return self._life.operations.get_property(name)
        return self.values.get(name, declared.default)

    @property
    def saved_state(self) -> State | None:
        """What the last good `save` returned."""
        return self._saver.state

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why the instance works badly, the gravest first."""
        return self._health.causes

    @property
    def counters(self) -> dict[str, int]:
        """Counts since the instance was made, by name."""
        return {**self._counts, "faults": self._health.faults}

    async def reload(self) -> None:
        """Have the plugin read its data again; what goes wrong is a fault."""
        life = self._life
        if life is None:
            return
        try:
            await life.operations.reload(self._settings.start_timeout)
        except ProviderError as exc:
            self._health.fault(f"reload raised {type(exc).__name__}: {exc}", exc)
        except OperationFailed:
            # Its fault was reported; what the plugin knows is told anew all the same.
            pass
        if self._life is life and self._settings.preload:
            life.preload(self._settings.max_targets, self._settings.lookup_timeout)

    async def forget_state(self) -> None:
        """Forget what was saved, and make another object of the plugin from its properties alone.

        If that does not come to work it is tried again, as after a panic.

        Raises:
            StoreError: the state cannot be forgotten; nothing has changed.
        """
        async with self._lock:
            await self._saver.forget()
            life, self._life = self._life, None
            if life is not None:
                self._emit_stopped(life.exchange.stop())
                await life.end(StopReason.FAULT)
            self._saver.resume()
            self._health.clear(CauseKind.PLUGIN)
            await self._try_again()
            if self._recovery is None or self._recovery.done():
                # It ends at once if there is nothing to do.
                self._recovery = self._tasks.start(self._recover(), "recovery")

    async def stop(self, reason: StopReason) -> None:
        """End the instance for good; nothing is emitted after this returned."""
        if self._ended.is_set():
            return
        if self._life is not None and reason is not StopReason.FAULT:
            await self._saver.save(self._life, self._settings.lookup_timeout)
        self._ended.set()
        for life in (self._starting, self._life):
            if life is not None:
                life.abort()
        async with self._lock:
            life, self._life = self._life, None
            if life is not None:
                self._emit_stopped(life.exchange.stop())
                await life.end(reason)
        if self._recovery is not None:
            await asyncio.wait({self._recovery})
        self._saver.end()
        self._health.end()
        self.meter.end()

    async def _begin(
        self, values: dict[str, Value], state: State | None, reason: StopReason
    ) -> None:
        """Bring a new life to work; `reason` is why it stops if that fails after its start."""
        if self._ended.is_set():
            raise InstanceFailed("the instance was stopped")
        settings = self._settings
        owner = LifeOwner(self._health, self._emit)
        life = Life(self._place, self._shared, self._watchdog, owner, self._counts, self.meter)
        owner.save_wanted = lambda: self._saver.save_soon(life, self._settings.lookup_timeout)
        owner.taken = self.endpoints.taken
        owner.panicked = lambda panic: self._panicked(life, panic)
        self._starting = life
        try:
            target = await life.begin(
                values, state, settings.start_timeout, settings.lookup_timeout
            )
        except BaseException as exc:
            await life.end(reason)
            if isinstance(exc, OperationFailed):
                raise InstanceFailed(str(exc)) from exc
            raise
        finally:
            self._starting = None
        self.values = values
        self._life = life
        self._began = self._loop.time()
        self._health.clear(CauseKind.PANIC, CauseKind.RESTORE, CauseKind.START)
        self._emit(InstanceStarted(self._place.overlay))
        if target is not None:
            self.default_target = target
            self._emit(DefaultTargetSet(self._place.overlay, target))
        life.open()
        life.publish(self.endpoints, settings.lookup_timeout)
        await self._saver.save(life, settings.lookup_timeout)
        if settings.preload:
            life.preload(settings.max_targets, settings.lookup_timeout)
        self._changed()

    async def _ask_default(self, life: Life) -> None:
        """Ask a POINT plugin again; the old target stays if it has none."""
        if self.default_target is None:
            return
        with suppress(OperationFailed, ProviderError):
            target = await life.operations.default(self._settings.lookup_timeout)
            if target is None:
                message = f"no destination; {self.default_target} stays"
                self._health.degrade(CauseKind.START, message)
            else:
                self._health.clear(CauseKind.START)
                if target != self.default_target:
                    self.default_target = target
                    self._emit(DefaultTargetSet(self._place.overlay, target))

    def _panicked(self, life: Life, panic: PanicSaid) -> None:
        """Take a life that gave up from its work, whatever is going on."""
        if life.gave_up:
            return
        life.gave_up = True
        self._counts["panics"] += 1
        self._health.log.error(
            PANIC, message=panic.message, stack=panic.stack, before=list(self._health.recent)
        )
        if self._life is not life:
            # It is not at work yet, or no longer: who waits for it hears of it.
            return
        self._life = None
        dropped = life.exchange.stop()
        life.abort()
        self._health.clear(CauseKind.PLUGIN)
        self._health.degrade(CauseKind.PANIC, panic.message)
        if self._loop.time() - self._began > 2 * self._settings.restart_max:
            self._pauses.reset()
        self._recovery = self._tasks.start(self._recover(life, dropped), f"{life} recovery")

    def _emit_stopped(self, dropped: Iterable[Event]) -> None:
        """Say that the instance answers no more, outstanding questions included."""
        self._emit(InstanceStopped(self._place.overlay))
        for event in dropped:
            self._emit(event)

    async def _recover(self, life: Life | None = None, dropped: Sequence[Event] = ()) -> None:
        """End a life that gave up, and make another one from the last saved state."""
        if life is not None:
            self._emit_stopped(dropped)
            async with self._lock:
                await life.end(StopReason.FAULT)
        while self._life is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self._pauses.next())
            if self._ended.is_set():
                return
            async with self._lock:
                await self._try_again()

    async def _try_again(self) -> None:
        if self._life is not None or self._ended.is_set():
            return
        state = self._saver.state
        try:
            await self._begin(dict(self.values), state, StopReason.FAULT)
        except (ProviderError, InstanceFailed) as exc:
            kind = CauseKind.START if state is None else CauseKind.RESTORE
            self._health.degrade(kind, str(exc))
