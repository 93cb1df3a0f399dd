"""Answers of plugins: what is taken, in which form, and what is a fault."""

from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from support import probes
from support.instances import query
from support.probes import JUNK, ONE, TWO, VXLAN, WEB
from varpd.provider import (
    DROP,
    PROXY_ARP,
    PROXY_DHCP,
    PROXY_NDP,
    REFRESH,
    Drop,
    DynamicPlugin,
    MacAddress,
    Neighbour,
    Plugin,
    Query,
    Replicate,
    Target,
)
from varpd.provider.judge import MAX_REPLICAS, AnswerFault, Judge, Operation

FRAME_TO_WEB = query(WEB)
V6 = Target(ip=IPv6Address("2001:db8::1"), port=4789)


class Bare(DynamicPlugin):
    api_version = 1
    name = "bare"

    def lookup(self, query: Query) -> Any:
        return DROP


class Court:
    """A judge, and the targets that it named."""

    def __init__(self, plugin: type[Plugin] = probes.GoodProbe, family: int | None = 4) -> None:
        self.counts: Counter[str] = Counter()
        self.named: list[Target] = []
        self.judge = Judge(plugin, VXLAN, family, self.named.append, self.counts)

    def lookup(self, value: object, question: Query = FRAME_TO_WEB) -> object:
        refresh, group = question.cause is REFRESH, question.dst.is_group
        return self.judge.answer(Operation.LOOKUP, value, refresh=refresh, group=group)


def test_equal_targets_become_one_object() -> None:
    court = Court()
    first = court.lookup(Target(ip=IPv4Address("192.0.2.1"), port=4789))
    assert court.lookup(Target(ip=IPv4Address("192.0.2.1"), port=4789)) is first


def test_a_mapped_address_is_taken_as_ipv4_and_remembered_so() -> None:
    court = Court()
    mapped = Target(ip=IPv6Address("::ffff:192.0.2.1"), port=4789)
    assert court.lookup(mapped) == ONE
    assert court.judge.good[mapped] is court.lookup(ONE)


@pytest.mark.parametrize("junk", JUNK, ids=repr)
@pytest.mark.parametrize("operation", Operation)
def test_junk_is_a_fault_for_every_operation(operation: Operation, junk: object) -> None:
    with pytest.raises(AnswerFault):
        Court().judge.answer(operation, junk)


def test_a_target_is_no_answer_to_arp_and_a_mac_none_to_lookup() -> None:
    with pytest.raises(AnswerFault):
        Court().judge.answer(Operation.ARP, ONE)
    with pytest.raises(AnswerFault):
        Court().lookup(WEB)


@pytest.mark.parametrize("drop", [DROP, Drop(hold=0), Drop(hold=2.5), Drop(hold=3600)], ids=repr)
@pytest.mark.parametrize("operation", Operation)
def test_drop_answers_everything(operation: Operation, drop: Drop) -> None:
    assert Court().judge.answer(operation, drop) is drop


@pytest.mark.parametrize("hold", [-1, 3600.5, float("inf"), float("nan"), True, "1"], ids=repr)
def test_a_hold_that_is_no_sensible_time_is_a_fault(hold: Any) -> None:
    with pytest.raises(AnswerFault, match="hold"):
        Court().lookup(Drop(hold=hold))


@pytest.mark.parametrize("proxy", [PROXY_ARP, PROXY_NDP, PROXY_DHCP])
def test_a_proxy_needs_its_operation(proxy: object) -> None:
    assert Court().lookup(proxy) is proxy
    with pytest.raises(AnswerFault, match="without defining"):
        Court(Bare).lookup(proxy)


def test_replicas_are_checked_and_count_once() -> None:
    court = Court()
    assert court.lookup(Replicate((ONE, TWO, ONE))) == Replicate.to(ONE, TWO)
    assert court.lookup(Replicate(())) == Replicate(())
    with pytest.raises(AnswerFault, match="bad target"):
        court.lookup(Replicate.to(ONE, Target()))
    with pytest.raises(AnswerFault, match="above"):
        court.lookup(Replicate((ONE,) * (MAX_REPLICAS + 1)))


@pytest.mark.parametrize("answer", [PROXY_ARP, Replicate.to(ONE)], ids=repr)
def test_only_a_target_or_drop_answers_a_refresh(answer: object) -> None:
    refresh = query(WEB, REFRESH)
    with pytest.raises(AnswerFault, match="REFRESH"):
        Court().lookup(answer, refresh)
    assert Court().lookup(ONE, refresh) == ONE
    assert Court().lookup(DROP, refresh) is DROP


def test_a_refresh_of_a_group_is_answered_by_its_targets() -> None:
    refresh = query(MacAddress.parse("01:00:5e:00:00:05"), REFRESH)
    assert Court().lookup(Replicate.to(ONE), refresh) == Replicate.to(ONE)
    with pytest.raises(AnswerFault, match="REFRESH"):
        Court().lookup(PROXY_ARP, refresh)


def test_a_target_of_the_other_family_is_dropped_counted_and_named_once() -> None:
    court = Court(family=4)
    assert court.lookup(V6) is DROP
    assert court.lookup(V6) is DROP
    assert court.lookup(Replicate.to(V6, ONE)) == Replicate.to(ONE)
    assert court.lookup(Replicate.to(V6)) is DROP
    assert court.counts["other_family"] == 4
    assert court.named == [V6]
    assert Court(family=None).lookup(V6) == V6
    assert Court(family=6).lookup(V6) == V6


def test_neighbours_are_one_stations_address() -> None:
    judge = Court().judge
    router = Neighbour(WEB, router=True)
    assert judge.answer(Operation.ARP, WEB) == WEB
    assert judge.answer(Operation.ARP, router) is router
    assert judge.answer(Operation.DHCP, WEB) == WEB
    bad: tuple[tuple[Operation, Any], ...] = (
        (Operation.ARP, bytes(WEB)),
        (Operation.ARP, MacAddress(b"\xff" * 6)),
        (Operation.ARP, MacAddress(bytes(6))),
        (Operation.ARP, Neighbour(b"short")),  # type: ignore[arg-type] # junk
        (Operation.ARP, Neighbour(WEB, router="yes")),  # type: ignore[arg-type] # junk
        (Operation.ARP, Neighbour(DROP)),  # type: ignore[arg-type] # junk
        (Operation.DHCP, router),
        (Operation.DHCP, "02:00:5e:00:53:11"),
    )
    for operation, value in bad:
        with pytest.raises(AnswerFault):
            judge.answer(operation, value)


def test_what_cannot_be_hashed_is_a_fault() -> None:
    with pytest.raises(AnswerFault):
        Court().judge.target(Target(ip=[1], port=4789))  # type: ignore[arg-type] # junk
