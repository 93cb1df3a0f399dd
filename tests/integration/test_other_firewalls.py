"""varpd beside other firewalls: it works, or says what is in its way and what to do."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from support.forgery import arrivals, send, wrapped
from support.lab import Host, Lab
from support.shared_lab import overlays_of_a_test
from support.waiting import wait_for
from varpd.datapath.linux.guard import bridged

pytestmark = pytest.mark.integration

KUBELET: Final = """
table ip filter {
    chain KUBE-FIREWALL {
        ip saddr != 127.0.0.0/8 ip daddr 127.0.0.0/8 ct state != { established, related } drop
    }
    chain INPUT { type filter hook input priority filter; policy accept; jump KUBE-FIREWALL; }
    chain OUTPUT { type filter hook output priority filter; policy accept; jump KUBE-FIREWALL; }
}
"""
"""What kubelet makes with iptables, without the comments."""

KUBELET_V6: Final = """
table ip6 filter {
    chain KUBE-FIREWALL {
        meta mark & 0x8000 == 0x8000 drop
    }
    chain INPUT { type filter hook input priority filter; policy accept; jump KUBE-FIREWALL; }
    chain OUTPUT { type filter hook output priority filter; policy accept; jump KUBE-FIREWALL; }
}
"""
"""Its rule for IPv6: there are no "localnet" packets, and it marks what is to be dropped."""

HARDENED_V6: Final = """
table ip6 filter {
    chain INPUT {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ip6 saddr ::1 drop
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        udp dport 4789 accept
    }
    chain OUTPUT { type filter hook output priority filter; policy accept; }
}
"""
"""The loopback rules of the CIS benchmarks, as they have them made with ip6tables."""

DOCKER_V6: Final = """
table ip6 filter {
    chain DOCKER-USER { return; }
    chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; }
}
"""
"""What of Docker's rules bridged IPv6 meets where its ip6tables is on."""

STRICT_LOOPBACK: Final = """
table inet strict {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state { established, related } accept
        iif lo ip saddr 127.0.0.0/8 accept
        iif lo ip6 saddr ::1 accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        udp dport 4789 accept
    }
}
"""

SECURITY: Final = Path(__file__).resolve().parents[2] / "docs" / "security.md"

RULESETS: Final = Path(__file__).parent / "rulesets"
"""Rules that the real programs made, each file named by program and version."""

DOCKER: Final = (RULESETS / "docker-20.10.24.nft").read_text(encoding="utf-8")

FIREWALLD: Final = (RULESETS / "firewalld-1.3.3.nft").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b")


@pytest.fixture(autouse=True)
def _own_overlays(hosts: list[Host]) -> Iterator[None]:
    with _overlays_and_rules_of_a_test(hosts):
        yield


@contextmanager
def _overlays_and_rules_of_a_test(hosts: list[Host]) -> Iterator[None]:
    with overlays_of_a_test(hosts):
        yield
        for host in hosts:
            for family, table in (
                ("ip", "filter"),
                ("ip", "nat"),
                ("ip6", "filter"),
                ("inet", "strict"),
                ("inet", "firewalld"),
            ):
                host.run("nft", "delete", "table", family, table, check=False)


def load(lab: Lab, host: Host, rules: str) -> None:
    file = lab.directory / "rules.nft"
    file.write_text(rules, encoding="utf-8")
    host.run("nft", "-f", str(file))


def causes(host: Host) -> list[dict[str, Any]]:
    return [cause for item in host.varpd.show() for cause in item["causes"]]


def default_rows(host: Host) -> list[str]:
    lines = host.run("bridge", "fdb", "show", "dev", "vx-blue").stdout.splitlines()
    return [line.split(" dst ")[1].split()[0] for line in lines if line.startswith("00:00:00:00")]


