"""The life of one object of a plugin, from its constructor to its close.

    constructor or restore ─► set_property ... ─► start ─► questions ─► stop ─► close
                 └──────────────────┴── refused, failed ──┴──────────────────────►

What it says through its host takes effect from the moment when `start` has returned.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from varpd.daemon.calls import Caller, OperationFailed
from varpd.daemon.endpoints import Endpoints
from varpd.daemon.exchange import Exchange, Owner
from varpd.daemon.guard import Guard
from varpd.daemon.health import Health
from varpd.daemon.host import InstanceHost, Place
from varpd.daemon.lookups import Meter
from varpd.daemon.mailbox import Mailbox, PanicSaid
from varpd.daemon.operations import Operations, questions_of
from varpd.daemon.preload import preload
from varpd.daemon.shared import SharedObjects
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.engine.events import Event
from varpd.provider.answers import Target
from varpd.provider.judge import Judge
from varpd.provider.plugin import DynamicPlugin, PointPlugin, State, StopReason
from varpd.provider.properties import Value


class LifeOwner:
    """What one life reports to, so that the instance knows which of its lives it was."""

    def __init__(self, health: Health, emit: Callable[[Event], None]) -> None:
        """Take what hears of faults, and what takes events."""
        self.fault = health.fault
        self.good = health.good
        self.condition = health.condition
        self.note = health.note
        self.emit = emit
        self.taken: Callable[[bytes, str], None] = lambda mac, message: None
        self.save_wanted: Callable[[], None] = lambda: None
        self.panicked: Callable[[PanicSaid], None] = lambda _: None


class Life:
    """One object of a plugin."""

    def __init__(
        self,
        place: Place,
        shared: SharedObjects,
        watchdog: Watchdog,
        owner: Owner,
        counts: Counter[str],
        meter: Meter,
    ) -> None:
        """Take what the object is made for; `begin` makes it."""
        self.started = False
        """Whether `start` has returned and `stop` was not called."""
        self.gave_up = False
        """Whether its panic was heard."""
        self._place = place
        self._owner = owner
        self._tasks = Tasks()
        self.mailbox = Mailbox(lambda: self.exchange.deliver(), counts)
        self.judge = Judge(
            place.plugin,
            place.kinds,
            place.family,
            lambda target: owner.note("target is not of the underlay's family", target=str(target)),
            counts,
        )
        self._caller = Caller(self._tasks, watchdog, self, owner, blocking=place.plugin.blocking)
        self.guard = Guard(self._caller, self.judge, self.mailbox, owner, counts, meter)
        self.exchange = Exchange(place.overlay, self.mailbox, self.guard, owner, counts)
        self._host = InstanceHost(place, self.mailbox, shared, self._spawn)
        self.operations = Operations(place, self._caller, self.judge, self.mailbox, owner)

    def __str__(self) -> str:
        return f"{self._place.overlay}/{self._place.plugin.name}"

    def blocked_loop(self, seconds: float) -> None:
        """Hear from the watchdog."""
        self._owner.fault(f"an operation blocked the event loop for {seconds:.1f} s")

    async def begin(
        self,
        values: Mapping[str, Value],
        state: State | None,
        start_timeout: float,
        default_timeout: float,
    ) -> Target | None:
        """Bring the plugin to work, as far as nobody else notices.

        Returns:
            A POINT plugin's target.

        Raises:
            ProviderError: the plugin refuses.
            OperationFailed: anything else, such as no target.
        """
        do = self.operations
        do.make(self._host, state)
        await do.make_values(values, start_timeout, restored=state is not None)
        await do.start(start_timeout)
        self.started = True
        do.look_for_panic()
        if not issubclass(self._place.plugin, PointPlugin):
            return None
        target = await do.default(default_timeout)
        if target is None:
            raise OperationFailed("no destination")
        return target

    def open(self) -> None:
        """Take questions, and let what was said take effect."""
        plugin = self.operations.plugin
        if isinstance(plugin, DynamicPlugin):
            self.guard.begin(questions_of(plugin))
        self.mailbox.open()

    def preload(self, limit: int, timeout: float) -> None:
        """Begin to tell the engine all that the plugin can enumerate."""
        plugin = self.operations.plugin
        if isinstance(plugin, DynamicPlugin) and self.started:
            work = preload(
                plugin, self.exchange, self._caller, self.judge, self._owner, limit, timeout
            )
            self._tasks.start(self._caller.watch("enumerate", work), f"{self} preload")

    def publish(self, endpoints: Endpoints, timeout: float) -> None:
        """Begin to tell the plugin which endpoints there are, if it wants to know."""
        if self.operations.publishes:
            work = endpoints.publish(self.operations, timeout)
            self._tasks.start(work, f"{self} endpoints")

    @property
    def at_work(self) -> bool:
        """Whether the plugin was started and nothing has ended that."""
        return self.started and self.mailbox.panic is None

    def abort(self) -> None:
        """Give up what is in progress, so that the end need not wait for it."""
        self._caller.abort()

    async def end(self, reason: StopReason) -> None:
        """Stop the plugin if it was started, and close it; raises nothing."""
        self.guard.stop()
        self.abort()
        if self.started:
            self.started = False
            await self.operations.stop(reason)
        await self._tasks.end()
        await self.operations.close()
        self.mailbox.close()
        for shared in self._host.release():
            await self.operations.last("close of a shared object", shared.close, on_loop=True)
        self._caller.end()
        await self._tasks.end()

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run a task that the plugin wants; on the loop."""
        if self.mailbox.closed:
            self.mailbox.ignore()
            coroutine.close()
            return
        task = self._caller.watch(f"task {name}", coroutine)
        self._caller.start_task(task, name, coroutine)
