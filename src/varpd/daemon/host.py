"""The real `Host`: what an instance may say, checked in the caller and put into its mailbox."""

import asyncio
import inspect
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn, TypeVar

import structlog
from msgspec import Struct

from varpd.daemon.mailbox import EndpointTaken, Mailbox, PanicSaid
from varpd.daemon.shared import SharedObjects
from varpd.engine.events import Announced
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target
from varpd.provider.arguments import check_announcement, check_mac, check_message, check_station
from varpd.provider.errors import Panic, Unsupported
from varpd.provider.host import Closable, Logger
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import Plugin, PointPlugin
from varpd.provider.targets import check_target

Shared = TypeVar("Shared", bound=Closable)

_log: Final = structlog.get_logger()


class Place(Struct, frozen=True):
    """What an instance works for."""

    plugin: type[Plugin]
    overlay: str
    vnetid: int
    encapsulation: str
    kinds: DestinationKind
    """What the encapsulation needs of a destination."""

    local: Target | None
    """This host's own VTEP, as far as it is known."""

    @property
    def family(self) -> int | None:
        """4 or 6, the address family of the underlay, or None if it is not known."""
        return None if self.local is None or self.local.ip is None else self.local.ip.version


class InstanceHost:
    """The `Host` of one object of a plugin, from before its constructor until after its `close`.

    `Host` says what the methods do; the mailbox keeps the order and knows when it takes effect.
    """

    def __init__(
        self,
        place: Place,
        mailbox: Mailbox,
        shared: SharedObjects,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        """Take what the instance works for, where its words go, and what starts its tasks."""
        self._place = place
        self._mailbox = mailbox
        self._shared = shared
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._keys: set[str] = set()
        self._log: Logger = _log.bind(overlay=place.overlay, plugin=place.plugin.name)

    @property
    def overlay(self) -> str:
        """Name of the overlay."""
        return self._place.overlay

    @property
    def vnetid(self) -> int:
        """Virtual network identifier of the overlay."""
        return self._place.vnetid

    @property
    def encapsulation(self) -> str:
        """Name of the overlay's encapsulation."""
        return self._place.encapsulation

    @property
    def local(self) -> Target | None:
        """This host's own VTEP."""
        return self._place.local

    @property
    def log(self) -> Logger:
        """A log whose lines carry the overlay's and the plugin's name."""
        return self._log

    def set_target(self, mac: bytes, target: Target) -> None:
        """Say where a MAC is."""
        self._need_dynamic("set_target")
        station = check_station(mac)
        self._mailbox.put_pair(station, check_target(target, self._place.kinds, self._place.family))

    def invalidate(self, mac: bytes) -> None:
        """Say that what is known of a MAC no longer holds."""
        self._need_dynamic("invalidate")
        self._mailbox.put_pair(check_mac(mac), None)

    def inject_arp(
        self,
        mac: bytes,
        address: IpAddress,
        *,
        vlan: int | None = None,
        destination: bytes | None = None,
    ) -> None:
        """Announce to the local guests that an address is at a MAC."""
        holder, address, vlan, to = check_announcement(mac, address, vlan, destination)
        self._mailbox.put(Announced(self._place.overlay, holder, address, vlan, to))

    def endpoint_taken(self, mac: bytes, message: str) -> None:
        """Say that another host has taken over a guest."""
        self._mailbox.put(EndpointTaken(check_station(mac), check_message(message)))

    def degrade(self, message: str) -> None:
        """Say that the instance works badly."""
        self._mailbox.put_condition(check_message(message))

    def restore(self) -> None:
        """Say that the instance works well again."""
        self._mailbox.put_condition(None)

    def panic(self, message: str) -> NoReturn:
        """Give up."""
        text = check_message(message)
        stack = "".join(traceback.format_stack()[:-1])
        self._mailbox.put_panic(PanicSaid(text, stack))
        raise Panic(text)

    def save_soon(self) -> None:
        """Ask that `save` be called soon."""
        self._mailbox.put_save()

    def start_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine until it ends or the instance stops."""
        if not inspect.iscoroutine(coroutine):
            raise ValueError(f"not a coroutine: {coroutine!r}")
        if not name:
            coroutine.close()
            raise ValueError(f"not a name: {name!r}")
        if self._mailbox.closed:
            self._mailbox.ignore()
            coroutine.close()
            return
        try:
            if self._mailbox.on_loop:
                self._spawn(coroutine, name)
            else:
                self._loop.call_soon_threadsafe(self._spawn, coroutine, name)
        except RuntimeError:
            # The loop is closed: the daemon has ended.
            coroutine.close()

    def shared(self, key: str, factory: Callable[[], Shared]) -> Shared:
        """Return the object that all instances of this plugin with the same key share."""
        if not key:
            raise ValueError("a shared object needs a key")
        if self._mailbox.closed:
            raise Unsupported("the instance is closed; it shares nothing any more")
        self._keys.add(key)
        found: Shared = self._shared.acquire((self._place.plugin, key), self, factory)
        return found

    def release(self) -> list[Closable]:
        """Give up all shared objects; return those that nobody uses any more."""
        keys, self._keys = self._keys, set()
        released = [self._shared.release((self._place.plugin, key), self) for key in sorted(keys)]
        return [item for item in released if item is not None]

    def _need_dynamic(self, what: str) -> None:
        if issubclass(self._place.plugin, PointPlugin):
            raise Unsupported(f"plugin {self._place.plugin.name} is a PointPlugin: no {what}")
