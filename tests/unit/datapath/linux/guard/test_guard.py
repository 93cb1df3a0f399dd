"""The guard's thread, with a kernel that is none."""

import errno
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from support.fake_nftables import FakeNftables
from support.waiting import wait_for
from varpd.datapath.linux.guard import guard as module
from varpd.datapath.linux.guard.guard import Guard
from varpd.datapath.linux.guard.rules import Guarded


class Bench:
    """A guard, what it told, and what its proofs say."""

    def __init__(self) -> None:
        self.there = FakeNftables(owners=False)
        self.told: list[tuple[str, str | None]] = []
        self.amiss: dict[str, str] = {}
        self.proved: list[str] = []
        self.broken = False
        self.guard = Guard(
            lambda overlay, text: self.told.append((overlay, text)), self.there.session
        )

    def prove(self, overlay: str) -> str | None:
        self.proved.append(overlay)
        if self.broken:
            raise RuntimeError("oops")
        return self.amiss.get(overlay)


def overlay(name: str = "blue") -> Guarded:
    return Guarded(name, 7, ip_address("192.0.2.1"), 4789, bridge=3, device=4)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in ("PERIOD", "RETRY", "SETTLE"):
        monkeypatch.setattr(module, name, 0.02)
    bench = Bench()
    bench.guard.start(bench.prove)
    yield bench
    bench.guard.stop()


def test_what_is_well_is_not_told(bench: Bench) -> None:
    bench.guard.put(overlay())
    bench.guard.prove("blue")
    wait_for("a proof", lambda: bench.proved)
    assert bench.told == []


def test_what_cannot_be_had_is_told_and_taken_back(bench: Bench) -> None:
    bench.there.refuse = errno.EOPNOTSUPP
    bench.guard.put(overlay())
    ((name, text),) = bench.told
    assert name == "blue"
    assert "does not take the guard's rules" in (text or "")
    bench.there.refuse = None
    wait_for("all to be well", lambda: bench.told[-1] == ("blue", None))
    assert "wrapped-blue" in bench.there.names()


def test_several_faults_are_one_text(bench: Bench) -> None:
    bench.guard.fault("blue", "ports", "one")
    bench.guard.fault("blue", "way", "two")
    bench.guard.fault("blue", "way", "two")
    bench.guard.fault("blue", "ports", None)
    bench.guard.fault("blue", "way", None)
    assert bench.told == [("blue", "one"), ("blue", "one; two"), ("blue", "two"), ("blue", None)]


def test_a_lost_way_is_told_until_there_is_one(bench: Bench) -> None:
    bench.amiss["blue"] = "closed"
    bench.guard.put(overlay())
    bench.guard.prove("blue")
    wait_for("it to be told", lambda: bench.told == [("blue", "closed")])
    bench.amiss.clear()
    wait_for("it to be taken back", lambda: bench.told[-1] == ("blue", None))


def test_rules_that_somebody_flushed_come_back(bench: Bench) -> None:
    bench.guard.put(overlay())
    before = bench.there.names()
    bench.there.flush()
    wait_for("the rules", lambda: bench.there.names() == before)
    assert bench.guard.tables.repairs == 1


def test_an_overlay_that_was_let_go_is_proved_no_more_but_stays_guarded(bench: Bench) -> None:
    bench.guard.put(overlay())
    bench.guard.prove("blue")
    wait_for("a proof", lambda: bench.proved)
    bench.guard.let_go("blue")
    bench.proved.clear()
    bench.guard.put(overlay("green"))
    bench.guard.prove("green")
    wait_for("proofs of another", lambda: len(bench.proved) > 2)
    assert set(bench.proved) == {"green"}
    assert "wrapped-blue" in bench.there.names()
    bench.guard.remove("blue")
    assert "wrapped-blue" not in bench.there.names()


def test_an_error_of_its_own_does_not_end_the_thread(bench: Bench) -> None:
    bench.guard.put(overlay())
    bench.broken = True
    bench.guard.prove("blue")
    wait_for("an error", lambda: bench.proved)
    bench.broken = False
    wait_for("a proof", lambda: len(bench.proved) > 1)


def test_a_guard_that_never_began_ends_quietly() -> None:
    bench = Bench()
    bench.guard.put(overlay())
    bench.guard.stop()
    assert "wrapped-blue" in bench.there.names()
