"""Connections of hosts to the server: what they ask, and what they are answered."""

import asyncio
import logging
from typing import Final, cast

from varpd.net.decode import DecodeError
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.log_messages import LogAck, LogRemove, LogRemoveAck, LogRequest
from varpd.plugins.svp.messages import (
    BulkRequest,
    Ping,
    Pong,
    Vl2Ack,
    Vl2Request,
    Vl3Ack,
    Vl3Request,
)
from varpd.plugins.svp.server.content import Content, differences
from varpd.plugins.svp.server.logs import Logs
from varpd.plugins.svp.wire import MAX_BODY, Message, Stream, serialize

CONNECTIONS: Final = 1_024
"""Connections at a time; more are closed at once."""

SILENCE: Final = 300.0
"""Seconds without a word after which a connection is closed; hosts ask for their log more often."""

LOG_BYTES: Final = MAX_BODY - 64
"""Bytes of records in one answer, whatever was asked for."""

_log: Final = logging.getLogger("varpd-svp-server")


class Service:
    """What all connections share."""

    def __init__(self, content: Content, connections: int = CONNECTIONS) -> None:
        """Take what is answered, and how many may ask."""
        self.content = content
        self.logs = Logs()
        self.logs.follow(content.hosts)
        self.open: set[Connection] = set()
        self.limit = connections

    def replace(self, content: Content) -> int:
        """Answer from other content; return how many changes hosts are told of."""
        changes = list(differences(self.content, content))
        self.content = content
        self.logs.follow(content.hosts)
        self.logs.add(changes)
        return len(changes)

    def answer(self, request: Message) -> Message | None:
        """Return the answer to a request; None: it is none that a server answers."""
        content = self.content
        match request:
            case Ping():
                return Pong()
            case Vl2Request(mac, vnetid):
                place = content.places.get((vnetid, mac))
                if place is None:
                    return Vl2Ack(Status.NOT_FOUND)
                return Vl2Ack(Status.OK, place.port, place.ip)
            case Vl3Request(ip, vnetid):
                owner = content.owners.get((vnetid, ip))
                if owner is None:
                    return Vl3Ack(Status.NOT_FOUND)
                place = content.places[vnetid, owner.mac]
                return Vl3Ack(Status.OK, owner.mac, place.port, place.ip)
            case LogRequest(count, ip):
                records = self.logs.read(ip, min(count, LOG_BYTES))
                return LogAck(Status.FATAL) if records is None else LogAck(Status.OK, records)
            case LogRemove(ids):
                self.logs.remove(ids)
                return LogRemoveAck(Status.OK)
            case BulkRequest() | _:
                return None

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self.open):
            connection.end("the server ends")


class Connection(asyncio.Protocol):
    """One host's connection. What cannot be read ends it, and no other."""

    def __init__(self, service: Service) -> None:
        """Take who answers."""
        self._service = service
        self._stream = Stream()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._peer = "?"
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, if there is room for one more."""
        self._transport = cast("asyncio.Transport", transport)
        self._peer = str(transport.get_extra_info("peername", ("?",))[0])
        if len(self._service.open) >= self._service.limit:
            self.end("too many connections")
            return
        self._service.open.add(self)
        self._heard = asyncio.get_running_loop().time()
        self._listen()

    def data_received(self, data: bytes) -> None:
        """Answer what is asked, in the order of asking."""
        if self._transport is None or self._transport.is_closing():
            return
        self._heard = asyncio.get_running_loop().time()
        self._stream.feed(data)
        self._answer()

    def pause_writing(self) -> None:
        """Answer no more to one who does not read the answers."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer()

    def _answer(self) -> None:
        """Answer what has come, until the peer must read first."""
        try:
            while self._transport is not None and not self._paused:
                frame = self._stream.next_frame()
                if frame is None:
                    return
                answer = self._service.answer(frame.message())
                if answer is None:
                    self.end(f"{frame.operation.name} is not answered here")
                    return
                self._transport.write(serialize(frame.id, answer))
        except DecodeError as error:
            self.end(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._service.open.discard(self)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def _listen(self) -> None:
        """End the connection if nothing was heard for long, and look again later."""
        loop = asyncio.get_running_loop()
        left = self._heard + SILENCE - loop.time()
        if left <= 0:
            self.end(f"silent for {SILENCE:g} s")
        else:
            self._timer = loop.call_later(left, self._listen)

    def end(self, why: str) -> None:
        """Close the connection."""
        if self._transport is not None and not self._transport.is_closing():
            _log.warning("connection of %s closed: %s", self._peer, why)
            self._transport.close()
