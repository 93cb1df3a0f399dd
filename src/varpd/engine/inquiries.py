"""Frames that are questions of their own: ARP, neighbour discovery, DHCP, broadcast.

They never make or meet an entry, and they never wait behind each other. Equal questions in
progress are asked of the plugin once; the answer is for each frame that asked. A question has up
to two stages: where does this frame go, and, if the plugin wants it proxied, who has that address
or which is the DHCP server.
"""

from collections.abc import Hashable, Sequence
from typing import Final, Protocol, assert_never

from msgspec import Struct

from varpd.engine import proxy_arp, proxy_dhcp, proxy_ndp
from varpd.engine.commands import Command, ReportFault, StartDhcp, StartNeighbours
from varpd.engine.events import Deferred, Failed, NeighbourQuestion, Question
from varpd.engine.overlay import Overlay
from varpd.net import ethernet
from varpd.net.addresses import MacAddress
from varpd.net.decode import DecodeError
from varpd.provider.answers import (
    Answer,
    DhcpAnswer,
    Drop,
    Neighbour,
    NeighbourAnswer,
    Proxy,
    Replicate,
    Target,
)
from varpd.provider.query import Query

GIVE_UP: Final = 30.0
"""Seconds after which a question that has not been answered is cancelled."""

_PROTOCOLS: Final = {Proxy.ARP: "arp", Proxy.NDP: "ndp", Proxy.DHCP: "dhcp"}

NeighbourRequest = proxy_arp.Request | proxy_ndp.Request


class Item(Struct, frozen=True):
    """One frame that waits for an answer."""

    packet: bytes
    request: NeighbourRequest | None = None


class Inquiry(Struct):
    """One question in progress, and the frames that wait for its answer."""

    key: Hashable
    question: Question
    items: list[Item] = []
    size: int = 0
    """Bytes of the frames."""


class Replies(Protocol):
    """Sends the replies of proxies to the local guests."""

    def reply(self, mac: MacAddress, frames: list[bytes], now: float, out: list[Command]) -> None:
        """Inject frames that say that `mac` has an address, behind the rows of `mac`."""

    def resend(self, packet: bytes, now: float, out: list[Command]) -> None:
        """Send a unicast frame on, as if a guest had sent it."""


class Stage:
    """Questions of one sort in progress."""

    def __init__(self) -> None:
        """Begin with none."""
        self.by_key: dict[Hashable, Inquiry] = {}
        self.by_question: dict[Question, Inquiry] = {}

    def open(self, inquiry: Inquiry) -> None:
        """Add a question."""
        self.by_key[inquiry.key] = inquiry
        self.by_question[inquiry.question] = inquiry

    def close(self, question: Question) -> Inquiry | None:
        """Take away a question that has its final answer."""
        inquiry = self.by_question.pop(question, None)
        if inquiry is not None:
            del self.by_key[inquiry.key]
        return inquiry


