"""Firewalls as nft tells them."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.doctor.ruleset import Packet, Rule, Ruleset, drops_port, may_accept, parse

VXLAN = Packet("ip", 4789)

Expression = dict[str, Any]


def meta(key: str, right: object, op: str = "==") -> Expression:
    return {"match": {"op": op, "left": {"meta": {"key": key}}, "right": right}}


def field(protocol: str, name: str, right: object, op: str = "==") -> Expression:
    left = {"payload": {"protocol": protocol, "field": name}}
    return {"match": {"op": op, "left": left, "right": right}}


def state(right: object) -> Expression:
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": right}}


def rule(*expressions: Expression) -> Rule:
    return Rule("inet", "filter", "input", 1, expressions)


ACCEPT: Expression = {"accept": None}
DROP: Expression = {"drop": None}


@pytest.mark.parametrize(
    "expressions",
    [
        [ACCEPT],
        [field("udp", "dport", 4789), ACCEPT],
        [field("udp", "dport", {"set": [53, 4789]}), ACCEPT],
        [field("udp", "dport", {"range": [4000, 5000]}), ACCEPT],
        [field("udp", "dport", {"set": [53, {"range": [4000, 5000]}]}), ACCEPT],
        [field("udp", "dport", "@ports"), ACCEPT],
        [field("ip", "saddr", "192.0.2.2"), ACCEPT],
        [meta("iifname", "eth0"), ACCEPT],
        [meta("l4proto", "udp"), ACCEPT],
        [field("udp", "dport", 22, "!="), ACCEPT],
        [state(["established", "new"]), ACCEPT],
        [{"vmap": {"key": field("udp", "dport", 0)["match"]["left"], "data": "@x"}}],
    ],
)
def test_a_rule_that_may_let_the_port_in_is_given_the_benefit_of_the_doubt(
    expressions: list[Expression],
) -> None:
    assert may_accept(rule(*expressions), VXLAN)


@pytest.mark.parametrize(
    "expressions",
    [
        [DROP],
        [{"counter": None}],
        [field("udp", "dport", 53), ACCEPT],
        [field("udp", "dport", {"range": [1, 1023]}), ACCEPT],
        [field("tcp", "dport", 4789), ACCEPT],
        [field("icmp", "type", "echo-request"), ACCEPT],
        [meta("l4proto", {"set": ["tcp", "icmp"]}), ACCEPT],
        [field("ip", "protocol", "tcp"), ACCEPT],
        [meta("iifname", "lo"), ACCEPT],
        [state(["established", "related"]), ACCEPT],
        [{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": []}}}],
    ],
)
def test_a_rule_that_is_about_something_else_lets_nothing_in(
    expressions: list[Expression],
) -> None:
    assert not may_accept(rule(*expressions), VXLAN)


def test_a_packet_by_a_known_interface_is_not_that_of_another() -> None:
    by_lo = Packet("ip", 789, "lo")
    assert may_accept(rule(meta("iifname", "lo"), ACCEPT), by_lo)
    assert not may_accept(rule(meta("iifname", "eth0"), ACCEPT), by_lo)
    assert may_accept(rule(meta("iifname", "eth*"), ACCEPT), by_lo)


@pytest.mark.parametrize(
    ("expressions", "drops"),
    [
        ([field("udp", "dport", 4789), DROP], True),
        ([meta("l4proto", 17), field("udp", "dport", 4789), {"reject": None}], True),
        ([field("udp", "dport", 4789), ACCEPT], False),
        ([field("udp", "dport", 4789), field("ip", "saddr", "192.0.2.9"), DROP], False),
        ([field("udp", "dport", 53), DROP], False),
        ([DROP], False),
        ([field("udp", "dport", 53, "!="), DROP], False),
    ],
)
def test_only_a_rule_about_nothing_but_the_port_is_said_to_drop_it(
    expressions: list[Expression], drops: bool
) -> None:
    assert drops_port(rule(*expressions), VXLAN) is drops


def listing(*items: dict[str, Any]) -> str:
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *items]})


def test_a_listing_is_read() -> None:
    chain = {"family": "ip", "table": "filter", "name": "INPUT", "handle": 1}
    hooked = chain | {"type": "filter", "hook": "input", "prio": 0, "policy": "drop"}
    of = {"family": "ip", "table": "filter", "chain": "INPUT", "handle": 4}
    found = parse(
        listing(
            {"table": {"family": "ip", "name": "filter", "handle": 1}},
            {"chain": hooked},
            {"chain": chain | {"name": "mine"}},
            {"rule": of | {"expr": [field("udp", "dport", 22), ACCEPT]}},
        )
    )
    assert [str(item) for item in found.chains] == ["chain INPUT in table ip filter"]
    assert [str(item) for item in found.rules] == ["rule 4 of chain INPUT in table ip filter"]
    assert found.closed_chains("input", VXLAN) == list(found.chains)
    assert found.closed_chains("input", Packet("ip6", 4789)) == []
    assert found.closed_chains("forward", VXLAN) == []


def test_a_target_of_iptables_is_a_verdict() -> None:
    dropping = rule(field("udp", "dport", 4789), {"xt": {"type": "target", "name": "REJECT"}})
    assert drops_port(dropping, VXLAN)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": 3}', "nft: not found"])
def test_what_is_no_listing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a ruleset|Expecting"):
        parse(text)


KEYS = (
    *("match", "left", "right", "op", "payload", "meta", "ct", "key", "field", "protocol"),
    *("set", "range", "vmap", "accept", "drop", "xt", "type", "name", "expr", "handle"),
)

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["udp", "dport", "lo", "@s"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.lists(junk, max_size=4))
def test_whatever_nft_prints_is_answered(expressions: list[Any]) -> None:
    chain = {"family": "ip", "table": "t", "name": "c", "hook": "input", "policy": "drop"}
    of = {"family": "ip", "table": "t", "chain": "c", "handle": 1, "expr": expressions}
    ruleset = Ruleset()
    with contextlib.suppress(ValueError):
        ruleset = parse(listing({"chain": chain}, {"rule": of}))
    ruleset.closed_chains("input", VXLAN)
    ruleset.dropping_rules("input", VXLAN)
    ruleset.suspects("input", ["lo"])
