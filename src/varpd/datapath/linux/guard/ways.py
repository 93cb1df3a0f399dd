"""The ways of punted frames, proved as long as overlays are open.

 usual way: to 127.86.x.y (or an address of its own on `lo`)
     │ proof lost, detour proved                ▲ usual way proved
     ▼                                          │
 detour: to the listen address ─────────────────┘

A frame that comes meanwhile is as good a proof: on a busy way the datagram may be lost.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

import structlog
from msgspec import Struct

from varpd.datapath.base import DatapathError, Link, PuntState
from varpd.datapath.linux import detours, names, opening, proofs
from varpd.datapath.linux.detours import Detour
from varpd.datapath.linux.opening import Made
from varpd.datapath.linux.punt import PuntSocket
from varpd.datapath.linux.reader import PuntReader
from varpd.datapath.linux.threads import KernelThreads
from varpd.provider.answers import Target

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds in which the event loop and the kernel answer; later a proof says nothing."""

log: Final = structlog.get_logger(__name__)


class Reading(Protocol):
    """What reads punt sockets in the event loop."""

    def add(self, overlay: str, punts: PuntSocket) -> None:
        """Begin to read a socket."""

    def remove(self, overlay: str, punts: PuntSocket) -> None:
        """Read it no more."""


class Caring(Protocol):
    """What puts default rows right that somebody changed."""

    def pause(self, overlay: str) -> None:
        """Leave an overlay alone until `resume`."""

    def resume(self, overlay: str, link: Link) -> None:
        """Look after it again."""


class Way(Struct):
    """How frames of one overlay get to varpd."""

    link: Link
    made: Made
    deliver: Callable[[list[bytes], float], None]
    reading: tuple[str, PuntSocket] | None = None
    """The socket that is read, with the name under which it is; see `in_use`."""


class PuntWays:
    """Proves ways and changes them; `prove` is called from the guard's thread."""

    def __init__(
        self,
        threads: KernelThreads,
        reader: Reading,
        caring: Caring,
        changed: Callable[[Way], None],
    ) -> None:
        """Take what waits for the kernel, what reads sockets and what looks after default rows.

        `changed` is told of a new way, in the guard's thread.
        """
        self._threads = threads
        self._reader = reader
        self._caring = caring
        self._loop = asyncio.get_running_loop()
        self._changed = changed
        self._ways: dict[str, Way] = {}

    def add(self, way: Way) -> None:
        """Read the socket in use, and have the way proved from now on; in the event loop."""
        self._ways[way.link.name] = way
        self._read(way)

    def remove(self, overlay: str) -> None:
        """Read its sockets no more; in the event loop, while nothing is being proved."""
        way = self._ways.pop(overlay, None)
        if way is not None and way.reading is not None:
            self._reader.remove(*way.reading)

    def follow(self, link: Link) -> None:
        """Take note that an overlay's link is otherwise now."""
        if (way := self._ways.get(link.name)) is not None:
            way.link = link

    def prove(self, overlay: str) -> str | None:
        """Prove the way of an overlay's frames, or find another; return what is amiss."""
        way = self._ways.get(overlay)
        if way is None or way.made.punt is None:
            return None
        try:
            # What could not be finished the last time.
            self._lead(way)
            if way.made.detour is not None:
                return self._prove_detour(way, way.made.punt, way.made.detour)
            return self._prove_usual(way, way.made.punt)
        except (OSError, TimeoutError, DatapathError) as error:
            log.warning(
                "cannot find out how frames get to varpd", overlay=overlay, error=str(error)
            )
            return None

    def _prove_usual(self, way: Way, punt: PuntSocket) -> str | None:
        if self._arrives(way, punt, _usual(way)):
            return None
        detour = detours.make(way.link, way.deliver)
        if detour is None:
            return closed(way.link)
        way.made.detour = detour
        self._changed(way)
        self._lead(way)
        log.warning(
            "a firewall drops frames on their way to varpd: they take a detour",
            overlay=way.link.name,
        )
        return None

    def _prove_detour(self, way: Way, punt: PuntSocket, detour: Detour) -> str | None:
        """Go back to the usual way if that is possible; otherwise prove the detour."""
        try:
            punt.wait(proofs.prove_punt_path(punt.socket, names.punt_address(way.link), way.link))
        except DatapathError:
            return None if self._arrives(way, detour.punt, detour.target) else closed(way.link)
        way.made.detour = None
        self._lead(way)
        self._changed(way)
        log.info("frames get to varpd on the usual way again", overlay=way.link.name)
        return None

    def _lead(self, way: Way) -> None:
        """Have the tunnel device send what it has no row for to the socket in use; read that."""
        target = _usual(way) if way.made.detour is None else way.made.detour.target
        if way.made.default != target or way.reading != in_use(way.link.name, way.made):
            self._await(self._lead_now(way, target))

    async def _lead_now(self, way: Way, target: Target) -> None:
        self._caring.pause(way.link.name)
        try:
            if way.made.default != target:
                device, port = way.made.pair.device, way.link.listen_port
                await self._threads.request(opening.set_default, device, port, target)
                way.made.default = target
            self._read(way)
        finally:
            self._caring.resume(way.link.name, way.link)

    def _read(self, way: Way) -> None:
        """Read the socket in use and no other; in the event loop."""
        if way.reading is not None:
            name, old = way.reading
            while old.read_turn():
                pass  # what came before frames were led elsewhere
            self._reader.remove(name, old)
            if old is not way.made.punt:
                old.close()
        way.reading = in_use(way.link.name, way.made)
        if way.reading is not None:
            self._reader.add(*way.reading)

    def _arrives(self, way: Way, punt: PuntSocket, target: Target) -> bool:
        """Return whether frames come by the way in use."""
        received = punt.received
        if target.ip is None:
            return True
        why = self._await(proofs.try_punt_path(punt, target.ip, way.link, target.port))
        return why is None or punt.received > received

    def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns that runs in the event loop.

        Raises:
            TimeoutError: it does not come to an end.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(PATIENCE)
        finally:
            future.cancel()


_DETOUR: Final = " (detour)"


def in_use(overlay: str, made: Made) -> tuple[str, PuntSocket] | None:
    """Return the socket that frames come by, with the name under which it is read."""
    if made.detour is not None:
        return f"{overlay}{_DETOUR}", made.detour.punt
    return None if made.punt is None else (overlay, made.punt)


def _usual(way: Way) -> Target:
    return Target(ip=names.punt_address(way.link), port=names.PUNT_PORT)


async def try_in_use(link: Link, made: Made, reader: PuntReader) -> PuntState | None:
    """Try the way in use, in the event loop; None: the overlay punts nothing."""
    used, target = in_use(link.name, made), made.default
    if used is None or target is None or target.ip is None:
        return None
    name, punt = used
    why = await proofs.try_punt_path(punt, target.ip, link, target.port)
    buffer, missing = reader.buffer(name)
    return PuntState(why, buffer, missing, punt.lost)


def closed(link: Link) -> str:
    """Return what is amiss where no way leads to varpd, and the rule that opens the usual one."""
    address = names.punt_address(link)
    family = "ip" if address.version == 4 else "ip6"
    network = names.PUNT_NETWORKS[address.version]
    return (
        "a firewall drops frames on their way to varpd, so guests reach nobody new: allow them, in "
        f"nftables: iif lo {family} daddr {network} udp dport {names.PUNT_PORT} accept"
    )
