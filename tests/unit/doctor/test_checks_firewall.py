"""Does a firewall stand in the way?"""

import pytest
from msgspec import structs

from support import stories
from varpd.doctor import checks_firewall
from varpd.doctor.facts import Facts
from varpd.doctor.findings import Severity
from varpd.doctor.ruleset import Chain, Rule, Ruleset

CLOSED = structs.replace(
    stories.PUNT, closed="blue: UDP from 192.0.2.1 to 127.86.0.1 port 789 does not get through"
)
INPUT = Chain("inet", "filter", "input", "input", "drop")
FORWARD = Chain("ip", "filter", "FORWARD", "forward", "drop")
ACCEPT: dict[str, object] = {"accept": None}
DROP: dict[str, object] = {"drop": None}


def match(protocol: str, field: str, right: object, op: str = "==") -> dict[str, object]:
    left = {"payload": {"protocol": protocol, "field": field}}
    return {"match": {"op": op, "left": left, "right": right}}


def rule(*expressions: dict[str, object], chain: Chain = INPUT, handle: int = 7) -> Rule:
    return Rule(chain.family, chain.table, chain.name, handle, expressions)


def behind(*rules: Rule, chain: Chain = INPUT) -> Facts:
    return stories.facts(ruleset=Ruleset((chain,), rules))


def test_a_punt_path_that_was_tried_and_is_open_is_well() -> None:
    (found,) = checks_firewall.punt(stories.facts(), stories.overlay())
    assert found.severity is Severity.OK


def test_a_closed_punt_path_is_a_problem_and_points_at_the_rule() -> None:
    kubelet = rule(
        match("ip", "saddr", {"prefix": {"addr": "127.0.0.0", "len": 8}}, "!="),
        match("ip", "daddr", {"prefix": {"addr": "127.0.0.0", "len": 8}}),
        DROP,
        handle=42,
    )
    overlay = stories.overlay(punt=CLOSED)
    (found,) = checks_firewall.punt(behind(kubelet), overlay)
    assert (found.check, found.severity) == ("punt-path", Severity.PROBLEM)
    assert found.message.startswith("UDP from")
    assert found.cure is not None
    assert "rule 42 of chain input in table inet filter" in found.cure


def test_a_closed_punt_path_without_known_rules_says_where_to_look() -> None:
    facts = stories.facts(ruleset=None)
    (found,) = checks_firewall.punt(facts, stories.overlay(punt=CLOSED))
    assert found.cure is not None
    assert "nft list ruleset" in found.cure


def test_an_overlay_that_punts_nothing_has_no_punt_path() -> None:
    assert checks_firewall.punt(stories.facts(), stories.overlay(punt=None)) == []


def test_a_rule_that_drops_the_listen_port_is_a_problem() -> None:
    (found,) = checks_firewall.listen_ports(behind(rule(match("udp", "dport", 4789), DROP)))
    assert found.severity is Severity.PROBLEM
    assert "rule 7 of chain input in table inet filter drops UDP to port 4789" in found.message


def test_a_policy_that_drops_is_a_warning_unless_a_rule_lets_the_port_in() -> None:
    lo: dict[str, object] = {
        "match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}
    }
    (found,) = checks_firewall.listen_ports(
        behind(rule(lo, ACCEPT), rule(match("tcp", "dport", 22), ACCEPT))
    )
    assert found.severity is Severity.WARNING
    assert found.cure == "nft insert rule inet filter input udp dport 4789 accept"
    (found,) = checks_firewall.listen_ports(behind(rule(match("udp", "dport", 4789), ACCEPT)))
    assert found.severity is Severity.OK


def test_a_policy_that_drops_what_goes_to_guests_by_lo_is_a_warning() -> None:
    eth0: dict[str, object] = {
        "match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}
    }
    (found,) = checks_firewall.listen_ports(behind(rule(eth0, ACCEPT)))
    assert found.severity is Severity.WARNING
    assert found.cure == "nft insert rule inet filter input iif lo udp dport 4789 accept"


def test_without_overlays_there_is_no_port_to_look_for() -> None:
    facts = stories.facts(ruleset=Ruleset((INPUT,)), diagnosis=stories.diagnosis())
    assert checks_firewall.listen_ports(facts) == []


def bridge_filtered(*rules: Rule, chain: Chain = FORWARD) -> Facts:
    return stories.facts(
        system=stories.system(bridge_filters=("iptables",)), ruleset=Ruleset((chain,), rules)
    )


def test_br_netfilter_with_a_forward_policy_of_drop_is_a_problem_with_two_cures() -> None:
    (found,) = checks_firewall.bridged(bridge_filtered())
    assert (found.check, found.severity) == ("br-netfilter", Severity.PROBLEM)
    assert found.cure is not None
    assert "bridge-nf-call-iptables=0" in found.cure
    assert "physdev-is-bridged" in found.cure


@pytest.mark.parametrize(
    "expression",
    [
        {"xt": {"type": "match", "name": "physdev"}},
        {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "blue"}},
    ],
)
def test_a_rule_that_lets_bridged_frames_through_cures_it(expression: dict[str, object]) -> None:
    facts = bridge_filtered(rule(expression, ACCEPT, chain=FORWARD))
    (found,) = checks_firewall.bridged(facts)
    assert found.severity is Severity.OK


def test_br_netfilter_is_a_warning_by_itself() -> None:
    accepting = structs.replace(FORWARD, policy="accept")
    (found,) = checks_firewall.bridged(bridge_filtered(chain=accepting))
    assert found.severity is Severity.WARNING


def test_without_br_netfilter_the_forward_policy_does_not_matter() -> None:
    assert checks_firewall.bridged(stories.facts(ruleset=Ruleset((FORWARD,)))) == []


def test_what_could_not_be_looked_at_is_told() -> None:
    facts = stories.facts(
        ruleset=None,
        ruleset_error="nft is not installed",
        system=stories.system(legacy_tables=("filter", "nat", "filter")),
    )
    nft, old = checks_firewall.unseen(facts)
    assert "nft is not installed" in nft.message
    assert "(filter, nat)" in old.message
    assert nft.severity is old.severity is Severity.WARNING
