"""The guard's rules in the kernel, with nft as the second opinion on what they say."""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from support.namespaces import Namespace
from support.waiting import wait_for
from varpd.datapath.linux.guard import guard as module
from varpd.datapath.linux.guard.guard import Guard
from varpd.datapath.linux.guard.rules import Guarded
from varpd.datapath.linux.guard.tables import GuardTables
from varpd.datapath.linux.nft.session import Session
from varpd.datapath.linux.nft.wire import Kind, Message

pytestmark = pytest.mark.integration

PROMISE = 1.0
"""Seconds in which what somebody removes is put back."""


class OlderKernel(Session):
    """A kernel that knows nothing of owners of tables."""

    def change(self, messages: Sequence[Message]) -> None:
        if any(m.kind is Kind.NEWTABLE and len(m.attributes) > 12 for m in messages):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        super().change(messages)


def overlay(**other: Any) -> Guarded:
    values: dict[str, Any] = {
        "overlay": "blue",
        "vnetid": 7,
        "listen_ip": ip_address("192.0.2.1"),
        "listen_port": 4789,
        "bridge": 2,
        "device": 3,
        "punt_ports": (789,),
    }
    return Guarded(**(values | other))


GREEN = overlay(
    overlay="green",
    vnetid=8,
    listen_ip=ip_address("2001:db8::1"),
    bridge=4,
    device=5,
    host_access=True,
    underlay=("eth0", "eth1"),
    sources=(ip_network("2001:db8::/32"),),
)
RANGES = overlay(sources=(ip_network("10.0.0.0/8"), ip_network("192.0.2.0/24")))


@pytest.fixture
def bridges(host: Namespace) -> Namespace:
    for name in ("blue", "green"):
        host.run("ip", "link", "add", name, "type", "bridge")
    return host


def listed(host: Namespace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(host.run("nft", "-j", "list", "ruleset").stdout)[
        "nftables"
    ]
    return found


def stateless(host: Namespace) -> list[str]:
    return sorted(host.run("nft", "--stateless", "list", "ruleset").stdout.splitlines())


def test_nft_reads_what_was_written(bridges: Namespace) -> None:
    tables = GuardTables()
    tables.put(RANGES)
    tables.put(GREEN)
    text = bridges.run("nft", "list", "ruleset").stdout
    for line in (
        "udp dport . @th,96,32 @tunnels goto sent-here",
        "udp dport . @th,96,32 vmap @wrapped",
        '4789 . 0.0.7.0 comment "blue: vnetid 7" : goto wrapped-blue',
        "ip daddr 192.0.2.1 iif != @links ip saddr @from-blue notrack accept",
        "ip daddr != 192.0.2.1 fib daddr type != unicast counter packets 0 bytes 0 drop",
        "ip6 daddr != 2001:db8::1 fib daddr type != unicast counter packets 0 bytes 0 drop",
        "elements = { 10.0.0.0/8, 192.0.2.0/24 }",
        "elements = { 2001:db8::/32 }",
        "iifname != @underlay-green",
        'type filter hook ingress device "blue" priority -500; policy drop;',
        "icmpv6 type nd-router-advert",
        "udp dport @listen-ports @th,96,32 >= 0x0 accept",
        "meta skuid != 0 counter",
    ):
        assert line in text
    rules = [item["rule"] for item in listed(bridges) if "rule" in item]
    assert all(rule["comment"] for rule in rules)
    assert tables.check()
    tables.close()


@pytest.fixture(params=[Session, OlderKernel], ids=["owned", "not-owned"])
def guard(
    request: pytest.FixtureRequest, bridges: Namespace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Guard]:
    # What is put right must have been heard of.
    monkeypatch.setattr(module, "PERIOD", 1000.0)
    guard = Guard(lambda overlay, text: None, request.param)
    guard.start(lambda overlay: None)
    guard.put(RANGES)
    guard.put(GREEN)
    yield guard
    guard.stop()


@pytest.mark.parametrize(
    "done",
    [
        "flush ruleset",
        "delete table inet varpd",
        "delete table netdev varpd",
        "flush chain inet varpd wrapped-blue",
        "flush set inet varpd links",
        "delete chain netdev varpd host-blue",
        "delete element inet varpd wrapped { 4789 . 0.0.7.0 }",
        "insert rule inet varpd incoming accept",
        "add element inet varpd from-blue { 203.0.113.0/24 }",
        "add chain netdev varpd host-blue { policy accept ; }",
    ],
)
def test_what_others_do_to_the_rules_does_not_last(
    guard: Guard, bridges: Namespace, done: str
) -> None:
    before = stateless(bridges)
    result = bridges.run("nft", *done.split(), check=False)
    if guard.tables.is_owner:
        assert result.returncode != 0 or done == "flush ruleset"
        assert stateless(bridges) == before
        return
    assert result.returncode == 0
    wait_for("the rules", lambda: stateless(bridges) == before, 10 * PROMISE)
    assert guard.tables.repairs == 1


def test_a_bridge_that_is_made_anew_is_guarded_at_once(guard: Guard, bridges: Namespace) -> None:
    chain = ("nft", "--stateless", "list", "chain", "netdev", "varpd", "host-blue")
    before = bridges.run(*chain).stdout
    bridges.run("ip", "link", "delete", "blue")
    bridges.run("ip", "link", "add", "blue", "type", "bridge")
    guard.put(RANGES)
    assert bridges.run(*chain).stdout == before
    assert guard.tables.check()


def test_no_rule_is_left_by_the_last_overlay(guard: Guard, bridges: Namespace) -> None:
    guard.remove("blue")
    assert not any("blue" in line for line in stateless(bridges) if "iface" not in line)
    guard.remove("green")
    assert listed(bridges)[1:] == []


def test_the_next_daemon_takes_over(guard: Guard, bridges: Namespace) -> None:
    before = stateless(bridges)
    guard.stop()
    tables = GuardTables()
    tables.put(RANGES)
    tables.put(GREEN)
    assert stateless(bridges) == before or not guard.tables.is_owner
    assert tables.check()
    assert tables.repairs == 0
    tables.close()
