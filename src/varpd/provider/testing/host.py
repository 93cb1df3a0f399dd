"""A host without varpd behind it: it keeps what an instance says."""

import inspect
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

from msgspec import Struct

from varpd.net.addresses import IpAddress, MacAddress
from varpd.provider.answers import Target
from varpd.provider.arguments import check_announcement, check_mac, check_message, check_station
from varpd.provider.errors import Panic, Unsupported
from varpd.provider.host import Closable, Shared
from varpd.provider.kinds import DestinationKind
from varpd.provider.targets import check_target
from varpd.provider.testing.tasks import FakeTasks

VXLAN_KINDS: Final = DestinationKind.IP | DestinationKind.PORT
"""What the encapsulation of a test needs unless told otherwise."""


class TargetSet(Struct, frozen=True):
    """`Host.set_target` was called."""

    mac: MacAddress
    target: Target


class Invalidated(Struct, frozen=True):
    """`Host.invalidate` was called."""

    mac: MacAddress


class Announced(Struct, frozen=True):
    """`Host.inject_arp` was called."""

    mac: MacAddress
    address: IpAddress
    vlan: int | None = None
    destination: MacAddress | None = None


class EndpointTaken(Struct, frozen=True):
    """`Host.endpoint_taken` was called."""

    mac: MacAddress
    message: str


class Degraded(Struct, frozen=True):
    """`Host.degrade` was called."""

    message: str


class Restored(Struct, frozen=True):
    """`Host.restore` was called."""


class Panicked(Struct, frozen=True):
    """`Host.panic` was called."""

    message: str


class SaveAsked(Struct, frozen=True):
    """`Host.save_soon` was called."""


Said = (
    TargetSet | Invalidated | Announced | EndpointTaken | Degraded | Restored | Panicked | SaveAsked
)
"""Something that an instance said."""


class FakeLog:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        """Begin without lines."""
        self.lines: list[tuple[str, str, dict[str, object]]] = []
        """Level, event and values of each line."""

    def debug(self, event: str, **values: object) -> None:
        """Keep a line of level ``debug``."""
        self.lines.append(("debug", event, values))

    def info(self, event: str, **values: object) -> None:
        """Keep a line of level ``info``."""
        self.lines.append(("info", event, values))

    def warning(self, event: str, **values: object) -> None:
        """Keep a line of level ``warning``."""
        self.lines.append(("warning", event, values))

    def error(self, event: str, **values: object) -> None:
        """Keep a line of level ``error``."""
        self.lines.append(("error", event, values))


