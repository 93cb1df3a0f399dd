"""One overlay of the datapath in memory: where its bridge sends each frame."""

from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from varpd.datapath.base import Link, Row
from varpd.datapath.encapsulation import VXLAN
from varpd.datapath.memory_bridge import MemoryBridge, Port, Totals
from varpd.engine.commands import Inject, Install, RemoveRows
from varpd.engine.events import (
    Event,
    FramesPunted,
    MacsForgotten,
    MacsLearned,
    PortsSeen,
    RowsRefused,
)
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO
from varpd.provider.answers import Target

VNETID = 7
HEADER = VXLAN.pack_header(VNETID)
ONE = Target(ip_address("192.0.2.11"), 4789)
TWO = Target(ip_address("192.0.2.12"), 4789)
A, B, C, FAR = (bytes((2, 0, 0, 0, 0, number)) for number in (1, 2, 3, 99))
GROUP = bytes.fromhex("01005e000001")
BROADCAST = b"\xff" * 6


def frame(dst: bytes, src: bytes) -> bytes:
    return dst + src + b"\x88\xb5" + bytes(46)


@dataclass
class Bench:
    """A bridge with three guests."""

    mode: Mode = Mode.DYNAMIC
    default: Target | None = None
    now: float = 0.0
    events: list[Event] = field(default_factory=list)
    wire: list[tuple[Target, bytes]] = field(default_factory=list)
    refuse: dict[bytes, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        link = Link(
            name="blue",
            vnetid=VNETID,
            encapsulation="vxlan",
            mode=self.mode,
            number=1,
            listen_ip=ip_address("192.0.2.1"),
            listen_port=4789,
            default=self.default,
        )
        self.totals = Totals()
        self.bridge = MemoryBridge(
            link, {}, self.send, self.tell, self.refuse, lambda: self.now, self.totals
        )
        self.a, self.b, self.c = (self.bridge.attach(name) for name in "abc")
        self.events.clear()

    def tell(self, event: Event) -> bool:
        self.events.append(event)
        return True

    def send(self, target: Target, packet: bytes) -> bool:
        self.wire.append((target, packet))
        return True

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def received(self) -> list[Port]:
        """Return the ports that got anything since the last call."""
        ports = [port for port in (self.a, self.b, self.c) if port.frames]
        for port in ports:
            port.frames.clear()
        return ports


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_unknown_mac_is_flooded_to_the_other_ports_and_punted(bench: Bench) -> None:
    bench.a.send(frame(FAR, A))

    assert bench.received() == [bench.b, bench.c]
    assert bench.of(FramesPunted) == [FramesPunted("blue", [HEADER + frame(FAR, A)])]
    assert bench.wire == []


def test_a_mac_with_a_row_is_behind_the_tunnel_alone(bench: Bench) -> None:
    bench.bridge.install(ONE, [FAR])
    bench.a.send(frame(FAR, A))

    assert bench.wire == [(ONE, HEADER + frame(FAR, A))]
    assert bench.received() == []
    assert bench.of(FramesPunted) == []


def test_a_learned_mac_is_behind_its_port_alone(bench: Bench) -> None:
    bench.b.send(frame(BROADCAST, B))
    bench.received()
    bench.events.clear()
    bench.a.send(frame(B, A))

    assert bench.received() == [bench.b]
    assert bench.of(FramesPunted) == []


def test_a_frame_to_a_mac_on_the_senders_own_port_goes_nowhere(bench: Bench) -> None:
    bench.a.send(frame(BROADCAST, B))
    bench.received()
    bench.events.clear()
    bench.a.send(frame(B, A))
    assert (bench.received(), bench.of(FramesPunted)) == ([], [])


def test_what_comes_out_of_the_tunnel_does_not_go_back(bench: Bench) -> None:
    bench.bridge.install(ONE, [FAR])
    bench.bridge.from_tunnel(frame(B, FAR))
    assert bench.received() == [bench.a, bench.b, bench.c]

    bench.bridge.from_tunnel(frame(FAR, FAR))
    assert (bench.received(), bench.wire, bench.of(FramesPunted)) == ([], [], [])


def test_what_comes_out_of_the_tunnel_for_a_learned_mac_reaches_it_alone(bench: Bench) -> None:
    bench.b.send(frame(BROADCAST, B))
    bench.received()
    bench.bridge.from_tunnel(frame(B, FAR))
    assert bench.received() == [bench.b]


def test_guests_are_told_as_learned_once_and_again_when_they_are_gone(bench: Bench) -> None:
    bench.a.send(frame(BROADCAST, A))
    bench.a.send(frame(BROADCAST, A))
    bench.b.send(frame(BROADCAST, A))
    assert bench.of(MacsLearned) == [MacsLearned("blue", [A])]

    bench.bridge.detach("b")
    assert bench.of(MacsForgotten) == [MacsForgotten("blue", [A])]


def test_a_detached_port_sends_nothing(bench: Bench) -> None:
    bench.bridge.detach("a")
    bench.a.send(frame(BROADCAST, A))
    assert bench.received() == []
    assert bench.events == [PortsSeen("blue", ("b", "c"))]


def test_a_row_takes_a_learned_mac_from_its_port(bench: Bench) -> None:
    bench.b.send(frame(BROADCAST, FAR))
    bench.received()
    bench.bridge.install(ONE, [FAR])
    assert bench.of(MacsForgotten) == [MacsForgotten("blue", [FAR])]

    bench.a.send(frame(FAR, A))
    assert bench.received() == []
    assert len(bench.wire) == 1


def test_a_guest_that_sends_with_a_remote_mac_moves_no_row(bench: Bench) -> None:
    bench.bridge.install(ONE, [FAR])
    bench.b.send(frame(BROADCAST, FAR))
    bench.received()
    bench.wire.clear()
    bench.a.send(frame(FAR, A))

    assert bench.received() == []
    assert bench.wire == [(ONE, HEADER + frame(FAR, A))]
    assert [FAR] not in [event.macs for event in bench.of(MacsLearned)]  # type: ignore[union-attr]


def test_the_rows_of_a_group_mac_replicate_and_the_ports_get_it_too(bench: Bench) -> None:
    bench.bridge.install_replicas(GROUP, (ONE, TWO, ONE))
    bench.a.send(frame(GROUP, A))

    assert [target for target, _ in bench.wire] == [ONE, TWO]
    assert bench.received() == [bench.b, bench.c]
    assert bench.of(FramesPunted) == []

    bench.bridge.install_replicas(GROUP, ())
    bench.a.send(frame(GROUP, A))
    assert len(bench.of(FramesPunted)) == 1


def test_a_refused_row_takes_the_one_that_was_there_along(bench: Bench) -> None:
    bench.bridge.install(ONE, [FAR])
    bench.refuse[FAR] = "no room"
    bench.bridge.install(TWO, [FAR, B])

    assert bench.of(RowsRefused) == [RowsRefused("blue", [FAR], "no room")]
    assert bench.bridge.dump() == [Row(B, (TWO,))]


@pytest.mark.parametrize(
    ("mac", "target", "error"),
    [
        (GROUP, ONE, "Operation not supported"),
        (
            FAR,
            Target(ip_address("2001:db8::1"), 4789),
            "Address family not supported by protocol",
        ),
    ],
)
def test_what_the_kernel_refuses_is_refused(
    bench: Bench, mac: bytes, target: Target, error: str
) -> None:
    bench.bridge.install(target, [mac])
    assert bench.events == [RowsRefused("blue", [mac], error)]


def test_refused_replicas_leave_none(bench: Bench) -> None:
    bench.bridge.install_replicas(GROUP, (ONE,))
    bench.bridge.install_replicas(GROUP, (TWO, Target(ip_address("2001:db8::1"), 4789)))
    assert [event.macs for event in bench.of(RowsRefused)] == [[GROUP]]  # type: ignore[union-attr]
    assert bench.bridge.dump() == []


def test_usage_tells_when_a_row_last_carried_a_frame(bench: Bench) -> None:
    bench.bridge.install(ONE, [FAR, B])
    bench.now = 5
    bench.a.send(frame(FAR, A))
    bench.now = 7
    assert bench.bridge.usage([FAR, B, C]) == [2, 7, None]


def test_in_point_mode_everything_goes_to_the_one_target() -> None:
    bench = Bench(Mode.POINT, ONE)
    bench.a.send(frame(BROADCAST, A))
    bench.a.send(frame(FAR, A))

    assert [target for target, _ in bench.wire] == [ONE, ONE]
    assert bench.of(FramesPunted) == []
    assert bench.bridge.dump() == [Row(ZERO, (ONE,))]


def test_in_point_mode_what_comes_from_the_target_is_learned() -> None:
    bench = Bench(Mode.POINT, ONE)
    bench.bridge.from_tunnel(frame(A, FAR))
    bench.received()
    bench.a.send(frame(FAR, A))

    assert bench.received() == []
    assert len(bench.wire) == 1


def test_a_guest_that_moved_behind_the_point_target_is_forgotten() -> None:
    bench = Bench(Mode.POINT, ONE)
    bench.b.send(frame(BROADCAST, B))
    bench.bridge.from_tunnel(frame(A, B))
    assert bench.of(MacsForgotten) == [MacsForgotten("blue", [B])]


def test_without_a_target_a_point_overlay_sends_nothing() -> None:
    bench = Bench(Mode.POINT)
    bench.a.send(frame(FAR, A))
    assert (bench.wire, bench.of(FramesPunted), bench.bridge.dump()) == ([], [], [])


def test_a_port_has_a_name_of_its_own(bench: Bench) -> None:
    with pytest.raises(ValueError, match="another port 'a'"):
        bench.bridge.attach("a")
    with pytest.raises(ValueError, match="another port ''"):
        bench.bridge.attach("")


def test_a_frame_has_a_header(bench: Bench) -> None:
    with pytest.raises(ValueError, match="13 bytes"):
        bench.a.send(bytes(13))


def test_what_it_does_is_counted(bench: Bench) -> None:
    far = Target(ip_address("192.0.2.2"), 4789)
    bench.now = 10.0
    bench.a.send(frame(FAR, A))
    bench.now = 10.5
    (punted,) = bench.of(FramesPunted)
    assert isinstance(punted, FramesPunted)
    assert punted.arrived == 10.0
    bench.bridge.do(Install("blue", far, [FAR], punted.packets, punted.arrived))
    bench.bridge.do(Inject("blue", [frame(A, FAR)]))
    bench.bridge.do(RemoveRows("blue", [FAR]))

    counters = bench.bridge.counters
    assert (counters.received, counters.sent, counters.injected) == (1, 1, 1)
    assert (counters.miss_to_row.count, counters.miss_to_row.total) == (1, 0.5)
    assert bench.totals.counts == {"written": 1, "removed": 1}
    assert bench.totals.delays.distribution == counters.miss_to_row
