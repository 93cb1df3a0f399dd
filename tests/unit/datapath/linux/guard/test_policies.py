"""Chains that drop what is forwarded."""

import pytest

from support.fake_nftables import FakeNftables
from varpd.datapath.linux.guard import policies
from varpd.datapath.linux.nft import objects
from varpd.datapath.linux.nft.expressions import Verdict
from varpd.datapath.linux.nft.objects import Chain, Hook, Table
from varpd.datapath.linux.nft.wire import Family


@pytest.mark.parametrize(
    ("table", "chain", "drops"),
    [
        (Table(Family.IPV4, "filter"), Chain("F", Hook.FORWARD, 0, policy=Verdict.DROP), {4}),
        (Table(Family.IPV6, "filter"), Chain("F", Hook.FORWARD, 0, policy=Verdict.DROP), {6}),
        (Table(Family.INET, "host"), Chain("f", Hook.FORWARD, 5, policy=Verdict.DROP), {4, 6}),
        (Table(Family.IPV4, "filter"), Chain("F", Hook.FORWARD, 0), set()),
        (Table(Family.IPV4, "filter"), Chain("I", Hook.INPUT, 0, policy=Verdict.DROP), set()),
        (Table(Family.IPV4, "filter"), Chain("DOCKER"), set()),
        (Table(Family.INET, "varpd"), Chain("f", Hook.FORWARD, 0, policy=Verdict.DROP), set()),
    ],
)
def test_a_forward_chain_of_others_whose_policy_is_to_drop_drops(
    table: Table, chain: Chain, drops: set[int]
) -> None:
    there = FakeNftables()
    there.session().change([objects.new_table(table), objects.new_chain(table, chain)])
    assert policies.forward_drops(there.session) == drops


def test_where_there_are_no_rules_nothing_is_dropped() -> None:
    assert not policies.forward_drops(FakeNftables().session)
