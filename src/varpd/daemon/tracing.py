"""The way of a frame, step by step: what kernel, engine and plugin would do, put into words.

The engine's part is a rehearsal by its own code, see `varpd.engine.rehearsal`. Nothing is sent and
nothing changes; only where that is wanted is the plugin asked.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal

from varpd.control.tracing import StepInfo
from varpd.daemon.guard import Given
from varpd.daemon.happenings import answer_text
from varpd.datapath.inspection import MacRows
from varpd.engine import classify, commands, events
from varpd.engine.commands import Command
from varpd.engine.events import Question
from varpd.engine.overlay import Overlay
from varpd.engine.portrait import Portrait, portray
from varpd.engine.rehearsal import Outcome, Rehearsal, Rehearsed
from varpd.net import arp, ethernet, ipv6, ndp
from varpd.net.addresses import MacAddress
from varpd.provider.answers import Proxy, Target
from varpd.provider.judge import Operation
from varpd.provider.query import REFRESH, Query

Ask = Callable[[Operation, Question], Awaitable[Given]]
"""Really asks the plugin."""

Place = Literal["frame", "kernel", "engine", "entry", "plugin", "outcome", "mtu"]

_PROXIES: Final = {
    classify.ARP: Proxy.ARP,
    classify.ND: Proxy.NDP,
    classify.DHCP: Proxy.DHCP,
}

_DROPS: Final = {
    "local": "its target is this host, and the bridge has offered it to every guest here",
    "plugin": "the plugin gives it no destination",
    "negative": "the plugin gave frames like it no destination a moment ago",
    "failed": "the plugin failed",
    "blocked": "the administrator wants that",
    "no-instance": "the plugin is not at work",
    "neighbour-unknown": "nobody has that address, the plugin says",
    "dhcp-no-server": "there is no DHCP server, the plugin says",
    "probe-own": "the guest asks for an address of its own",
    "waiting-mac": "too many frames wait for the answer about this MAC",
    "waiting-overlay": "too many frames wait for answers in this overlay",
    "table-full": "the overlay's table has no room for another MAC",
    "lookups": "too many questions are in progress",
}

_ROUNDS: Final = 6
"""Questions that can follow from one frame, and one more."""


def kernel_step(rows: MacRows, mac: MacAddress) -> tuple[str, bool]:
    """Return what the kernel does with a guest's frame to `mac`, and whether it carries it."""
    bridge, device = rows.bridge, rows.device
    if bridge is not None and not bridge.is_tunnel:
        return f"the bridge has {mac} behind {bridge.port} and delivers it there", True
    copies = "" if bridge is not None else "the bridge copies it to all guests here; "
    if device is not None:
        to = ", ".join(map(str, device.targets))
        return f"{copies}the tunnel device has a row and sends it to {to}", True
    if rows.punts:
        return f"{copies}the tunnel device has no row for {mac} and hands it to varpd", False
    if rows.default is not None:
        return f"{copies}the tunnel device sends all to {rows.default}", True
    return f"{copies}the tunnel device has no row for {mac}, and no default row: it is lost", True


def carrying(rows: MacRows) -> list[Target]:
    """Return where the kernel sends a frame that it carries; nowhere if it is a guest's here."""
    if rows.bridge is not None and not rows.bridge.is_tunnel:
        return []
    if rows.device is not None:
        return list(rows.device.targets)
    return [] if rows.default is None else [rows.default]


