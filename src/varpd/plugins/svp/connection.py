"""A TCP connection to a server, with the session on it.

    connected ──PONG──► open ──broken, wound down, closed by the server──► lingering ──► closed

A connection ends by FIN, after what is still there has been read: a reset is the end of a real
Portolan, and of every other host's connection to it.
"""

import asyncio
from typing import Final, Protocol, cast

from varpd.net.addresses import IpAddress
from varpd.plugins.svp.messages import Ping
from varpd.plugins.svp.session import Session, State
from varpd.plugins.svp.wire import Message

LINGER: Final = 2.0
"""Seconds for which the server may still send before a connection is closed in any case."""

PROVE: Final = 5.0
"""Seconds in which the first answer, a PONG, has to come."""


ANSWER: Final = 10.0
"""Seconds in which an answer has to come; where it does not, the connection is given up."""


class Asked(Protocol):
    """Somebody who waits for an answer."""

    request: Message

    def answered(self, message: Message) -> None:
        """Take the answer."""


class Connection(asyncio.Protocol):
    """One connection; made by `loop.create_connection`, used from the event loop."""

    def __init__(self, address: IpAddress) -> None:
        """Take whom it leads to."""
        self.address = address
        self._loop = asyncio.get_running_loop()
        self.session = Session(self._loop.time(), ANSWER)
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Done, with the reason, when no more can be asked; then `unanswered` is final."""
        self.proved: asyncio.Future[None] = self._loop.create_future()
        """Done when the server has answered anything: that it takes connections says little."""
        self.closed: asyncio.Future[None] = self._loop.create_future()
        """Done when nothing is left of it."""
        self._waiting: dict[int, tuple[Asked, float]] = {}
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lingering = False

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self.proved.done() and self.session.state is State.OPEN

    @property
    def load(self) -> int:
        """Requests without an answer."""
        return len(self._waiting)

    def owes(self, seconds: float) -> bool:
        """Return whether an answer has been missing for that long."""
        first = next(iter(self._waiting.values()), None)
        return first is not None and self._loop.time() - first[1] > seconds

    @property
    def unanswered(self) -> list[Asked]:
        """Who still waits, the oldest first."""
        return [asked for asked, _ in self._waiting.values()]

    def ask(self, asked: Asked) -> None:
        """Ask for somebody, who is told the answer if one comes.

        Raises:
            ValueError: it is not open.
        """
        if self._transport is None:
            raise ValueError("not connected")
        now = self._loop.time()
        number, data = self.session.ask(asked.request, now)
        self._waiting[number] = (asked, now)
        self._transport.write(data)
        self._set_timer()

    def wind_down(self) -> None:
        """Take no more requests; end when the last answer has come."""
        self.session.wind_down()
        self._look()

    def break_off(self, reason: str) -> None:
        """End now, in order."""
        self.session.break_off(reason)
        self._look()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        now = self._loop.time()
        self._transport.write(self.session.ask(Ping(), now)[1])
        self._timer = self._loop.call_later(PROVE, self._not_proved)

    def data_received(self, data: bytes) -> None:
        """Take in what arrived; what comes after the end is thrown away."""
        if self._lingering:
            return
        for answer in self.session.receive(data, self._loop.time()):
            asked, _ = self._waiting.pop(answer.id)
            asked.answered(answer.message)
        if not self.proved.done() and self.session.has_answered:
            self.proved.set_result(None)
            self._clear_timer()
        self._look()

    def eof_received(self) -> bool:
        """The server sends no more."""
        self.session.break_off("the server closed the connection")
        self._look()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self.session.break_off(f"connection lost: {exc}" if exc else "connection closed")
        self._transport = None
        self._end()
        self.closed.set_result(None)

    def _look(self) -> None:
        """End if the session has ended."""
        if self.session.state in (State.OPEN, State.WINDING_DOWN):
            self._set_timer()
            return
        self._end()
        if self._transport is not None and not self._lingering:
            self._lingering = True
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._timer = self._loop.call_later(LINGER, self._give_up)

    def _give_up(self) -> None:
        """Close, whatever the server does; one that reads nothing cannot be left in order."""
        self._timer = None
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._transport.abort()
        elif self._transport is not None:
            self._transport.close()

    def _not_proved(self) -> None:
        self._timer = None
        self.break_off(f"no answer within {PROVE:g} s of connecting")

    def _end(self) -> None:
        self._clear_timer()
        if not self.ended.done():
            self.ended.set_result(self.session.fault or "no longer needed")

    def _set_timer(self) -> None:
        """Have the session told of the time when it is due."""
        due = self.session.next_deadline()
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        self._clear_timer()
        self._timer = self._loop.call_at(due, self._advance)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _advance(self) -> None:
        self._timer = None
        data = self.session.advance(self._loop.time())
        if data and self._transport is not None:
            self._transport.write(data)
        self._look()
