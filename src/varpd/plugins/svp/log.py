"""Following the log in which the servers keep what has changed for this host.

    wait ──► LOG_REQ ──► do what each record says ──► LOG_RM of those that are done ──► wait

A record is removed only when it is wholly done; until then it is sent again, so doing one twice
does no harm.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Final, Protocol
from uuid import UUID

from varpd.net.addresses import IpAddress
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.log_messages import (
    LogAck,
    LogRemove,
    LogRemoveAck,
    LogRequest,
    Record,
    Vl2Record,
    Vl3Record,
)
from varpd.plugins.svp.messages import Vl3Ack, Vl3Request
from varpd.plugins.svp.wire import Message
from varpd.provider import Logger

IDLE: Final = 5.0
"""Seconds between questions while nothing happens; up to as many again are added by chance."""

BUSY: Final = 1.0
"""Seconds until the next question after one that brought something."""

BYTES: Final = 32_768
"""Bytes of records asked for at once: a thousand."""

PATIENCE: Final = 30.0
"""Seconds that an answer is waited for."""


class Asks(Protocol):
    """Who asks the servers."""

    @property
    def is_healthy(self) -> bool:
        """Whether one can be asked now."""

    async def ask(self, request: Message) -> Message:
        """Return the answer to a request."""


class Reader(Protocol):
    """An instance, as far as the log concerns it."""

    @property
    def vnetid(self) -> int:
        """Its virtual network."""

    def mac_moved(self, record: Vl2Record) -> None:
        """A MAC is no longer where it was."""

    def address_moved(self, record: Vl3Record, answer: Vl3Ack) -> None:
        """An address has, or had, another MAC; `answer` is what the servers say of it now."""


class Log:
    """Reads the log of this host for all instances that share its servers."""

    def __init__(
        self,
        servers: Asks,
        underlay_ip: IpAddress,
        readers: Callable[[], Iterable[Reader]],
        log: Logger,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Take who is asked, as whom, and who is told."""
        self._servers = servers
        self._underlay_ip = underlay_ip
        self._readers = readers
        self._log = log
        self._chance = chance
        self._complaint = ""

    async def follow(self) -> None:
        """Ask again and again."""
        busy = False
        while True:
            await asyncio.sleep(BUSY if busy else IDLE * (1.0 + self._chance()))
            busy = self._servers.is_healthy and await self._one_round()

    async def _one_round(self) -> bool:
        """Read what is there; return whether anything could be removed."""
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._servers.ask(LogRequest(BYTES, self._underlay_ip))
                if not isinstance(answer, LogAck) or answer.status is not Status.OK:
                    self._complain(f"no log for this host, {self._underlay_ip}")
                    return False
                if answer.unknown is not None:
                    self._complain(f"a record of unknown type {answer.unknown}")
                else:
                    self._complaint = ""
                done = [each.id for each in answer.records if await self._do(each)]
                return bool(done) and await self._remove(done)
        except TimeoutError:
            self._complain("no answer about the log")
            return False

    async def _do(self, record: Record) -> bool:
        """Do what a record says; return whether it is wholly done."""
        readers = [each for each in self._readers() if each.vnetid == record.vnetid]
        if isinstance(record, Vl2Record):
            for reader in readers:
                reader.mac_moved(record)
            return True
        if not readers:
            return True
        answer = await self._servers.ask(Vl3Request(record.ip, record.vnetid))
        if not isinstance(answer, Vl3Ack) or answer.status not in (Status.OK, Status.NOT_FOUND):
            return False
        for reader in readers:
            reader.address_moved(record, answer)
        return True

    async def _remove(self, done: list[UUID]) -> bool:
        answer = await self._servers.ask(LogRemove(tuple(done)))
        if isinstance(answer, LogRemoveAck) and answer.status is Status.OK:
            return True
        self._complain("done records of the log are not removed")
        return False

    def _complain(self, complaint: str) -> None:
        """Say what is wrong with the log, once for as long as it stays so."""
        if complaint != self._complaint:
            self._complaint = complaint
            self._log.warning("SVP log", problem=complaint)