class FakeHost:
    """A `Host` that checks its arguments as the real one does and keeps what was said.

    What is said before `started` is held back, what is said after `closed` is ignored and counted.
    """

    def __init__(
        self,
        *,
        overlay: str = "test",
        vnetid: int = 100,
        encapsulation: str = "vxlan",
        local: Target | None = None,
        destination: DestinationKind = VXLAN_KINDS,
        point: bool = False,
    ) -> None:
        """Make a host.

        Args:
            overlay: name of the overlay.
            vnetid: its virtual network identifier.
            encapsulation: name of its encapsulation.
            local: where this host receives wrapped frames.
            destination: what the encapsulation needs of a destination.
            point: whether the instance is one of a `PointPlugin`.
        """
        self.overlay: Final = overlay
        self.vnetid: Final = vnetid
        self.encapsulation: Final = encapsulation
        self.local: Final = local
        self.log: Final = FakeLog()
        self.said: list[Said] = []
        """What took effect, in order."""
        self.rows: dict[MacAddress, Target] = {}
        """Where each MAC is, by what was said and by what `FakeGuard` was answered."""
        self.ignored = 0
        """How much was said after the close."""
        self.family: Final = None if local is None or local.ip is None else local.ip.version
        """4 or 6, the address family of the underlay, or None."""
        self._destination = destination
        self._point = point
        self._lock = threading.RLock()
        self._early: list[Said] | None = []
        self._closed = False
        self._tasks = FakeTasks()
        self.run: Final = self._tasks.run
        """Runs the instance's tasks on an event loop from now on."""
        self.faults: Final = self._tasks.faults
        """What left the tasks of `start_task`."""
        self._shared: dict[str, Closable] = {}
        self._changes: Counter[bytes] = Counter()

    def set_target(self, mac: bytes, target: Target) -> None:
        """See `Host.set_target`."""
        self._need_dynamic("set_target")
        checked = check_target(target, self._destination, self.family)
        self._say(TargetSet(check_station(mac), checked))

    def invalidate(self, mac: bytes) -> None:
        """See `Host.invalidate`."""
        self._need_dynamic("invalidate")
        self._say(Invalidated(check_mac(mac)))

    def inject_arp(
        self,
        mac: bytes,
        address: IpAddress,
        *,
        vlan: int | None = None,
        destination: bytes | None = None,
    ) -> None:
        """See `Host.inject_arp`."""
        self._say(Announced(*check_announcement(mac, address, vlan, destination)))

    def endpoint_taken(self, mac: bytes, message: str) -> None:
        """See `Host.endpoint_taken`."""
        self._say(EndpointTaken(check_station(mac), check_message(message)))

    def degrade(self, message: str) -> None:
        """See `Host.degrade`."""
        self._say(Degraded(check_message(message)))

    def restore(self) -> None:
        """See `Host.restore`."""
        self._say(Restored())

    def panic(self, message: str) -> NoReturn:
        """See `Host.panic`."""
        text = check_message(message)
        self._say(Panicked(text))
        raise Panic(text)

    def save_soon(self) -> None:
        """See `Host.save_soon`."""
        self._say(SaveAsked())

    def start_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """See `Host.start_task`; what is started before `run` begins with it."""
        if not inspect.iscoroutine(coroutine):
            raise ValueError(f"not a coroutine: {coroutine!r}")
        if not name:
            coroutine.close()
            raise ValueError("a task needs a name")
        if not self._tasks.start(coroutine, name):
            with self._lock:
                self.ignored += 1

    def shared(self, key: str, factory: Callable[[], Shared]) -> Shared:
        """See `Host.shared`; nobody else shares it here."""
        if not key:
            raise ValueError("a shared object needs a key")
        with self._lock:
            if self._closed:
                raise Unsupported("the instance is closed; it shares nothing any more")
            if key not in self._shared:
                self._shared[key] = factory()
            return self._shared[key]  # type: ignore[return-value]  # what this factory made

    def started(self) -> None:
        """Let take effect what was said, since `start` has returned."""
        with self._lock:
            early, self._early = self._early, None
            for said in early or []:
                self._take_effect(said)

    async def stopped(self) -> None:
        """End the instance's tasks."""
        await self._tasks.end()

    def closed(self) -> None:
        """Hear no more, and close what was shared."""
        with self._lock:
            self._closed = True
            shared, self._shared = self._shared, {}
        self._tasks.refuse()
        for thing in shared.values():
            thing.close()

    def changes(self, mac: bytes) -> int:
        """Return how often something was said about `mac`."""
        with self._lock:
            return self._changes[mac]

    def install(self, mac: MacAddress, target: Target, changes: int) -> Target | None:
        """Put an answer about `mac` into force if it was asked for after the last that was said.

        Returns what is in force, or None.
        """
        with self._lock:
            if self._changes[mac] == changes:
                self.rows[mac] = target
            return self.rows.get(mac)

    @property
    def degraded(self) -> str | None:
        """The message of the last `degrade`, or None if `restore` came after it."""
        for said in reversed(self.said):
            match said:
                case Degraded(message=message):
                    return message
                case Restored():
                    return None
                case _:
                    pass
        return None

    def _need_dynamic(self, method: str) -> None:
        if self._point:
            raise Unsupported(f"{method} is not for an instance of a PointPlugin")

    def _say(self, said: Said) -> None:
        with self._lock:
            if self._closed:
                self.ignored += 1
            elif self._early is not None:
                self._early.append(said)
            else:
                self._take_effect(said)

    def _take_effect(self, said: Said) -> None:
        self.said.append(said)
        match said:
            case TargetSet(mac=mac, target=target):
                self._changes[mac] += 1
                self.rows[mac] = target
            case Invalidated(mac=mac):
                self._changes[mac] += 1
                self.rows.pop(mac, None)
            case _:
                pass