class Inquiries:
    """Takes frames of one overlay that are questions of their own."""

    def __init__(self, overlay: Overlay) -> None:
        """Take the overlay; `replies` is set before the first event."""
        self._overlay = overlay
        self.replies: Replies
        self._lookups = Stage()
        self._neighbours = Stage()
        self._dhcp = Stage()

    def punted(self, packets: Sequence[bytes], now: float, out: list[Command]) -> None:
        """Take frames, within their limits, each of which is a question."""
        overlay = self._overlay
        headroom = overlay.settings.headroom
        queries: list[Query] = []
        for packet in packets:
            query = overlay.query(packet[headroom : headroom + 6], packet)
            if self._join(self._lookups, Inquiry(packet, query), Item(packet), now, len(queries)):
                queries.append(query)
        overlay.start(queries, out)

    def holds(self, query: Query) -> bool:
        """Return whether a query is one of these questions."""
        return query in self._lookups.by_question

    def looked_up(
        self, query: Query, answer: Answer | Deferred | Failed, now: float, out: list[Command]
    ) -> None:
        """Take the answer to where frames go."""
        items = self._answered(self._lookups, query, answer, now)
        packets = [item.packet for item in items]
        match answer:
            case Deferred():
                pass
            case Target():
                self._overlay.replicate((answer,), packets, out)
            case Replicate():
                self._overlay.replicate(answer.targets, packets, out)
            case Drop():
                self._overlay.drop("plugin", len(packets))
            case Failed():
                self._overlay.drop("failed", len(packets))
            case Proxy():
                for packet in packets:
                    self.proxy(answer, packet, now, out)
            case _:
                assert_never(answer)

    def proxy(self, proxy: Proxy, packet: bytes, now: float, out: list[Command]) -> None:
        """Answer a frame in the name of who is asked for; it no longer waits."""
        frame = packet[self._overlay.settings.headroom :]
        try:
            match proxy:
                case Proxy.ARP:
                    self._ask_neighbour(packet, proxy_arp.parse(frame), now, out)
                case Proxy.NDP:
                    self._ask_neighbour(packet, proxy_ndp.parse(frame), now, out)
                case Proxy.DHCP:
                    self._ask_dhcp(packet, proxy_dhcp.parse(frame), now, out)
                case _:
                    assert_never(proxy)
        except DecodeError as exc:
            self._overlay.drop(exc.reason)
            self._count(_PROTOCOLS[proxy], "refused")

    def neighbours_answered(
        self,
        questions: Sequence[NeighbourQuestion],
        answers: Sequence[NeighbourAnswer | Deferred | Failed],
        now: float,
        out: list[Command],
    ) -> None:
        """Take answers to who has addresses."""
        for question, answer in zip(questions, answers, strict=True):
            items = self._answered(self._neighbours, question, answer, now)
            if isinstance(answer, Neighbour):
                self._reply(items, answer.mac, answer.router, now, out)
            elif isinstance(answer, MacAddress):
                self._reply(items, answer, False, now, out)
            elif not isinstance(answer, Deferred):
                known = isinstance(answer, Drop)
                self._overlay.drop("neighbour-unknown" if known else "failed", len(items))
                for item in items:
                    self._count(_protocol_of(item), "unknown" if known else "failed")

    def dhcp_answered(
        self,
        queries: Sequence[Query],
        answers: Sequence[DhcpAnswer | Deferred | Failed],
        now: float,
        out: list[Command],
    ) -> None:
        """Take answers to which DHCP server clients' frames go to."""
        for query, answer in zip(queries, answers, strict=True):
            items = self._answered(self._dhcp, query, answer, now)
            if isinstance(answer, MacAddress):
                for item in items:
                    self._redirect(item.packet, answer, now, out)
            elif not isinstance(answer, Deferred):
                known = isinstance(answer, Drop)
                self._overlay.drop("dhcp-no-server" if known else "failed", len(items))
                self._count("dhcp", "unknown" if known else "failed", len(items))

    def time_out(self, question: Question, out: list[Command]) -> None:
        """Drop the frames that have waited too long; the question goes on."""
        for stage in (self._lookups, self._neighbours, self._dhcp):
            inquiry = stage.by_question.get(question)
            if inquiry is not None:
                if stage is not self._lookups:
                    for item in inquiry.items:
                        self._count(_protocol_of(item), "timeout")
                self._empty(inquiry, "timeout")
                self._overlay.counters["overdue"] += 1
                out.append(ReportFault(self._overlay.name, f"no answer to {describe(question)}"))

    def stop(self) -> None:
        """Drop everything that waits; the answers will not count."""
        for stage in (self._lookups, self._neighbours, self._dhcp):
            for inquiry in stage.by_question.values():
                self._empty(inquiry, "no-instance")
                self._overlay.waits.pop(inquiry.question, None)
            stage.by_key.clear()
            stage.by_question.clear()

    def _count(self, protocol: str, result: str, count: int = 1) -> None:
        """Count what became of frames that a proxy was to answer."""
        if count:
            self._overlay.counters[f"proxied.{protocol}.{result}"] += count

    def _empty(self, inquiry: Inquiry, reason: str) -> None:
        """Drop the frames that wait for an answer."""
        self._overlay.drop(reason, len(inquiry.items))
        self._overlay.shares.waiting.give(inquiry.size)
        inquiry.items = []
        inquiry.size = 0

    # -- stages --------------------------------------------------------------------------------

    def _join(self, stage: Stage, inquiry: Inquiry, item: Item, now: float, asked: int = 0) -> bool:
        """Let a frame wait for an answer; return whether the question has to be asked.

        `asked` questions of this turn are not yet counted as being in progress.
        """
        overlay = self._overlay
        size = len(item.packet)
        if size > overlay.shares.waiting.room():
            overlay.drop("waiting-overlay")
            return False
        same = stage.by_key.get(inquiry.key)
        if same is None:
            if overlay.shares.lookups.room() <= asked:
                overlay.drop("lookups")
                return False
            stage.open(inquiry)
        elif same.size + size > overlay.settings.limits.waiting_mac:
            overlay.drop("waiting-mac")
            return False
        overlay.shares.waiting.take(size)
        joined = same or inquiry
        joined.items.append(item)
        joined.size += size
        if joined.question not in overlay.waits and joined.question in overlay.deferred:
            overlay.wait(joined.question, now)
        return same is None

    def _answered(
        self,
        stage: Stage,
        question: Question,
        answer: Answer | NeighbourAnswer | DhcpAnswer | Deferred | Failed,
        now: float,
    ) -> list[Item]:
        """Return the frames that an answer is for; none while it is deferred."""
        overlay = self._overlay
        if isinstance(answer, Deferred):
            overlay.defer(question, now, GIVE_UP)
            if question in stage.by_question:
                overlay.wait(question, now)
            return []
        overlay.finish(question)
        overlay.waits.pop(question, None)
        inquiry = stage.close(question)
        if inquiry is None:
            if not isinstance(answer, Failed):
                overlay.counters["ignored.late"] += 1
            return []
        overlay.shares.waiting.give(inquiry.size)
        return inquiry.items

    def _ask_neighbour(
        self, packet: bytes, request: NeighbourRequest, now: float, out: list[Command]
    ) -> None:
        question = NeighbourQuestion(request.address)
        inquiry = Inquiry(request.address, question)
        if self._join(self._neighbours, inquiry, Item(packet, request), now):
            self._overlay.asked("arp")
            out.append(StartNeighbours(self._overlay.name, [question]))

    def _ask_dhcp(
        self, packet: bytes, request: proxy_dhcp.Request, now: float, out: list[Command]
    ) -> None:
        if request.direction is proxy_dhcp.Direction.TO_CLIENT:
            self._redirect(packet, request.client, now, out)
            return
        headroom = self._overlay.settings.headroom
        query = self._overlay.query(packet[headroom : headroom + 6], packet)
        if self._join(self._dhcp, Inquiry(packet, query), Item(packet), now):
            self._overlay.asked("dhcp")
            out.append(StartDhcp(self._overlay.name, [query]))

    def _reply(
        self, items: list[Item], mac: MacAddress, router: bool, now: float, out: list[Command]
    ) -> None:
        """Answer those who asked for an address that `mac` has."""
        frames = []
        for item in items:
            request = item.request
            assert request is not None  # noqa: S101 - items of this stage have one
            if request.is_probe and request.frame.src == mac:
                # The asker checks its own address; an answer would look like a conflict.
                self._overlay.drop("probe-own")
                self._count(_protocol_of(item), "probe")
                continue
            if isinstance(request, proxy_arp.Request):
                frames.append(proxy_arp.reply(request, mac))
            else:
                frames.append(proxy_ndp.reply(request, mac, router=router))
            self._count(_protocol_of(item), "answered")
        if frames:
            self.replies.reply(mac, frames, now, out)

    def _redirect(self, packet: bytes, mac: MacAddress, now: float, out: list[Command]) -> None:
        """Send a DHCP broadcast to one MAC."""
        headroom = self._overlay.settings.headroom
        frame = ethernet.replace_destination(packet[headroom:], mac)
        self._overlay.counters["dhcp-redirected"] += 1
        self._count("dhcp", "answered")
        self.replies.resend(packet[:headroom] + frame, now, out)


def _protocol_of(item: Item) -> str:
    """Return which protocol's proxy was to answer a frame."""
    match item.request:
        case proxy_arp.Request():
            return "arp"
        case proxy_ndp.Request():
            return "ndp"
        case None:
            return "dhcp"


def describe(question: Question) -> str:
    """Return what was asked, for a log."""
    if isinstance(question, NeighbourQuestion):
        return f"who has {question.address}"
    return f"where {question.dst} is"
