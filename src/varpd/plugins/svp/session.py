"""One connection to a server, from open to closed: who asked what, and when an answer is late.

    OPEN ──wind_down──► WINDING_DOWN ──last answer──► DONE
      └───────────────fault──┴──────────────► BROKEN

Pure: it is told what arrived and what time it is, and says what to send. A broken session stays
broken; its connection is to be closed and what is `unanswered` asked on another.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from varpd.net.decode import DecodeError
from varpd.plugins.svp.fields import Operation
from varpd.plugins.svp.messages import Ping
from varpd.plugins.svp.wire import Message, Stream, serialize

IDLE: Final = 30.0
"""Seconds without a word from the server after which it is asked whether it is there."""

ID_MAX: Final = (1 << 31) - 1
"""Largest id given to a request; the next is 1 again."""

_REPLY: Final = {
    Operation.PING: Operation.PONG,
    Operation.VL2_REQ: Operation.VL2_ACK,
    Operation.VL3_REQ: Operation.VL3_ACK,
    Operation.LOG_REQ: Operation.LOG_ACK,
    Operation.LOG_RM: Operation.LOG_RM_ACK,
}


class State(Enum):
    """What a session is good for."""

    OPEN = "open"
    WINDING_DOWN = "winding-down"
    """Takes no more requests and waits for the answers to those it has."""
    DONE = "done"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to the request of this id."""

    id: int
    message: Message


@dataclass(frozen=True, slots=True)
class _Pending:
    request: Message
    deadline: float


class Session:
    """The requests of one connection; `now` is in seconds of any clock that never goes back."""

    def __init__(self, now: float, timeout: float, idle: float = IDLE) -> None:
        self._timeout, self._idle = timeout, idle
        self._stream = Stream()
        self._pending: dict[int, _Pending] = {}  # in the order of their deadlines
        self._last_id = 0
        self._heard = now
        self.state = State.OPEN
        self.has_answered = False
        """Whether anything was answered as it should be."""
        self.fault: str | None = None
        """Why the session is broken, for the log."""

    def ask(self, request: Message, now: float) -> tuple[int, bytes]:
        """Take a request; return its id and what to send.

        Raises:
            ValueError: the session is not open, or the message has no reply in the protocol.
        """
        if self.state is not State.OPEN:
            raise ValueError(f"session is {self.state.value}")
        if request.OPERATION not in _REPLY:
            raise ValueError(f"{request.OPERATION.name} is no request")
        number = self._free_id()
        self._pending[number] = _Pending(request, now + self._timeout)
        return number, serialize(number, request)

    def receive(self, data: bytes, now: float) -> list[Answer]:
        """Take in what arrived; return the answers in it, up to the first fault if there is one."""
        if self.state in (State.DONE, State.BROKEN):
            return []
        self._heard = now
        self._stream.feed(data)
        answers: list[Answer] = []
        try:
            while (frame := self._stream.next_frame()) is not None:
                pending = self._pending.get(frame.id)
                if pending is None:
                    return self._broken(f"answer to nothing that was asked, id {frame.id}", answers)
                if frame.operation is not _REPLY[pending.request.OPERATION]:
                    asked = pending.request.OPERATION.name
                    return self._broken(f"{frame.operation.name} in answer to {asked}", answers)
                message = frame.message()
                del self._pending[frame.id]
                self.has_answered = True
                if not isinstance(pending.request, Ping):
                    answers.append(Answer(frame.id, message))
        except DecodeError as error:
            return self._broken(str(error), answers)
        self._finish()
        return answers

    def advance(self, now: float) -> bytes:
        """Let time pass; return what to send: a ping when it is quiet, mostly nothing."""
        if self.state in (State.DONE, State.BROKEN):
            return b""
        if self._pending:
            late = next(iter(self._pending.values()))
            if now >= late.deadline:
                asked = late.request.OPERATION.name
                self._broken(f"no answer to {asked} within {self._timeout:g} s", [])
        elif now >= self._heard + self._idle:
            return self.ask(Ping(), now)[1]
        return b""

    def next_deadline(self) -> float | None:
        """Return when `advance` is next to be called, or None when never."""
        if self.state in (State.DONE, State.BROKEN):
            return None
        if self._pending:
            return next(iter(self._pending.values())).deadline
        return self._heard + self._idle

    def wind_down(self) -> None:
        """Take no more requests; the session is done when the last answer has come."""
        if self.state is State.OPEN:
            self.state = State.WINDING_DOWN
            self._finish()

    def break_off(self, reason: str) -> None:
        """The connection ended from outside, for a reason that `fault` then says."""
        if self.state not in (State.DONE, State.BROKEN):
            self._broken(reason, [])

    def unanswered(self) -> dict[int, Message]:
        """Return the requests without an answer, by id, oldest first; pings are not among them."""
        return {
            number: pending.request
            for number, pending in self._pending.items()
            if not isinstance(pending.request, Ping)
        }

    def _free_id(self) -> int:
        number = self._last_id
        while True:
            number = number % ID_MAX + 1
            if number not in self._pending:
                self._last_id = number
                return number

    def _broken(self, fault: str, answers: list[Answer]) -> list[Answer]:
        self.state, self.fault = State.BROKEN, fault
        return answers

    def _finish(self) -> None:
        if self.state is State.WINDING_DOWN and not self._pending:
            self.state = State.DONE
