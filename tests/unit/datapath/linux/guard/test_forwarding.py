"""Whether other rules drop what guests of one bridge send each other."""

import pytest

from varpd.datapath.linux.guard.forwarding import MESSAGE, Forwarding


class Bridged:
    """Packets, rules and a switch."""

    def __init__(self) -> None:
        self.seen = self.passed = 0
        self.switched_on = True
        self.drops = False
        self.forwarding = Forwarding(
            lambda: (self.seen, self.passed), lambda: self.switched_on, lambda: self.drops
        )

    def send(self, *, lost: bool = False) -> None:
        self.seen += 1
        self.passed += not lost

    def change(self, *, drops: bool) -> None:
        self.drops = drops
        self.forwarding.changed()

    def look(self) -> str | None:
        return self.forwarding.look()


@pytest.fixture
def bridged() -> Bridged:
    return Bridged()


def test_without_such_rules_nothing_is_amiss(bridged: Bridged) -> None:
    assert bridged.look() is None
    bridged.send()
    assert bridged.look() is None


def test_a_policy_to_drop_is_told_before_anything_is_lost(bridged: Bridged) -> None:
    bridged.change(drops=True)
    assert bridged.look() == MESSAGE


def test_a_packet_that_gets_through_is_proof_against_the_policy(bridged: Bridged) -> None:
    bridged.change(drops=True)
    bridged.look()
    bridged.send()
    assert bridged.look() is None
    assert bridged.look() is None


def test_what_got_through_before_the_rules_changed_proves_nothing(bridged: Bridged) -> None:
    bridged.look()
    bridged.send()
    bridged.change(drops=True)
    assert bridged.look() == MESSAGE


def test_packets_of_which_none_gets_through_are_told_whatever_the_policies(
    bridged: Bridged,
) -> None:
    bridged.look()
    bridged.send(lost=True)
    assert bridged.look() == MESSAGE
    assert bridged.look() == MESSAGE
    bridged.send()
    assert bridged.look() is None


def test_where_bridged_packets_are_left_alone_nothing_is_amiss(bridged: Bridged) -> None:
    bridged.change(drops=True)
    assert bridged.look() == MESSAGE
    bridged.switched_on = False
    assert bridged.look() is None


def test_a_switch_that_is_not_there_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("varpd.datapath.linux.guard.forwarding.SWITCHES", ())
    assert Forwarding(lambda: (0, 0), drops=lambda: True).look() is None
