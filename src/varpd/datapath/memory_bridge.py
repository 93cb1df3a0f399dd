"""One overlay of the datapath in memory: a bridge with guests' ports and a tunnel device.

What it does with a frame is what the Linux kernel does with bridge and vxlan as varpd sets them up:

- a frame from a guest's port teaches where its source is, unless that MAC has a row;
- a MAC with a row is behind the tunnel, one that was learned is behind a guest's port, and a frame
  to any other goes to all ports but that where it came from;
- at the tunnel a DYNAMIC overlay looks for a row, and punts where there is none; a POINT overlay
  sends everything to its one target, and learns what comes from there;
- nothing that comes out of the tunnel goes back into it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, assert_never

from varpd.datapath.base import Link, LinkState, Row
from varpd.datapath.counters import OverlayCounters
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.datapath.inspection import BridgeRow, DeviceRow, MacRows
from varpd.engine.commands import (
    AskUsage,
    CheckRows,
    DatapathCommand,
    Inject,
    Install,
    InstallReplicas,
    RemoveRows,
    Resend,
    SetDefaultTarget,
)
from varpd.engine.events import (
    Event,
    FoundRow,
    FramesPunted,
    MacsForgotten,
    MacsLearned,
    PortsSeen,
    RowsFound,
    RowsRefused,
    RowsTouched,
    TableLost,
    UsageReported,
)
from varpd.engine.histogram import Histogram
from varpd.engine.settings import Mode
from varpd.net.addresses import MAC_SIZE, ZERO
from varpd.provider.answers import Target

MTU: Final = 1500
"""Of guests, where nothing else is said."""

STATIC: Final = ("static", "sticky")
"""How rows that varpd wrote are marked."""

_GROUP_BIT: Final = 0x01
_TUNNEL: Final = ""
"""Where the tunnel device is, in the table of what was learned; no port has this name."""


class Port:
    """Where a guest is attached."""

    def __init__(self, name: str, bridge: "MemoryBridge") -> None:
        self.name = name
        self.frames: list[bytes] = []
        """What the guest was sent, the oldest first; to be emptied by whoever reads it."""
        self.bridge: MemoryBridge | None = bridge
        """What it is attached to."""

    def send(self, frame: bytes) -> None:
        """Let the guest send a frame.

        Raises:
            ValueError: shorter than an Ethernet header.
        """
        if len(frame) < 2 * MAC_SIZE + 2:
            raise ValueError(f"no Ethernet frame has {len(frame)} bytes")
        if self.bridge is not None:
            self.bridge.from_guest(self, frame)


class Totals:
    """What all bridges of a host together count."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """Rows ``written``, ``removed`` and ``refused``."""
        self.delays = Histogram()
        """From frames' arrival to their rows."""


