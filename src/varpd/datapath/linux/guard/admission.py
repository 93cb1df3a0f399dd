"""Who may send wrapped frames where only targets may: whom frames are sent to is let in first.

An answer may come as soon as a frame is out, and must not be dropped. So what goes to an address
that is not let in yet waits, with all that the overlay is asked for behind it, until the kernel has
the address. That happens once for each address; from then on it costs a look-up a command.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from varpd.engine.commands import (
    DatapathCommand,
    Install,
    InstallReplicas,
    Resend,
    SetDefaultTarget,
)
from varpd.net.addresses import IpAddress

RECENT: Final = 30.0
"""Seconds for which an address stays let in whatever `follow` says, which may be older news."""

WAITING: Final = 65_536
"""Commands that wait at most; more are done at once, and their frames may be answered in vain."""

Put = Callable[[frozenset[IpAddress]], Future[None]]
"""Lets in these addresses and no others, and tells when that is done."""


class Admission:
    """Lets in the targets of one overlay; used from the event loop."""

    def __init__(
        self, put: Put, apply: Callable[[list[DatapathCommand]], None], now: Callable[[], float]
    ) -> None:
        """Take what lets addresses in, what does the commands that waited, and a clock."""
        self._put = put
        self._apply = apply
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._admitted: dict[IpAddress, float] = {}
        self._waiting: list[DatapathCommand] = []
        self._under_way = 0

    @property
    def addresses(self) -> frozenset[IpAddress]:
        """Who is let in."""
        return frozenset(self._admitted)

    def hold(self, command: DatapathCommand) -> bool:
        """Return whether a command is kept back, to be done later."""
        new = {address for address in addresses_of(command) if address not in self._admitted}
        if new:
            self.admit(new)
        if not self._under_way or len(self._waiting) >= WAITING:
            return False
        self._waiting.append(command)
        return True

    def admit(self, addresses: Iterable[IpAddress]) -> None:
        """Let in more addresses."""
        now = self._now()
        self._admitted |= dict.fromkeys(addresses, now)
        self._update()

    def follow(self, addresses: frozenset[IpAddress]) -> None:
        """Let in these addresses, and no others but recent ones."""
        now = self._now()
        recent = {a: at for a, at in self._admitted.items() if at > now - RECENT}
        kept = {address: self._admitted.get(address, now) for address in addresses} | recent
        if kept.keys() != self._admitted.keys():
            self._admitted = kept
            self._update()

    def _update(self) -> None:
        self._under_way += 1
        self._put(self.addresses).add_done_callback(self._done)

    def _done(self, _: Future[None]) -> None:
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._under_way -= 1
        if self._under_way == 0 and self._waiting:
            waiting, self._waiting = self._waiting, []
            self._apply(waiting)


def addresses_of(command: DatapathCommand) -> tuple[IpAddress, ...]:
    """Return the underlay addresses that a command has frames sent to."""
    match command:
        case Install() | Resend() | SetDefaultTarget():
            return () if command.target.ip is None else (command.target.ip,)
        case InstallReplicas():
            return tuple(target.ip for target in command.targets if target.ip is not None)
        case _:
            return ()
