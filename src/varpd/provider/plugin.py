"""The base classes that a search plugin derives from."""

import enum
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar

from msgspec import Struct

from varpd.net.addresses import IpAddress, MacAddress
from varpd.provider import properties
from varpd.provider.answers import Answer, DhcpAnswer, Drop, NeighbourAnswer, Target
from varpd.provider.errors import PropertyInvalid, PropertyMissing, PropertyUnknown, Unsupported
from varpd.provider.host import Host
from varpd.provider.kinds import DestinationKind
from varpd.provider.properties import Property, Protection, Value
from varpd.provider.query import Query

API_VERSION: Final = 1
"""The version of this API; a plugin states it as ``api_version = 1`` in its own class body."""

Reply = TypeVar("Reply")

Later: TypeAlias = Reply | Awaitable[Reply] | Future[Reply]
"""An answer given plainly, which is the cheap way, or one that comes later."""

State = Mapping[str, Any]
"""What `Plugin.save` returns: a JSON object of at most 1 MiB."""


class StopReason(enum.Enum):
    """Why an instance is stopped."""

    DELETED = "deleted"
    """The overlay goes for good: what the instance published is withdrawn."""

    SHUTDOWN = "shutdown"
    """varpd ends and will go on later: what was published stays."""

    FAULT = "fault"
    """The instance gave up and will be restored."""


class Endpoint(Struct, frozen=True):
    """A guest's port on this host."""

    port: str
    """Name of the port's link, unique on the host."""

    mac: MacAddress
    """Overlay MAC address of the guest."""

    addresses: tuple[IpAddress, ...] = ()
    """Overlay addresses of the guest, as far as they are known."""

    takeover: bool = False
    """Whether the guest has come from another host, which has to give it up; else who was there
    first keeps it."""


class Plugin(ABC):
    """What plugins of both modes have in common.

    Derive from `PointPlugin` or `DynamicPlugin`, not from this. The base class keeps the values of
    declared properties, and saves and restores them.
    """

    name: ClassVar[str]
    """How operators call the plugin: ``[a-z][a-z0-9_-]{0,30}``."""

    blocking: ClassVar[bool] = False
    """Whether operations may block; varpd then calls them in worker threads, at most 8 at once."""

    ttl: ClassVar[float | None] = None
    """Seconds that answers hold, more than 0; None: until invalidated."""

    supplies: ClassVar[tuple[DestinationKind, ...] | None] = None
    """The combinations of kinds that the plugin can supply, None for any.

    The constructor refuses an encapsulation that needs another.
    """

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        """Make an instance; no input or output, no waiting.

        Args:
            host: the way to varpd; may be used at once.
            destination: what the overlay's encapsulation needs of a destination.

        Raises:
            Unsupported: the plugin cannot supply `destination`.
        """
        if self.supplies is not None and destination not in self.supplies:
            supplied = " or ".join(str(kinds) for kinds in self.supplies)
            raise Unsupported(
                f"plugin {self.name} supplies {supplied}, the encapsulation needs {destination}"
            )
        self.host = host
        self.destination = destination
        self._values: dict[str, Value] = {}

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        """Return the properties of an instance for `destination`, in an order that never changes.

        A plugin's properties are named ``<plugin>/<property>``. It raises nothing, not even for
        a destination that the constructor refuses.
        """
        return ()

    def get_property(self, name: str) -> Value | None:
        """Return the value of a property, else its default, else None.

        Raises:
            PropertyUnknown: there is no property `name`.
        """
        return self._values.get(name, self._declared(name).default)

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        """Set a property, or for None go back to its default.

        varpd has checked `value` against the declaration, and itself refuses, with `NotLive`, to
        change a property after `start` that is not declared `live`. It may be called in any
        state, and while any other operation is in progress. An override checks what the
        declaration cannot say, raises `PropertyInvalid` and changes nothing, or calls this one.

        Raises:
            PropertyUnknown: there is no property `name`.
            PropertyInvalid: it cannot have that value.
        """
        declared = self._declared(name)
        if declared.protection is Protection.R:
            raise PropertyInvalid(name, value, "it can only be read")
        if value is None:
            self._values.pop(name, None)
        else:
            self._values[name] = declared.check(value)
        return None

    async def start(self) -> None:
        """Begin to work; an override calls this first.

        Raises:
            PropertyMissing: required properties have no value; all are named.
        """
        missing = [
            declared.name
            for declared in self.properties(self.destination)
            if declared.required and self.get_property(declared.name) is None
        ]
        if missing:
            raise PropertyMissing(missing)

    async def stop(self, reason: StopReason) -> None:  # noqa: B027 - a default, not abstract
        """End what `start` began, within 5 s. Called once for each `start` that returned."""

    def close(self) -> None:  # noqa: B027 - a default, not abstract
        """Let go of everything. Called once for each instance that was made."""

    def save(self) -> State:
        """Return what the instance needs to be restored: a JSON object of at most 1 MiB."""
        return {name: properties.dump(value) for name, value in self._values.items()}

    @classmethod
    def restore(cls, state: State, host: Host, destination: DestinationKind) -> Self:
        """Make an instance from what an earlier `save` of the same plugin returned.

        It takes the place of the constructor. The base class makes an instance and sets the
        properties that are in `state`; it leaves everything else there alone. Afterwards varpd
        sets each property that it has stored with another value, and calls `start`.

        Raises:
            Unsupported: the plugin cannot supply `destination`.
            PropertyInvalid: a property can no longer have the value in `state`.
            TypeError: `set_property` is awaitable; such a plugin defines `restore` itself.
        """
        instance = cls(host, destination)
        for declared in cls.properties(destination):
            if declared.name in state:
                value = properties.load(declared, state[declared.name])
                pending = instance.set_property(declared.name, value)
                if pending is not None:
                    if inspect.iscoroutine(pending):
                        pending.close()
                    raise TypeError(f"{cls.__name__}.set_property is awaitable: define restore")
        return instance

    async def reload(self) -> None:  # noqa: B027 - a default, not abstract
        """Read the data behind the plugin again, if it has any."""

    def local_endpoint(self, endpoint: Endpoint, present: bool) -> Awaitable[None] | None:
        """Hear that an endpoint is on this host (`present`), or is so no longer.

        For plugins that publish where guests are. Each is told after `start`, again when
        something of it changes, and again every 30 s while another host has it; one at a time.
        What is on this host at a `stop` is not withdrawn before.

        Raises:
            Claimed: another host has the MAC or an address; who was first keeps it.
        """
        return None

    def _declared(self, name: str) -> Property:
        declared = self.properties(self.destination)
        for item in declared:
            if item.name == name:
                return item
        raise PropertyUnknown(name, [item.name for item in declared])


