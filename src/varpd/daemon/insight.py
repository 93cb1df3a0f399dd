"""What the control socket tells of what happens and why: the half of the service that explains."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final, Protocol

from varpd.control.explanation import Explanation, KnownAddressInfo, MacExplanation
from varpd.control.messages import ControlError, ErrorCode, EventInfo
from varpd.control.streams import Stream
from varpd.control.tracing import TraceInfo, TraceRequest
from varpd.daemon import explanation, happenings, hearing
from varpd.daemon.audience import LISTENERS, AudienceFull
from varpd.daemon.explanation import Seen, ago
from varpd.daemon.guard import STOPPED, Given
from varpd.daemon.journal import Journal
from varpd.daemon.overlay import Overlay
from varpd.daemon.overlays import Overlays
from varpd.daemon.refusals import refusal
from varpd.daemon.runner import Runner
from varpd.daemon.traced import describe, make_frame
from varpd.daemon.tracing import Trace, carrying, kernel_step
from varpd.datapath.base import DatapathError
from varpd.datapath.inspection import MacRows
from varpd.engine import overlay as engine
from varpd.engine.events import Failed, NeighbourQuestion, Question
from varpd.engine.portrait import portray
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO, IpAddress, MacAddress, parse_ip
from varpd.net.ethernet import HEADER_SIZE
from varpd.provider.answers import Neighbour, Target
from varpd.provider.judge import Operation

EVENTS: Final = 20
"""Events of one MAC that are told, the latest."""

SETTLE: Final = 2.0
"""Seconds that rows which were asked for have to get to the kernel before it is looked at."""


class Portraits(Protocol):
    """The engine, as those see it who explain."""

    def overlay(self, name: str) -> engine.Overlay | None:
        """Return what is kept of an overlay."""


class Insight:
    """Explains overlays; changes nothing."""

    def __init__(
        self, overlays: Overlays, runner: Runner, portraits: Portraits, journal: Journal
    ) -> None:
        """Take the overlays, who carries their frames and decides, and what remembers."""
        self._overlays = overlays
        self._runner = runner
        self._portraits = portraits
        self._journal = journal

    async def events(self, name: str | None) -> Stream:
        """Return what happens from now on, in one overlay or in all, as lines of `EventInfo`."""
        if name is not None:
            self._overlays.get(name)  # one that is not at work may come back
        try:
            return hearing.listen(self._journal.audience, name)
        except AudienceFull as exc:
            message = f"{LISTENERS} listen already, which is as many as may"
            raise ControlError(ErrorCode.BUSY, message) from exc

    def end_events(self) -> None:
        """Let those who listen hear no more."""
        self._journal.audience.end()

    async def explain(self, name: str, address: str, *, ask: bool) -> Explanation:
        """Say why frames to a MAC, or to who has an overlay address, go where they go.

        With `ask` the plugin is asked who has the address.
        """
        overlay = self._overlays.find(name)
        asked = _address(address)
        search = overlay.plan.plugin.name
        if overlay.plan.mode is Mode.POINT:
            explained = await self._explain_point(overlay)
            return Explanation(name, str(asked), search, explained.summary, (), (explained,))
        if isinstance(asked, MacAddress):
            explained = await self._explain_mac(overlay, asked, ())
            return Explanation(name, str(asked), search, explained.summary, (), (explained,))
        known = self._who_has(name, asked)
        if ask:
            known.append(await self._ask(overlay, asked))
        macs = dict.fromkeys(MacAddress.parse(info.mac) for info in reversed(known) if info.mac)
        explanations = [await self._explain_mac(overlay, mac, (asked,)) for mac in macs]
        return Explanation(
            name,
            str(asked),
            search,
            _summary(asked, search, known, explanations),
            tuple(known),
            tuple(explanations),
        )

    async def trace(self, name: str, request: TraceRequest) -> TraceInfo:
        """Say step by step what would happen to a frame; nothing is sent, nothing changes."""
        overlay = self._overlays.find(name)
        plan = overlay.plan
        frame = make_frame(request)
        rows = await self._rows(overlay, MacAddress(frame[:6]))
        kept = self._kept(name)
        ask = partial(probe, overlay) if request.ask and plan.mode is Mode.DYNAMIC else None
        trace = Trace(kept, plan.plugin.name, ask, asyncio.get_running_loop().time())
        trace.say("frame", describe(frame))
        verdict, carried = kernel_step(rows, MacAddress(frame[:6]))
        trace.say("kernel", verdict)
        targets = carrying(rows) if carried else trace.targets
        if carried and ask is not None:
            trace.say("engine", "if the kernel handed it to varpd all the same:")
        if not carried or ask is not None:
            told = await trace.run(plan.encapsulation.pack_header(plan.vnetid) + frame)
            verdict = verdict if carried else told
        for target in targets:
            trace.say("mtu", await self._mtu(overlay, target, len(frame)))
        return TraceInfo(name, plan.vnetid, verdict, tuple(trace.steps))

    async def _mtu(self, overlay: Overlay, target: Target, size: int) -> str:
        """Say what fits on the way to a target."""
        link = overlay.link()
        if target.ip is None:
            return f"what fits on the way to {target} is not known"
        try:
            path = await self._runner.datapath.path_mtu(link.listen_ip, target.ip)
        except DatapathError as exc:
            return str(exc)
        room = path - overlay.plan.encapsulation.overhead(link.listen_ip.version)
        text = f"the way to {target} carries {path} bytes, guests' packets of up to {room}"
        return text if size - HEADER_SIZE <= room else f"{text}: this frame is too large"

    def _kept(self, name: str) -> engine.Overlay:
        kept = self._portraits.overlay(name)
        if kept is None:
            raise ControlError(ErrorCode.BUSY, f"overlay {name} is being made or removed")
        return kept

    async def _explain_mac(
        self, overlay: Overlay, mac: MacAddress, addresses: tuple[IpAddress, ...]
    ) -> MacExplanation:
        rows = await self._rows(overlay, mac)
        kept = self._kept(overlay.name)
        now = asyncio.get_running_loop().time()
        portrait = portray(kept, mac, now)
        events = self._remembered(overlay.name, mac, addresses)
        return explanation.explain(Seen(mac, overlay.plan.plugin.name, portrait, rows, events))

    async def _explain_point(self, overlay: Overlay) -> MacExplanation:
        rows = await self._rows(overlay, ZERO)
        target, search = overlay.instance.default_target, overlay.plan.plugin.name
        return explanation.explain_point(
            search, target, rows, self._remembered(overlay.name, ZERO, ())
        )

    async def _rows(self, overlay: Overlay, mac: MacAddress) -> MacRows:
        datapath = self._runner.datapath
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                await datapath.settle()
        try:
            return await datapath.rows_of(overlay.name, mac)
        except DatapathError as exc:
            raise refusal(exc, overlay.plan.encapsulation) from exc

    def _remembered(
        self, name: str, mac: MacAddress, addresses: tuple[IpAddress, ...]
    ) -> tuple[EventInfo, ...]:
        found = happenings.of_mac(self._journal.story(name), mac, addresses)
        epoch = time.time() - asyncio.get_running_loop().time()
        told = (info for record in found for info in happenings.infos(name, record, epoch))
        return tuple(islice(told, EVENTS))

    def _who_has(self, name: str, address: IpAddress) -> list[KnownAddressInfo]:
        """Return what was said of who has an address."""
        found = self._journal.known(name, address)
        if found is None:
            return []
        age = max(0.0, asyncio.get_running_loop().time() - found.at)
        holder = None if found.mac is None else str(found.mac)
        if found.announced:
            text = f"the plugin announced {ago(age)} that {holder} has {address}"
            return [KnownAddressInfo(holder, "announced", round(age, 3), text)]
        text = f"the plugin answered {ago(age)} that {holder or 'nobody'} has {address}"
        return [KnownAddressInfo(holder, "answered", round(age, 3), text)]

    async def _ask(self, overlay: Overlay, address: IpAddress) -> KnownAddressInfo:
        """Ask the plugin who has an address."""
        answer = await probe(overlay, Operation.ARP, NeighbourQuestion(address))
        mac = answer.mac if isinstance(answer, Neighbour) else answer
        holder = str(mac) if isinstance(mac, MacAddress) else None
        if isinstance(answer, Failed):
            text = f"asked now, the plugin failed: {answer.reason}"
        else:
            text = f"asked now, the plugin says that {holder or 'nobody'} has {address}"
        return KnownAddressInfo(holder, "asked", 0.0, text)


async def probe(overlay: Overlay, operation: Operation, question: Question) -> Given:
    """Ask the plugin something whose answer changes nothing; never raises."""
    operations = overlay.instance.operations
    if operations is None:
        return STOPPED
    return await operations.probe(operation, question, overlay.plan.settings().lookup_timeout)


def _address(text: str) -> MacAddress | IpAddress:
    """Return the MAC or the overlay address that an operator wrote.

    Raises:
        ControlError: it is neither.
    """
    with suppress(ValueError):
        return MacAddress.parse(text)
    try:
        return parse_ip(text)
    except ValueError as exc:
        message = f"{text!r} is neither a MAC address nor an IP address"
        raise ControlError(ErrorCode.INVALID, message, "address") from exc


def _summary(
    address: IpAddress,
    search: str,
    known: list[KnownAddressInfo],
    explanations: list[MacExplanation],
) -> str:
    if not known:
        return (
            f"nothing is known of {address}: no answer about it is remembered;"
            f" --ask asks {search} who has it"
        )
    if not explanations:
        return known[-1].text
    return f"{known[-1].text}; {explanations[0].summary}"