class Trace:
    """Rehearses one frame and tells how it goes."""

    def __init__(self, kept: Overlay, search: str, ask: Ask | None, now: float) -> None:
        """Take what the engine keeps, the plugin's name, and who asks it, if it is to be asked."""
        self.steps: list[StepInfo] = []
        """How it went."""
        self.targets: list[Target] = []
        """Where the frame would be sent."""
        self._kept = kept
        self._search = search
        self._ask = ask
        self._now = now
        self._rehearsal = Rehearsal(kept)
        self._kind = classify.UNICAST
        self._asked = False

    def say(self, place: Place, text: str) -> None:
        """Add a step."""
        self.steps.append(StepInfo(place, text))

    async def run(self, packet: bytes) -> str:
        """Rehearse a frame, header in front, that was punted; return what becomes of it."""
        frame = packet[self._kept.settings.headroom :]
        mac = MacAddress(frame[:6])
        if mac.is_group:
            self._kind = classify.group_kind(frame)
        kind = classify.KINDS[self._kind]
        self.say("engine", f"varpd takes it as {kind}")
        has_entry = not mac.is_group or (
            self._kind == classify.MULTICAST and classify.may_have_rows(mac)
        )
        portrait = portray(self._kept, mac, self._now)
        if has_entry:
            self.say("entry", _entry_text(mac, portrait))
        event: Rehearsed | None = events.FramesPunted(self._kept.name, [packet])
        verdict = ""
        for _ in range(_ROUNDS):
            if event is None:
                break
            outcome = self._rehearsal.feed(event, self._now)
            if isinstance(event, events.FramesPunted) and not _limited(outcome):
                self.say("engine", f"the limits for {kind} let it through")
            verdict = self._tell(outcome) or verdict
            event, waits = await self._next(outcome.commands)
            verdict = waits or verdict
        if self._ask is not None and not self._asked and not mac.is_group:
            await self._compare(mac, portrait)
        return verdict or "varpd does nothing with it"

    # -- outcomes ------------------------------------------------------------------------------

    def _tell(self, outcome: Outcome) -> str:
        """Tell what would follow; return the sentence that says what becomes of the frame."""
        verdict = ""
        for command in outcome.commands:
            match command:
                case commands.Install():
                    verdict = self._tell_install(command) or verdict
                case commands.Resend():
                    self._note_target(command.target)
                    verdict = f"a copy is sent to {command.target}"
                    self.say("outcome", verdict)
                case commands.InstallReplicas():
                    to = ", ".join(map(str, command.targets)) or "nowhere"
                    self.say("outcome", f"rows to {to} are written for the group")
                case commands.Inject():
                    verdict = f"the guest gets the answer: {_reply_text(command.frames[0])}"
                    self.say("outcome", verdict)
                case commands.Note():
                    self.say("engine", command.text)
                case _:
                    pass
        for name in outcome.counted:
            if name.startswith("dropped."):
                verdict = f"it is dropped: {_drop_text(name.removeprefix('dropped.'))}"
                self.say("outcome", verdict)
        return verdict

    def _tell_install(self, command: commands.Install) -> str:
        self._note_target(command.target)
        verdict = ""
        if command.packets:
            verdict = f"it is sent to {command.target}"
            self.say("outcome", verdict)
        if command.macs:
            macs = ", ".join(mac.hex(":") for mac in command.macs)
            text = f"rows for {macs} are written: the next frames go to {command.target}"
            self.say("outcome", f"{text} without varpd")
        return verdict

    def _note_target(self, target: Target) -> None:
        if target not in self.targets:
            self.targets.append(target)

    # -- questions -----------------------------------------------------------------------------

    async def _next(self, out: Sequence[Command]) -> tuple[Rehearsed | None, str]:
        """Answer the question that follows, as far as it can be; return what then happens.

        Where it cannot be answered, that is what becomes of the frame.
        """
        for command in out:
            match command:
                case commands.StartLookups():
                    return await self._look_up(command.queries[0])
                case commands.StartNeighbours():
                    (question,) = command.questions
                    text = f"who has {question.address}"
                    answer: Any = await self._answer(Operation.ARP, question, text)
                    if answer is not None:
                        overlay = self._kept.name
                        return events.NeighboursAnswered(overlay, [question], [answer]), ""
                    return None, f"{self._search} is asked {text}; its answer decides"
                case commands.StartDhcp():
                    (query,) = command.queries
                    text = "which is the DHCP server"
                    answer = await self._answer(Operation.DHCP, query, text)
                    if answer is not None:
                        return events.DhcpAnswered(self._kept.name, [query], [answer]), ""
                    return None, f"{self._search} is asked {text}; its answer decides"
                case _:
                    pass
        return None, ""

    async def _look_up(self, query: Query) -> tuple[Rehearsed | None, str]:
        text = f"where {query.dst} is"
        if query.dst.is_group:
            proxy = _PROXIES.get(self._kind)
            if proxy is None:
                self.say("plugin", f"{self._search} is asked where this frame goes")
                return None, (
                    f"{self._search} is asked where it goes; its answer decides, and only a"
                    " guest's own frame can be asked about"
                )
            self.say(
                "plugin",
                f"{self._search} is asked where this frame goes; if, as is usual,"
                f" {answer_text(proxy)}:",
            )
            return events.LookupsAnswered(self._kept.name, [query], [proxy]), ""
        own = Query(query.key, query.vnetid, None, 0, REFRESH)
        answer: Any = await self._answer(Operation.LOOKUP, own, text)
        if answer is None:
            return None, f"it waits while {self._search} is asked {text}; its answer decides"
        return events.LookupsAnswered(self._kept.name, [query], [answer]), ""

    async def _answer(self, operation: Operation, question: Question, text: str) -> Given | None:
        """Really ask the plugin, if that is wanted."""
        if self._ask is None:
            self.say("plugin", f"{self._search} is asked {text} (--ask asks it)")
            return None
        self._asked = True
        answer = await self._ask(operation, question)
        self.say("plugin", f"asked {text}, {self._search} answers: {answer_text(answer)}")
        return answer

    async def _compare(self, mac: MacAddress, portrait: Portrait) -> None:
        """Ask the plugin about a MAC though varpd would not; tell whether it says what is known."""
        query = Query(bytes(mac), self._kept.settings.vnetid, None, 0, REFRESH)
        answer = await self._answer(Operation.LOOKUP, query, f"where {mac} is")
        if portrait.targets:
            same = "as is known" if portrait.targets == (answer,) else "other than what is known"
            self.say("plugin", f"that is {same}; nothing follows from it")


def _entry_text(mac: MacAddress, portrait: Portrait) -> str:
    to = ", ".join(map(str, portrait.targets))
    if portrait.state == "absent":
        return f"nothing is known of {mac}"
    return f"{mac} is {portrait.state}" + (f": {to}, said by {portrait.origin}" if to else "")


def _limited(outcome: Outcome) -> bool:
    return any(name.startswith("dropped.limit-") for name in outcome.counted)


def _drop_text(reason: str) -> str:
    if reason.startswith("limit-source-"):
        return f"its source sends more {reason.removeprefix('limit-source-')} than it may"
    if reason.startswith("limit-"):
        return f"the overlay's guests send more {reason.removeprefix('limit-')} than they may"
    return _DROPS.get(reason, f"varpd refuses it ({reason})")


def _reply_text(frame: bytes) -> str:
    """Return in words what a proxy tells a guest."""
    parsed = ethernet.Frame.parse(frame)
    if parsed.ethertype == ethernet.EtherType.ARP:
        packet = arp.Packet.parse(parsed.payload)
        return f"{packet.sender_ip} is at {packet.sender_mac}"
    message = ndp.parse(ipv6.Packet.parse(parsed.payload))
    return f"{message.target} is at {parsed.src}"
