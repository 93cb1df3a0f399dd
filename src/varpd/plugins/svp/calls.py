"""Requests, spread over the open connections.

ask ──► the open connection that owes least ──► answer
 │            │ ends            │ owes for HEDGE seconds
 │            └──► another      └──► another one as well; the first answer counts
 └── none open: waits for one
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from varpd.plugins.svp.connection import Connection
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.messages import Vl2Ack, Vl3Ack
from varpd.plugins.svp.wire import Message

HEDGE: Final = 1.0
"""Seconds without an answer after which another server is asked, too."""


class Call:
    """A request on its way."""

    def __init__(self, request: Message, calls: "Calls") -> None:
        self.request = request
        self.answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.asked: list[Connection] = []
        """Those that were asked and have not failed."""
        self.owed = 0
        """Answers that may still come."""
        self.fatal: Message | None = None
        """What a server said that cannot say anything."""
        self._calls = calls

    def answered(self, message: Message) -> None:
        """Take an answer; one of several servers that cannot say anything is passed over."""
        self.owed -= 1
        if self.answer.done():
            return
        if isinstance(message, Vl2Ack | Vl3Ack) and message.status is Status.FATAL:
            self.fatal = message
            if self._calls.ask_another(self) or self.owed:
                return
        self.answer.set_result(message)


class Calls:
    """All requests to the servers of one name; used on the event loop."""

    def __init__(self, connections: Callable[[], list[Connection]]) -> None:
        """`connections` returns those that can be asked."""
        self._connections = connections
        self._waiting: dict[Call, None] = {}
        self._turn = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiting)

    async def ask(self, request: Message) -> Message:
        """Return the answer to a request; it is waited for until the caller gives up."""
        call = Call(request, self)
        if not self.ask_another(call):
            self._waiting[call] = None
        try:
            return await call.answer
        finally:
            self._waiting.pop(call, None)

    def ask_another(self, call: Call) -> bool:
        """Ask one that has not been asked yet; return whether there is one."""
        connection = self._choose(call.asked)
        if connection is None:
            return False
        call.asked.append(connection)
        call.owed += 1
        connection.ask(call)
        asyncio.get_running_loop().call_later(HEDGE, self._hedge, call)
        return True

    def again(self, connection: Connection) -> None:
        """Ask what a connection that has ended leaves unanswered of others."""
        for call in connection.unanswered:
            if not isinstance(call, Call) or call.answer.done():
                continue
            call.asked.remove(connection)
            call.owed -= 1
            if call.owed or self.ask_another(call):
                continue
            if call.fatal is None:
                self._waiting[call] = None
            else:
                call.answer.set_result(call.fatal)

    def send_waiting(self) -> None:
        """Ask what waits, as a connection is there again."""
        for call in list(self._waiting):
            if not self.ask_another(call):
                return
            del self._waiting[call]

    def _hedge(self, call: Call) -> None:
        if not call.answer.done() and call.asked:
            self.ask_another(call)

    def _choose(self, asked: Sequence[Connection]) -> Connection | None:
        """Return the connection that owes least, in turn where several owe the same."""
        found = [each for each in self._connections() if each not in asked]
        if not found:
            return None
        self._turn += 1
        first = self._turn % len(found)
        return min(found[first:] + found[:first], key=lambda each: (each.owes(HEDGE), each.load))
