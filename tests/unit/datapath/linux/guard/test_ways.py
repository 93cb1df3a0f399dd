"""Ways of punted frames: lost, led elsewhere, led back."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from support.linux_host import make_link
from varpd.datapath.base import DatapathError, DatapathErrorCode, Link
from varpd.datapath.linux import detours, names, opening, proofs
from varpd.datapath.linux.detours import Detour
from varpd.datapath.linux.guard import ways
from varpd.datapath.linux.guard.ways import PuntWays, Way
from varpd.datapath.linux.links import Pair
from varpd.datapath.linux.opening import Made
from varpd.datapath.linux.punt import PuntSocket
from varpd.provider.answers import Target

LINK = make_link()
USUAL = Target(ip=names.punt_address(LINK), port=names.PUNT_PORT)
ELSEWHERE = Target(ip=LINK.listen_ip, port=790)


class FakePunt:
    """A punt socket in which frames may wait."""

    def __init__(self) -> None:
        self.socket = self
        self.received = 0
        self.left = 0
        self.closed = False

    def wait(self, packets: list[bytes]) -> None:
        self.received += len(packets)

    def read_turn(self) -> int:
        left, self.left = self.left, 0
        self.received += left
        return left

    def close(self) -> None:
        self.closed = True


class Bench:
    """All that a way needs, and what became of it."""

    def __init__(self) -> None:
        self.closed: set[Target] = set()
        self.detour_possible = True
        self.default = USUAL
        self.refusal: Exception | None = None
        self.reading: dict[str, Any] = {}
        self.paused: list[str] = []
        self.changed: list[tuple[int, ...]] = []
        self.punt, self.second = FakePunt(), FakePunt()
        self.made = Made(Pair(3, 4, adopted=False), cast(PuntSocket, self.punt), USUAL)
        self.ways = PuntWays(cast(Any, self), cast(Any, self), self, self.note)
        self.way = Way(LINK, self.made, lambda packets, arrived: None)

    # What the ways use.

    def add(self, overlay: str, punts: PuntSocket) -> None:
        self.reading[overlay] = punts

    def remove(self, overlay: str, punts: PuntSocket) -> None:
        assert self.reading.pop(overlay) is punts

    def pause(self, overlay: str) -> None:
        self.paused.append(f"pause {overlay}")

    def resume(self, overlay: str, link: Link) -> None:
        self.paused.append(f"resume {overlay}")

    async def request(self, job: object, device: int, port: int, target: Target) -> None:
        assert job is opening.set_default
        if self.refusal is not None:
            raise self.refusal
        self.default = target

    def note(self, way: Way) -> None:
        detour = way.made.detour
        self.changed.append(() if detour is None else (detour.target.port or 0,))

    async def prove(self) -> str | None:
        return await asyncio.to_thread(self.ways.prove, "blue")

    # What the kernel and its firewalls do.

    async def try_punt_path(
        self, punt: FakePunt, address: object, link: Link, port: int
    ) -> str | None:
        return "closed" if any(t.ip == address and t.port == port for t in self.closed) else None

    def prove_punt_path(self, *_: object) -> list[bytes]:
        if USUAL in self.closed:
            raise DatapathError(DatapathErrorCode.PUNT_PATH_CLOSED, "closed")
        return [b"early"]

    def make_detour(self, *_: object) -> Detour | None:
        if not self.detour_possible:
            return None
        return Detour(cast(PuntSocket, self.second), ELSEWHERE)


@pytest.fixture
def no_kernel() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
async def bench(no_kernel: pytest.MonkeyPatch) -> Bench:
    bench = Bench()
    no_kernel.setattr(proofs, "try_punt_path", bench.try_punt_path)
    no_kernel.setattr(proofs, "prove_punt_path", bench.prove_punt_path)
    no_kernel.setattr(detours, "make", bench.make_detour)
    bench.ways.add(bench.way)
    return bench


async def test_a_way_that_is_open_stays(bench: Bench) -> None:
    assert await bench.prove() is None
    assert bench.reading == {"blue": bench.punt}
    assert bench.changed == []


async def test_a_lost_way_leads_to_a_detour(bench: Bench) -> None:
    bench.closed = {USUAL}
    bench.punt.left = 3
    assert await bench.prove() is None
    assert bench.default == bench.made.default == ELSEWHERE
    assert list(bench.reading.values()) == [bench.second]
    # What came before is not lost, the guard knows the port, nobody took it for a drift.
    assert bench.punt.received == 3
    assert not bench.punt.closed
    assert bench.changed == [(790,)]
    assert bench.paused == ["pause blue", "resume blue"]


async def test_an_open_way_is_taken_again_and_the_detour_ends(bench: Bench) -> None:
    bench.closed = {USUAL}
    await bench.prove()
    assert await bench.prove() is None
    bench.closed.clear()
    bench.second.left = 2
    assert await bench.prove() is None
    assert bench.default == bench.made.default == USUAL
    assert bench.reading == {"blue": bench.punt}
    assert bench.second.received == 2
    assert bench.second.closed
    assert bench.changed == [(790,), ()]


async def test_where_there_is_no_way_the_rule_that_opens_it_is_told(bench: Bench) -> None:
    bench.closed = {USUAL}
    bench.detour_possible = False
    told = await bench.prove()
    assert told is not None
    assert "iif lo ip daddr 127.86.0.0/16 udp dport 789 accept" in told
    assert bench.default == USUAL


async def test_a_detour_may_be_lost_too(bench: Bench) -> None:
    bench.closed = {USUAL}
    await bench.prove()
    bench.closed = {USUAL, ELSEWHERE}
    assert "firewall" in (await bench.prove() or "")
    bench.closed = {USUAL}
    assert await bench.prove() is None


async def test_a_frame_that_comes_meanwhile_is_proof(
    bench: Bench, no_kernel: pytest.MonkeyPatch
) -> None:
    async def busy(punt: FakePunt, *_: object) -> str:
        punt.received += 1
        return "the datagram was lost"

    no_kernel.setattr(proofs, "try_punt_path", busy)
    assert await bench.prove() is None
    assert bench.default == USUAL


async def test_what_could_not_be_finished_is_finished_later(bench: Bench) -> None:
    bench.closed = {USUAL}
    bench.refusal = OSError("not now")
    assert await bench.prove() is None
    assert bench.default == USUAL
    assert bench.reading == {"blue": bench.punt}
    bench.refusal = None
    assert await bench.prove() is None
    assert bench.default == ELSEWHERE
    assert list(bench.reading.values()) == [bench.second]


async def test_an_overlay_that_is_gone_needs_no_way(bench: Bench) -> None:
    bench.ways.remove("blue")
    bench.ways.remove("blue")
    assert bench.reading == {}
    bench.closed = {USUAL}
    assert await bench.prove() is None
    assert bench.default == USUAL


async def test_the_rule_names_the_network_of_the_overlays_family() -> None:
    told = ways.closed(make_link(listen_ip="2001:db8::1"))
    assert "ip6 daddr fd76:6172:7064::/112" in told