def test_with_kubelets_rules_frames_take_a_detour(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    load(lab, a, KUBELET)
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    assert default_rows(a) == [a.ipv4]
    assert web.ping(db, 3).lost == 0
    assert causes(a) == []


def test_rules_that_come_later_lead_to_a_detour_and_back(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    assert default_rows(a) == ["127.86.0.1"]

    load(lab, a, KUBELET)

    wait_for("the detour", lambda: default_rows(a) == [a.ipv4])
    assert web.ping(db, 3).lost == 0
    assert causes(a) == []
    with arrivals(db) as seen:
        # Nobody but the kernel can use it, from nowhere.
        line = a.run("bridge", "fdb", "show", "dev", "vx-blue").stdout
        port = int(line.split("port ")[1].split()[0])
        send(b.namespace, wrapped(7, b"by the detour"), a.ipv4, port=port)
        assert web.ping(db, 3).lost == 0
        assert not seen.has(b"by the detour")

    a.run("nft", "delete", "table", "ip", "filter")

    wait_for("the usual way", lambda: default_rows(a) == ["127.86.0.1"])
    assert web.ping(db.ipv6, 3).lost == 0


def test_where_no_way_is_left_the_overlay_says_so_until_there_is_one(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})

    load(lab, a, STRICT_LOOPBACK)

    wait_for("a cause", lambda: causes(a))
    (cause,) = causes(a)
    assert cause["cause"] == "guard"
    assert "a firewall drops frames on their way to varpd" in cause["message"]

    rule = cause["message"].rpartition("nftables: ")[2]
    a.run("nft", "insert", "rule", "inet", "strict", "input", *rule.split())

    wait_for("no cause", lambda: causes(a) == [])
    assert web.ping(db, 3).lost == 0


@pytest.fixture(scope="module")
def ipv6_lab() -> Iterator[Lab]:
    with Lab(6) as lab:
        yield lab


@pytest.fixture(scope="module")
def ipv6_hosts(ipv6_lab: Lab) -> list[Host]:
    return ipv6_lab.hosts("a", "b")


@pytest.fixture
def over_ipv6(ipv6_hosts: list[Host]) -> Iterator[list[Host]]:
    with _overlays_and_rules_of_a_test(ipv6_hosts):
        yield ipv6_hosts


@pytest.mark.parametrize("rules", [KUBELET_V6, HARDENED_V6], ids=["kubelet", "hardened"])
def test_over_ipv6_the_usual_way_stays_open(
    ipv6_lab: Lab, over_ipv6: list[Host], rules: str
) -> None:
    a, b = over_ipv6
    for host in over_ipv6:
        load(ipv6_lab, host, rules)
    web, db = ipv6_lab.files_overlay("blue", 7, {"web": a, "db": b})
    assert web.ping(db, 3).lost == 0
    assert causes(a) == []
    assert default_rows(a)[0].startswith("fd76:6172:7064:")


def test_over_ipv6_too_the_rule_that_is_printed_opens_the_way(
    ipv6_lab: Lab, over_ipv6: list[Host]
) -> None:
    a, b = over_ipv6
    web, db = ipv6_lab.files_overlay("blue", 7, {"web": a, "db": b})
    load(ipv6_lab, a, STRICT_LOOPBACK)
    wait_for("a cause", lambda: causes(a))
    rule = causes(a)[0]["message"].rpartition("nftables: ")[2]
    assert " ip6 " in rule
    a.run("nft", "insert", "rule", "inet", "strict", "input", *rule.split())
    wait_for("no cause", lambda: causes(a) == [])
    assert web.ping(db, 3).lost == 0


def test_beside_firewalld_all_works_once_the_port_is_open(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    opened = "\t\tudp dport 4789 accept\n"
    assert FIREWALLD.count(opened) == 1
    load(lab, b, FIREWALLD.replace(opened, ""))
    load(lab, a, FIREWALLD)
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    assert web.ping(db, 2, wait=0.5).lost == 2

    b.run("nft", "delete", "table", "inet", "firewalld")
    load(lab, b, FIREWALLD)

    assert web.ping(db, 3).lost == 0
    assert db.ping(web.ipv6, 3).lost == 0
    for host in hosts:
        assert causes(host) == []
        assert default_rows(host) == ["127.86.0.1"]


SWITCHES: Final = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")


@contextmanager
def br_netfilter(host: Host) -> Iterator[Callable[[int], None]]:
    """Yield what has bridged packets go through the rules of a host, or not; at first they do."""

    def switch(value: int) -> None:
        with host.namespace.entered():
            for name in SWITCHES:
                Path("/proc/sys/net/bridge", name).write_text(str(value), encoding="ascii")

    switch(1)
    try:
        yield switch
    finally:
        switch(0)


def printed_cure(command: str, text: str) -> list[str]:
    """Return the arguments of `command` against `FORWARD` policies that are in a text."""
    found = re.search(rf"\b{command} (-I [A-Z-]+ -m physdev [^`;)]*ACCEPT)", text)
    assert found is not None
    return found[1].split()


def test_bridged_packets_that_other_rules_drop_are_told(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    with br_netfilter(a) as switch:
        web, db, other = lab.files_overlay("blue", 7, {"web": a, "db": b, "other": a})
        assert web.ping(db, 3).lost == 0
        assert causes(a) == []

        load(lab, a, DOCKER)

        wait_for("a cause", lambda: causes(a))
        assert "br_netfilter" in causes(a)[0]["message"]
        assert web.ping(other, 2, wait=0.5).lost == 2
        # What is let through of the other family is no proof.
        assert web.ping(other.ipv6, 2).lost == 0

        switch(0)
        wait_for("no cause", lambda: causes(a) == [])
        assert web.ping(other, 2).lost == 0


@pytest.mark.parametrize("where", ["the documentation", "the message"])
@pytest.mark.parametrize(("command", "rules"), [("iptables", DOCKER), ("ip6tables", DOCKER_V6)])
def test_the_cure_that_is_printed_is_one_and_noticed_without_a_guest_that_speaks(
    lab: Lab, hosts: list[Host], command: str, rules: str, where: str
) -> None:
    a, b = hosts
    with br_netfilter(a):
        web, _, other = lab.files_overlay("blue", 7, {"web": a, "db": b, "other": a})
        load(lab, a, rules)
        wait_for("a cause", lambda: causes(a))
        text = SECURITY.read_text(encoding="utf-8")
        cure = printed_cure(
            command, text if where == "the documentation" else causes(a)[0]["message"]
        )

        with arrivals(other) as seen:
            a.run(command, *cure)
            wait_for("no cause", lambda: causes(a) == [])
            assert not seen.has(bridged.MARK)

        found = json.loads(a.overlayadm("doctor", "--json", check=False).stdout)
        (finding,) = [item for item in found if item["check"] == "br-netfilter"]
        assert finding["severity"] == "ok"

        address = other.ipv4 if command == "iptables" else other.ipv6
        assert web.ping(address, 2).lost == 0
        a.run(command, "-D", *cure[1:])
        wait_for("a cause", lambda: causes(a))
