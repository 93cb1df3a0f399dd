"""Whether other rules drop what guests of one bridge send each other."""

import pytest

from varpd.datapath.linux.guard.forwarding import Forwarding, message


class Bridged:
    """Packets, rules and a switch."""

    def __init__(self) -> None:
        self.seen = {4: 0, 6: 0}
        self.passed = {4: 0, 6: 0}
        self.switched_on = {4, 6}
        self.drops: set[int] = set()
        self.lost: set[int] = set()
        """Families that rules drop in truth."""
        self.probed: list[int] = []
        self.forwarding = Forwarding(self.counts, lambda: self.switched_on, lambda: self.drops)

    def counts(self) -> dict[int, tuple[int, int]]:
        return {family: (self.seen[family], self.passed[family]) for family in (4, 6)}

    def send(self, family: int = 4, *, lost: bool = False) -> None:
        self.seen[family] += 1
        self.passed[family] += not lost

    def probe(self, family: int) -> None:
        self.probed.append(family)
        self.send(family, lost=family in self.lost)

    def change(self, *drops: int) -> None:
        self.drops = set(drops)
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
    bridged.change(4)
    assert bridged.look() == message({4})


def test_a_packet_that_gets_through_is_proof_against_the_policy(bridged: Bridged) -> None:
    bridged.change(4)
    bridged.look()
    bridged.send()
    assert bridged.look() is None
    assert bridged.look() is None


def test_a_packet_of_the_other_family_is_none(bridged: Bridged) -> None:
    bridged.change(4)
    bridged.look()
    bridged.send(6)
    assert bridged.look() == message({4})


def test_what_got_through_before_the_rules_changed_proves_nothing(bridged: Bridged) -> None:
    bridged.look()
    bridged.send()
    bridged.change(4)
    assert bridged.look() == message({4})


@pytest.mark.parametrize("family", [4, 6])
def test_packets_of_which_none_gets_through_are_told_whatever_the_policies(
    bridged: Bridged, family: int
) -> None:
    bridged.look()
    bridged.send(family, lost=True)
    assert bridged.look() == message({family})
    assert bridged.look() == message({family})
    bridged.send(family)
    assert bridged.look() is None


def test_where_bridged_packets_are_left_alone_nothing_is_amiss(bridged: Bridged) -> None:
    bridged.change(4)
    assert bridged.look() == message({4})
    bridged.switched_on = {6}
    assert bridged.look() is None
    bridged.switched_on = set()
    assert bridged.look() is None


def test_where_the_policy_is_to_drop_an_own_packet_finds_out_what_the_rules_do(
    bridged: Bridged,
) -> None:
    bridged.change(4, 6)
    bridged.lost = {4, 6}
    assert bridged.forwarding.look(bridged.probe) == message({4, 6})
    assert bridged.probed == [4, 6]
    bridged.lost = {4}
    assert bridged.forwarding.look(bridged.probe) == message({4})
    bridged.lost = set()
    assert bridged.forwarding.look(bridged.probe) is None


def test_no_own_packet_is_sent_where_nothing_is_amiss(bridged: Bridged) -> None:
    assert bridged.forwarding.look(bridged.probe) is None
    bridged.send()
    assert bridged.forwarding.look(bridged.probe) is None
    assert bridged.probed == []


def test_an_own_packet_that_goes_nowhere_proves_nothing(bridged: Bridged) -> None:
    bridged.change(4)
    assert bridged.forwarding.look(bridged.probed.append) == message({4})
    assert bridged.probed == [4]


def test_a_switch_that_is_not_there_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("varpd.datapath.linux.guard.forwarding.SWITCHES", {})
    assert Forwarding(dict, drops=lambda: {4}).look() is None


def test_the_message_has_the_cure_for_each_family_that_is_lost() -> None:
    assert message(set()) is None
    for family, command in ((4, "iptables"), (6, "ip6tables")):
        text = message({family})
        assert text is not None
        assert f"IPv{family} packets" in text
        assert f"set net.bridge.bridge-nf-call-{command} to 0" in text
        assert f": {command} -I FORWARD -m physdev --physdev-is-bridged -j ACCEPT" in text
        assert f"{command} -I FORWARD" in (message({4, 6}) or "")
