"""What the engine keeps of one overlay."""

from ipaddress import IPv4Address

import pytest

from support.script import HERE, OVERLAY, mac, settings, target
from varpd.engine.commands import Command, Install, RemoveRows
from varpd.engine.overlay import EndHold, Locality, Overlay, Shares
from varpd.provider.answers import Target
from varpd.targets.budget import Budget
from varpd.targets.entries import Blocked, Entry, Negative, Pending, Refreshing, Valid, Waiting

A, B = bytes(mac(1)), bytes(mac(2))
GROUP = bytes.fromhex("01005e010203")


@pytest.fixture
def locality() -> Locality:
    return Locality()


@pytest.fixture
def overlay(locality: Locality) -> Overlay:
    shares = Shares(*(Budget(1000).open(100) for _ in range(3)))
    return Overlay(OVERLAY, settings(), shares, locality, b"")


def test_a_target_is_local_by_address_and_port_together(
    overlay: Overlay, locality: Locality
) -> None:
    locality.addresses = frozenset({HERE})
    assert overlay.is_local(target(1))
    assert not overlay.is_local(Target(ip=HERE, port=4790))
    assert not overlay.is_local(target(2))


def test_an_address_in_front_of_a_nat_counts_as_local(overlay: Overlay) -> None:
    overlay.configure(settings(local_ips=frozenset({IPv4Address("192.0.2.9")})))
    assert overlay.is_local(target(9))


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        (Valid((target(2), target(3), target(4)), 0.0, 0.0), 3),
        (Valid((), 0.0, 0.0), 1),
        (Blocked(0.0), 1),
        (Negative(()), 1),
    ],
)
def test_entries_are_counted_by_their_remotes(overlay: Overlay, entry: Entry, size: int) -> None:
    overlay.put(A, entry)
    assert overlay.shares.targets.used == size


def test_a_target_is_in_use_while_an_entry_has_it(overlay: Overlay) -> None:
    shared = overlay.valid((target(2),), 0.0)
    overlay.put(A, shared)
    overlay.put(B, shared)
    overlay.put(GROUP, overlay.valid((target(1), target(3)), 0.0))
    overlay.put(B, Refreshing(shared, overlay.query(B, b"")))
    overlay.forget(A)
    assert set(overlay.uses) == {target(1), target(2), target(3)}

    overlay.put(B, overlay.valid((target(4),), 0.0))
    overlay.forget(GROUP)
    assert set(overlay.uses) == {target(4)}


def test_putting_and_forgetting_keeps_the_share_right(overlay: Overlay) -> None:
    overlay.put(A, overlay.valid((target(2), target(3)), 0.0))
    assert overlay.shares.targets.used == 2
    overlay.put(A, Blocked(0.0))
    assert overlay.shares.targets.used == 1
    overlay.forget(A)
    overlay.forget(A)
    assert overlay.shares.targets.used == 0


def test_an_entry_that_no_longer_waits_has_no_time_out(overlay: Overlay) -> None:
    query = overlay.query(A, bytes(80))
    overlay.put(A, Pending(query, Waiting([], 0)))
    overlay.wait(A, 100.0)
    assert overlay.next_deadline() == 105.0
    overlay.put(A, Refreshing(overlay.valid((target(2),), 0.0), query))
    assert overlay.next_deadline() is None


def test_rows_of_unicast_macs_go_in_one_command(overlay: Overlay) -> None:
    out: list[Command] = []
    overlay.remove_rows([A, bytes(mac(2))], out)
    overlay.remove_rows([], out)
    assert out == [RemoveRows(OVERLAY, [A, bytes(mac(2))])]


def test_frames_sent_and_dropped_are_counted(overlay: Overlay) -> None:
    out: list[Command] = []
    overlay.install(overlay.valid((target(2),), 0.0), [A], [b"1", b"2"], out)
    overlay.drop("reason", 0)
    overlay.drop("reason", 3)
    assert out == [Install(OVERLAY, target(2), [A], [b"1", b"2"])]
    assert overlay.counters == {"resent": 2, "dropped.reason": 3}


def test_what_is_planned_comes_in_the_order_of_its_time(overlay: Overlay) -> None:
    overlay.plan(20.0, EndHold(b"2"))
    overlay.plan(10.0, EndHold(b"1"))
    assert overlay.next_deadline() == 10.0
    assert overlay.due_action(9.9) is None
    assert overlay.due_action(20.0) == EndHold(b"1")
    assert overlay.due_action(20.0) == EndHold(b"2")
    assert overlay.next_deadline() is None