class MemoryBridge:
    """Bridge, tunnel device and rows of one overlay."""

    def __init__(
        self,
        link: Link,
        ports: dict[str, Port],
        send: Callable[[Target, bytes], bool],
        tell: Callable[[Event], bool],
        refuse: dict[bytes, str],
        clock: Callable[[], float],
        totals: "Totals",
    ) -> None:
        """Take over `ports`, `send` to the underlay, `tell` events, `refuse` rows of MACs.

        What is counted for all bridges together goes to `totals`.
        """
        self.link = link
        self.ports = ports
        self.default = link.default
        encapsulation = ENCAPSULATIONS[link.encapsulation]
        self._header = encapsulation.pack_header(link.vnetid)
        self._send = send
        self.tell = tell
        """Takes the events."""
        self._refuse = refuse
        self._clock = clock
        self._rows: dict[bytes, Target] = {}
        self._groups: dict[bytes, tuple[Target, ...]] = {}
        self._learned: dict[bytes, str] = {}
        self._used: dict[bytes, float] = {}
        self._tally: Counter[str] = Counter()
        self._delays = Histogram()
        self.totals = totals
        for port in ports.values():
            port.bridge = self

    @property
    def state(self) -> LinkState:
        """What there is of the overlay."""
        name = self.link.name
        return LinkState(name, f"vx-{name}", self.link.mtu or MTU, tuple(self.ports))

    def attach(self, name: str) -> Port:
        """Add a guest's port.

        Raises:
            ValueError: there is such a port already, or the name is empty.
        """
        if not name or name in self.ports:
            raise ValueError(f"{self.link.name} cannot have another port {name!r}")
        self.ports[name] = Port(name, self)
        tell_ports(self)
        return self.ports[name]

    def detach(self, name: str) -> None:
        """Take a guest's port away, and what was learned there."""
        port = self.ports.pop(name, None)
        if port is not None:
            port.bridge = None
            tell_ports(self)
            self._forget(mac for mac, where in list(self._learned.items()) if where == name)

    def end(self) -> None:
        """Carry nothing any more."""
        for port in self.ports.values():
            port.bridge = None

    def do(self, command: DatapathCommand) -> None:
        """Do what the engine asks for."""
        match command:
            case Install(_, target, macs, packets, since):
                self.install(target, macs)
                if since and macs:
                    for delays in (self._delays, self.totals.delays):
                        delays.observe(self._clock() - since, len(macs))
                self._send_all(target, packets)
            case InstallReplicas(_, mac, targets):
                self.install_replicas(mac, targets)
            case RemoveRows(_, macs):
                self.remove(macs)
            case SetDefaultTarget(_, target):
                self.default = target
            case Resend(_, target, packets):
                self._send_all(target, packets)
            case Inject(_, frames):
                self._tally["injected"] += len(frames)
                for frame in frames:
                    self.from_tunnel(frame)
            case AskUsage(overlay, macs):
                self.tell(UsageReported(overlay, macs, self.usage(macs)))
            case CheckRows(overlay, macs):
                found = [_found(self._rows.get(mac), self._groups.get(mac)) for mac in macs]
                self.tell(RowsFound(overlay, macs, [*found]))
            case _:
                assert_never(command)

    def install(self, target: Target, macs: Sequence[bytes]) -> None:
        """Write rows."""
        self._forget(macs)
        refused: dict[str, list[bytes]] = {}
        for mac in macs:
            error = _refusal(self.link, self._refuse, mac, target, group=False)
            if error is None:
                self._rows[mac] = target
                self._used[mac] = self._clock()
                self.totals.counts["written"] += 1
            else:
                self._rows.pop(mac, None)
                self.totals.counts["refused"] += 1
                refused.setdefault(error, []).append(mac)
        for error, refused_macs in refused.items():
            self.tell(RowsRefused(self.link.name, refused_macs, error))

    def install_replicas(self, mac: bytes, targets: tuple[Target, ...]) -> None:
        """Write the rows of a group MAC."""
        self._groups.pop(mac, None)
        errors = [_refusal(self.link, self._refuse, mac, target, group=True) for target in targets]
        error = next((error for error in errors if error is not None), None)
        if error is not None:
            self.totals.counts["refused"] += 1
            self.tell(RowsRefused(self.link.name, [mac], error))
        elif targets:
            self.totals.counts["written"] += len(targets)
            self._groups[mac] = tuple(dict.fromkeys(targets))
            self._used[mac] = self._clock()

    def remove(self, macs: Sequence[bytes]) -> None:
        """Remove rows of unicast MACs."""
        for mac in macs:
            self._rows.pop(mac, None)
            self.totals.counts["removed"] += 1

    @property
    def counters(self) -> OverlayCounters:
        """What was counted."""
        return OverlayCounters(**self._tally, miss_to_row=self._delays.distribution)

    def usage(self, macs: Sequence[bytes]) -> list[float | None]:
        """Return how many seconds ago each row carried a frame, or None."""
        now = self._clock()
        return [
            now - self._used[mac] if mac in self._rows or mac in self._groups else None
            for mac in macs
        ]

    def tamper(self, mac: bytes | None = None, targets: tuple[Target, ...] = ()) -> None:
        """Change the rows of a MAC as somebody beside varpd might; no targets: remove them.

        No MAC: all rows are lost, as if the links had been deleted and made anew.
        """
        if mac is None:
            self._rows.clear()
            self._groups.clear()
            self.tell(TableLost(self.link.name))
            return
        self._rows.pop(mac, None)
        self._groups.pop(mac, None)
        if targets and mac[0] & _GROUP_BIT:
            self._groups[mac] = targets
        elif targets:
            self._rows[mac] = targets[0]
        written, removed = ([mac], []) if targets else ([], [mac])
        self.tell(RowsTouched(self.link.name, written, removed))

    def dump(self) -> list[Row]:
        """Return all rows."""
        rows = [Row(mac, (target,)) for mac, target in self._rows.items()]
        rows += [Row(mac, targets) for mac, targets in self._groups.items()]
        if self.link.mode is Mode.POINT and self.default is not None:
            rows.append(Row(ZERO, (self.default,)))
        return rows

    def rows_of(self, mac: bytes) -> MacRows:
        """Return what decides where a frame to a MAC goes."""
        is_point = self.link.mode is Mode.POINT
        device, bridge = None, None
        (idle,) = self.usage([mac])
        if (targets := self._groups.get(mac)) is not None:
            device = DeviceRow(targets, STATIC, idle)
        elif (target := self._rows.get(mac)) is not None:
            device = DeviceRow((target,), STATIC, idle)
            bridge = BridgeRow(self.state.device, True, STATIC, idle)
        elif (where := self._learned.get(mac)) is not None:
            bridge = BridgeRow(where or self.state.device, where == _TUNNEL)
        return MacRows(device, bridge, self.default if is_point else None, punts=not is_point)

    def from_guest(self, port: Port, frame: bytes) -> None:
        """Carry what a guest sent."""
        dst, src = frame[:MAC_SIZE], frame[MAC_SIZE : 2 * MAC_SIZE]
        self._learn(src, port.name)
        if dst in self._rows:
            self._into_tunnel(dst, frame)
        elif (where := self._learned.get(dst)) is None:
            _flood(self.ports, frame, port)
            self._into_tunnel(dst, frame)
        elif where == _TUNNEL:
            self._into_tunnel(dst, frame)
        elif where != port.name:
            self.ports[where].frames.append(frame)

    def from_tunnel(self, frame: bytes) -> None:
        """Carry what came from the underlay, or was injected as if it had."""
        dst, src = frame[:MAC_SIZE], frame[MAC_SIZE : 2 * MAC_SIZE]
        if self.link.mode is Mode.POINT:
            self._learn(src, _TUNNEL)
        if dst in self._rows:
            return
        where = self._learned.get(dst)
        if where is None:
            _flood(self.ports, frame, None)
        elif where != _TUNNEL:
            self.ports[where].frames.append(frame)

    def _into_tunnel(self, dst: bytes, frame: bytes) -> None:
        packet = self._header + frame
        targets: tuple[Target, ...]
        if self.link.mode is Mode.POINT:
            targets = () if self.default is None else (self.default,)
        elif dst in self._rows:
            targets = (self._rows[dst],)
        elif dst in self._groups:
            targets = self._groups[dst]
        else:
            taken = self.tell(FramesPunted(self.link.name, [packet], self._clock()))
            self._tally["received" if taken else "lost"] += 1
            return
        self._used[dst] = self._clock()
        for target in targets:
            self._send(target, packet)

    def _send_all(self, target: Target, packets: Sequence[bytes]) -> None:
        for packet in packets:
            self._tally["sent" if self._send(target, packet) else "not_sent"] += 1

    def _learn(self, mac: bytes, where: str) -> None:
        before = self._learned.get(mac)
        if mac in self._rows or mac[0] & _GROUP_BIT or before == where:
            return
        if where == _TUNNEL:
            self._forget([mac])
            self._learned[mac] = _TUNNEL
            return
        self._learned[mac] = where
        if before in (None, _TUNNEL):
            self.tell(MacsLearned(self.link.name, [mac]))

    def _forget(self, macs: Iterable[bytes]) -> None:
        gone = [mac for mac in macs if self._learned.pop(mac, _TUNNEL) != _TUNNEL]
        if gone:
            self.tell(MacsForgotten(self.link.name, gone))


def tell_ports(bridge: MemoryBridge) -> None:
    """Tell which guests' ports a bridge has."""
    bridge.tell(PortsSeen(bridge.link.name, tuple(sorted(bridge.ports))))


def _flood(ports: dict[str, Port], frame: bytes, source: Port | None) -> None:
    for port in list(ports.values()):
        if port is not source:
            port.frames.append(frame)


def _found(row: Target | None, group: tuple[Target, ...] | None) -> FoundRow:
    return FoundRow(group or ()) if row is None else FoundRow((row,), bridged=True)


def _refusal(
    link: Link, refuse: Mapping[bytes, str], mac: bytes, target: Target, *, group: bool
) -> str | None:
    """Return why the kernel would not take a row."""
    if mac in refuse:
        return refuse[mac]
    if bool(mac[0] & _GROUP_BIT) != group:
        return "Operation not supported"
    if target.ip is None or target.ip.version != link.listen_ip.version:
        return "Address family not supported by protocol"
    return None
