"""One search plugin at work for one overlay, from its creation to its end."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from varpd.daemon.degradation import Cause, CauseKind
from varpd.daemon.shared import SharedObjects
from varpd.daemon.tasks import Tasks
from varpd.daemon.watchdog import Watchdog
from varpd.datapath.encapsulation import Encapsulation
from varpd.engine.commands import CancelQuestions, StartDhcp, StartLookups, StartNeighbours
from varpd.engine.events import Event
from varpd.provider.answers import Target
from varpd.provider.plugin import Plugin, State, StopReason
from varpd.provider.properties import Value


class InstanceFailed(Exception):  # noqa: N818 - named like what a plugin raises beside it
    """An instance cannot begin, or is gone; the message is a sentence for the operator."""


class InstanceSettings(Struct, frozen=True):
    """What an operator can set on how varpd treats an instance."""

    lookup_timeout: float = 5.0
    """Seconds that a blocking plugin may take for a plain operation that no frame waits for."""

    start_timeout: float = 30.0
    """Seconds that `start` and each `set_property` may take."""

    preload: bool = False
    """Whether all that the plugin can enumerate is told to the engine after start and reload."""

    max_targets: int = 262_144
    """How many targets are preloaded at most: the bound of the overlay's table."""

    restart_min: float = 1.0
    """Seconds before the first restart after a panic; doubled for each that follows."""

    restart_max: float = 32.0
    """Seconds between restarts at most."""


class Instance:
    """One search plugin at work for one overlay.

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
            emit: takes what the instance says unasked; called from the event loop, never
                from within a method of the instance that is not a coroutine.
            shared: what instances of one plugin share.
            changed: called when causes, the saved state or the default target changed.
            watchdog: is told who runs on the event loop.
        """
        raise NotImplementedError

    async def start(self, values: Mapping[str, Value], state: State | None = None) -> None:
        """Make the plugin's object, set its properties, start it, and save it.

        Args:
            values: the plugin's properties that are set; the truth where `state` differs.
            state: what an earlier `save` returned, if it is to be restored.

        Raises:
            ProviderError: the plugin refuses; `PropertyMissing` names all that is missing.
            InstanceFailed: anything else; the instance is closed either way.
        """
        raise NotImplementedError

    def ask(self, command: StartLookups | StartNeighbours | StartDhcp) -> list[Event]:
        """Ask the plugin; never raises.

        Returns:
            What the plugin said meanwhile, then one event with an answer for each question,
            `DEFERRED` for what comes later through `emit`.
        """
        raise NotImplementedError

    def cancel(self, command: CancelQuestions) -> None:
        """Give up questions; `Failed` is their answer, given through `emit` soon."""
        raise NotImplementedError

    def configure(self, settings: InstanceSettings) -> None:
        """Take other settings, for all that begins from now on."""
        raise NotImplementedError

    async def set_properties(self, values: Mapping[str, Value | None]) -> None:
        """Set properties of the plugin, all or none; None goes back to the default.

        Raises:
            ProviderError: one was refused; nothing changed.
            InstanceFailed: the plugin failed or was stopped meanwhile; nothing changed.
        """
        raise NotImplementedError

    def get_property(self, name: str) -> Value | None:
        """Return the value of the plugin's property, its default, or None."""
        raise NotImplementedError

    @property
    def values(self) -> Mapping[str, Value]:
        """The plugin's properties that are set."""
        raise NotImplementedError

    @property
    def default_target(self) -> Target | None:
        """Where everything goes; None for a DYNAMIC plugin or before `start`."""
        raise NotImplementedError

    @property
    def saved_state(self) -> State | None:
        """What the last good `save` returned."""
        raise NotImplementedError

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why the instance works badly, the gravest first."""
        raise NotImplementedError

    @property
    def counters(self) -> dict[str, int]:
        """Counts since the instance was made, by name."""
        raise NotImplementedError

    def degrade(self, cause: CauseKind, message: str) -> None:
        """Say on behalf of varpd why the instance works badly (such as `DATAPATH`)."""
        raise NotImplementedError

    def clear(self, cause: CauseKind) -> None:
        """Take back what `degrade` said."""
        raise NotImplementedError

    def fault(self, message: str) -> None:
        """Count a fault that others noticed, such as a time-out."""
        raise NotImplementedError

    async def reload(self) -> None:
        """Have the plugin read its data again."""
        raise NotImplementedError

    async def stop(self, reason: StopReason) -> None:
        """End the instance for good; nothing is emitted after this returned."""
        raise NotImplementedError