class PointPlugin(Plugin):
    """A plugin that has one destination for everything, broadcast included."""

    @abstractmethod
    def default(self) -> Target | Drop:
        """Return where everything goes; plainly.

        Asked after `start` and after every accepted `set_property`. DROP at the creation of the
        overlay refuses it; later the old target stays and the instance is degraded.
        """


class DynamicPlugin(Plugin):
    """A plugin that is asked for the destination of each MAC address."""

    @abstractmethod
    def lookup(self, query: Query) -> Later[Answer]:
        """Return where a frame goes.

        Plainly where it is known, which is the cheap way; else an awaitable, which runs in an
        asyncio Task of its own, or a `concurrent.futures.Future`. What is not known is `DROP`.
        """

    def arp(self, address: IpAddress) -> Later[NeighbourAnswer]:
        """Return who has the overlay address `address`; asked because of `PROXY_ARP`, `PROXY_NDP`.

        Raises:
            Unsupported: the plugin does not define it.
        """
        raise Unsupported(f"plugin {self.name} has no operation 'arp' for {address}")

    def dhcp(self, query: Query) -> Later[DhcpAnswer]:
        """Return the MAC of the DHCP server for a client's frame; asked because of `PROXY_DHCP`.

        Raises:
            Unsupported: the plugin does not define it.
        """
        raise Unsupported(f"plugin {self.name} has no operation 'dhcp' for {query.src}")

    def enumerate(self) -> Iterable[tuple[bytes, Target]]:
        """Return all that is known, so that it can be put into the kernel before it is asked for.

        Pairs of overlay MAC address and target. Asked after `start` and after `reload` if the
        overlay's ``preload`` is on; taken in slices, other operations between them, until the
        overlay's table is full. A MAC of which the instance says something through `Host` while
        this goes on is left out, since what was taken may be older.
        """
        return ()
