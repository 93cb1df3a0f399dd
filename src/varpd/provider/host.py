"""What varpd hands to an instance: its name, its network, and what it may say unasked."""

from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, Protocol, TypeVar

from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target

Shared = TypeVar("Shared", bound="Closable")


class Closable(Protocol):
    """Something that is shared between instances and closed with the last of them."""

    def close(self) -> None:
        """Let go of everything; called once, from the event loop."""


class Logger(Protocol):
    """A structured log: a short event in words, and named values."""

    def debug(self, event: str, **values: object) -> object:
        """Log what only somebody who hunts a fault wants to see."""

    def info(self, event: str, **values: object) -> object:
        """Log what an operator may want to know."""

    def warning(self, event: str, **values: object) -> object:
        """Log what an operator should look at."""

    def error(self, event: str, **values: object) -> object:
        """Log what went wrong."""


class Host(Protocol):
    """An instance's way to varpd.

    Every method may be called from any thread and from inside any operation, the constructor
    included. None waits, and none calls an operation of the plugin before it returns. Bad
    arguments raise `ValueError` (`TargetInvalid` for a target) in the caller. What is said before
    `start` has returned takes effect then; what is said after `close` is ignored and counted.
    What one thread says takes effect in that order, and before any answer that the same thread
    gives afterwards.
    """

    @property
    def overlay(self) -> str:
        """Name of the overlay that this instance works for."""
        ...

    @property
    def vnetid(self) -> int:
        """Virtual network identifier, 0 to 2^64-1 as far as the encapsulation allows."""
        ...

    @property
    def encapsulation(self) -> str:
        """Name of the encapsulation, such as ``vxlan``."""
        ...

    @property
    def local(self) -> Target | None:
        """Where this host receives wrapped frames of the overlay, or None if it is not known."""
        ...

    @property
    def log(self) -> Logger:
        """A log whose lines carry the overlay's and the plugin's name."""
        ...

    def set_target(self, mac: bytes, target: Target) -> None:
        """Say where `mac` is, unasked; frames that wait for it are sent.

        Raises:
            ValueError: `mac` is not the six bytes of a unicast MAC address.
            TargetInvalid: the encapsulation cannot use `target`.
            Unsupported: the instance is one of a `PointPlugin`.
        """

    def invalidate(self, mac: bytes) -> None:
        """Say that what is known of `mac` no longer holds; it is asked for anew when needed.

        Raises:
            ValueError: `mac` is not six bytes.
            Unsupported: the instance is one of a `PointPlugin`.
        """

    def inject_arp(
        self,
        mac: bytes,
        address: IpAddress,
        *,
        vlan: int | None = None,
        destination: bytes | None = None,
    ) -> None:
        """Announce to the guests of this host that `address` is at `mac`.

        IPv4: a gratuitous ARP request (RFC 5227, section 3). IPv6: an unsolicited neighbour
        advertisement with the override flag (RFC 4861, section 7.2.6).

        Args:
            mac: overlay MAC address of the holder.
            address: overlay address.
            vlan: 802.1Q VLAN to tag the frame with, 1 to 4094.
            destination: Ethernet destination; broadcast or all nodes unless given.

        Raises:
            ValueError: an argument is not what it should be.
        """

    def endpoint_taken(self, mac: bytes, message: str) -> None:
        """Say that another host has taken over a guest that was on this host.

        The endpoint is shown as in conflict, with `message`, and not told to the instance again
        before its port leaves and comes back, or an operator changes it or has it take over.

        Args:
            mac: the guest's overlay MAC address; one that is on no port here is ignored.
            message: who has it; cut to 255 bytes of UTF-8.

        Raises:
            ValueError: an argument is not what it should be.
        """

    def degrade(self, message: str) -> None:
        """Say that the instance works badly, and how; shown until `restore`.

        The last message counts, cut to 255 bytes of UTF-8. Traffic goes on.

        Raises:
            ValueError: `message` is empty, or no text.
        """

    def restore(self) -> None:
        """Say that the instance works well again."""

    def panic(self, message: str) -> NoReturn:
        """Give up: raise `Panic` in the calling thread and end this instance.

        It is ended (`stop` with `StopReason.FAULT`, then `close`, no `save`), its rows stay, and
        it is restored from its last saved state after 1 to 32 seconds.
        """
        ...

    def save_soon(self) -> None:
        """Ask that `save` be called soon, at most once a second."""

    def start_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run `coroutine` in a Task on the event loop until it ends or the instance stops.

        It begins at the loop's next turn, even before `start` has returned. At the stop it is
        cancelled after `stop` has returned, and in any case before `close`. An exception that
        leaves it is a fault of the instance. `name` is what logs call it.

        Raises:
            ValueError: `coroutine` is none, or `name` is empty.
        """

    def shared(self, key: str, factory: Callable[[], Shared]) -> Shared:
        """Return the one object that all instances of this plugin with the same `key` share.

        `factory` makes it for the first that asks; it is closed when the last of them is closed.

        Raises:
            ValueError: `key` is empty.
            Unsupported: the instance is closed.
        """
        ...
