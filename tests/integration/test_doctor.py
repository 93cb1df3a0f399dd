"""`overlayadm doctor` on real hosts: all is well; then one thing after the other is broken."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from support.guests import Guest
from support.lab import UNDERLAY, Host, Lab
from support.lacking import lacking
from support.waiting import wait_for
from varpd.datapath.linux.buffers import BASE

pytestmark = pytest.mark.integration

RMEM_MAX: Final = Path("/proc/sys/net/core/rmem_max")

KUBELET: Final = "ip daddr 127.0.0.0/8 ip saddr != 127.0.0.0/8 drop"
"""What kubelet has among its rules, in words of nft."""


@dataclass(frozen=True)
class Diagnosis:
    """What doctor said."""

    status: int
    findings: list[dict[str, Any]]

    def problems(self) -> list[str]:
        """Return the checks that found a problem."""
        return sorted({item["check"] for item in self.findings if item["severity"] == "problem"})

    def of(self, check: str, severity: str) -> dict[str, Any]:
        """Return the one finding of a check that is so bad."""
        (found,) = [
            item for item in self.findings if (item["check"], item["severity"]) == (check, severity)
        ]
        return found


def doctor(host: Host, *arguments: str) -> Diagnosis:
    done = host.overlayadm("doctor", "--json", *arguments, check=False)
    assert done.stderr == ""
    return Diagnosis(done.returncode, json.loads(done.stdout))


@dataclass(frozen=True)
class Site:
    """Two hosts with an overlay, whose guests have spoken."""

    lab: Lab
    a: Host
    b: Host
    web: Guest
    db: Guest


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
        assert web.ping(db.ipv4).lost == 0
        yield Site(lab, a, b, web, db)


@contextlib.contextmanager
def broken(host: Host, breaking: list[str], mending: list[str]) -> Iterator[None]:
    """Have something broken until the end of the block; each is a command line of the host."""
    for command in breaking:
        host.run("sh", "-c", command)
    try:
        yield
    finally:
        for command in mending:
            host.run("sh", "-c", command)


def test_hosts_that_are_well_have_no_problem(site: Site) -> None:
    found = doctor(site.a, "--peer", site.b.address)
    assert (found.status, found.problems()) == (0, [])
    checked = {item["check"] for item in found.findings if item["severity"] == "ok"}
    assert checked >= {"daemon", "capabilities", "plugins", "kernel", "overlay", "punt-path"}
    assert checked >= {"firewall", "peer", "path-mtu"}
    ports = found.of("path-mtu", "warning")  # the guests of a lab have an MTU of 1500
    assert ports["cure"] == "give the guests an MTU of 1450, or the underlay one of 1550"


def test_people_are_told_in_lines(site: Site) -> None:
    done = site.a.overlayadm("doctor")
    assert done.stdout.startswith("ok       daemon: varpd ")
    assert done.stdout.splitlines()[-1].startswith("problems: 0, warnings: 1, in order: ")


def test_a_rule_on_the_punt_path_is_pointed_at(site: Site) -> None:
    table = (
        "nft 'add table inet doctor; add chain inet doctor input "
        "{ type filter hook input priority 0; policy accept; }; "
        f"add rule inet doctor input {KUBELET}'"
    )
    with broken(site.a, [table], ["nft delete table inet doctor"]):
        found = doctor(site.a)
    assert (found.status, found.problems()) == (1, ["punt-path"])
    finding = found.of("punt-path", "problem")
    assert "does not get through" in finding["message"]
    assert "chain input in table inet doctor" in finding["cure"]
    assert finding["overlay"] == "blue"
    assert doctor(site.a).status == 0


def test_a_rule_against_the_listen_port_is_pointed_at(site: Site) -> None:
    table = (
        "nft 'add table inet doctor; add chain inet doctor input "
        "{ type filter hook input priority 0; policy accept; }; "
        "add rule inet doctor input udp dport 4789 drop'"
    )
    with broken(site.a, [table], ["nft delete table inet doctor"]):
        found = doctor(site.a)
    assert (found.status, found.problems()) == (1, ["firewall"])
    assert "drops UDP to port 4789" in found.of("firewall", "problem")["message"]


def test_a_policy_of_drop_is_a_warning_until_the_cure_is_taken(site: Site) -> None:
    table = (
        "nft 'add table inet doctor; add chain inet doctor input "
        "{ type filter hook input priority 0; policy drop; }; "
        "add rule inet doctor input iifname lo accept; "
        "add rule inet doctor input ct state established accept'"
    )
    with broken(site.a, [table], ["nft delete table inet doctor"]):
        warned = doctor(site.a).of("firewall", "warning")
        site.a.run("sh", "-c", warned["cure"])
        assert doctor(site.a).of("firewall", "ok")
    assert "policy drop" in warned["message"]


def test_br_netfilter_with_a_forward_policy_of_drop_is_found(site: Site) -> None:
    switch = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    if site.a.run("test", "-w", switch, check=False).returncode != 0:
        lacking("there is no br_netfilter here")
    table = (
        "nft 'add table ip doctor; add chain ip doctor FORWARD "
        "{ type filter hook forward priority 0; policy drop; }'"
    )
    mending = [f"echo 0 >{switch}", "nft delete table ip doctor"]
    with broken(site.a, [f"echo 1 >{switch}", table], mending):
        found = doctor(site.a)
        site.a.run("nft", "add rule ip doctor FORWARD iifname blue accept")
        # A packet that gets through is what the daemon believes.
        assert site.web.ping(site.db).lost == 0
        wait_for("the overlay to be well", lambda: site.a.varpd.show()[0]["state"] == "online")
        cured = doctor(site.a)
    # The guard may have found it too, and degraded the overlay.
    assert found.status == 1
    assert {"br-netfilter"} <= {*found.problems()} <= {"br-netfilter", "overlay"}
    assert "chain FORWARD in table ip doctor" in found.of("br-netfilter", "problem")["message"]
    assert "bridge-nf-call-iptables=0" in found.of("br-netfilter", "problem")["cure"]
    assert cured.status == 0


def test_a_listen_address_that_is_gone_is_found(site: Site) -> None:
    address = f"{site.a.address}/24 dev {UNDERLAY}"
    with broken(site.a, [f"ip address del {address}"], [f"ip address add {address}"]):
        found = doctor(site.a)
    assert found.status == 1
    assert "listen-address" in found.problems()
    finding = found.of("listen-address", "problem")
    assert f"ip address add {site.a.address}" in finding["cure"]
    wait_for("the host to be well again", lambda: doctor(site.a).status == 0)


def test_an_underlay_that_is_down_is_found(site: Site) -> None:
    down, up = f"ip link set {UNDERLAY} down", f"ip link set {UNDERLAY} up"
    with broken(site.a, [down], [up]):
        found = doctor(site.a, "--peer", site.b.address)
    assert found.status == 1
    assert set(found.problems()) >= {"listen-address", "route", "peer"}
    assert found.of("listen-address", "problem")["cure"] == f"bring it up: {up}"


def test_an_underlay_too_narrow_for_ipv6_is_found(site: Site) -> None:
    set_mtu = f"ip link set {UNDERLAY} mtu"
    with broken(site.a, [f"{set_mtu} 1300"], [f"{set_mtu} 1500"]):
        found = doctor(site.a)
    assert (found.status, found.problems()) == (1, ["path-mtu"])
    finding = found.of("path-mtu", "problem")
    assert "lets 1300 bytes through, so guests have 1250" in finding["message"]
    assert "1330" in finding["cure"]


def test_what_others_did_to_our_links_is_told(site: Site) -> None:
    breaking = [
        "ip address add 10.99.0.1/24 dev blue",
        "ip link add red type bridge",
        "ip link set red alias varpd:red",
    ]
    mending = ["ip link delete red", "ip address del 10.99.0.1/24 dev blue"]
    with broken(site.a, breaking, mending):
        found = doctor(site.a)
    assert found.status == 0
    assert "10.99.0.1" in found.of("foreign", "warning")["message"]
    assert found.of("links", "warning")["cure"].endswith("ip link delete red")


def test_peers_that_are_not_there_or_do_not_listen_are_told_apart(site: Site) -> None:
    nobody = "192.0.2.99"
    far = "203.0.113.5"
    found = doctor(site.a, "--peer", nobody, "--peer", far)
    assert found.status == 1
    silent, lost = [item for item in found.findings if item["severity"] == "problem"]
    assert silent["message"].startswith(f"{nobody} does not answer on {UNDERLAY}")
    assert lost["message"].startswith(f"there is no route from {site.a.address} to {far}")

    config = site.lab.mapping_file("blue.json").path
    site.b.overlayadm("delete", "blue")
    found = doctor(site.a, "--peer", site.b.address)
    site.b.create("blue", 7, "files", f"files/config={config}")
    assert (found.status, found.problems()) == (1, ["peer"])
    assert "nobody receives on UDP port 4789" in found.of("peer", "problem")["message"]


def test_a_degraded_overlay_is_a_problem_with_its_cause(site: Site) -> None:
    file = site.lab.mapping_file("blue.json").path
    good = file.read_text()
    file.write_text("{")
    wait_for("the overlay to be degraded", lambda: doctor(site.a).problems() == ["overlay"])
    message = doctor(site.a).of("overlay", "problem")["message"]
    file.write_text(good)
    assert message.startswith("is degraded (plugin): ")
    wait_for("the overlay to be well", lambda: doctor(site.a).status == 0)


def test_a_report_holds_both_sides_and_doctor(site: Site) -> None:
    path = site.lab.directory / "report.json"
    site.a.overlayadm("report", "-o", str(path))
    found = json.loads(path.read_text())
    (overlay,) = found["daemon"]["overlays"]
    assert overlay["name"] == "blue"
    assert overlay["rows"] >= 1
    assert overlay["counters"]["punted"] >= 1
    assert overlay["events"]
    assert "varpd_" in found["metrics"]
    assert {"blue", "vx-blue", UNDERLAY} <= {link["name"] for link in found["links"]}
    assert {"row-writer", "MainThread"} <= {item["name"] for item in found["daemon"]["threads"]}
    assert any("overlay created" in line for line in found["daemon"]["log"])
    assert {item["check"] for item in found["findings"]} >= {"daemon", "punt-path"}


def test_without_the_daemon_the_rest_is_looked_at() -> None:
    with Lab() as lab:
        a = lab.host("a", start=False)
        found = doctor(a, "--peer", "192.0.2.200")
    assert (found.status, found.problems()) == (1, ["daemon", "peer"])
    assert "systemctl start varpd" in found.of("daemon", "problem")["cure"]
    assert found.of("kernel", "ok")
    assert "192.0.2.200 does not answer" in found.of("peer", "problem")["message"]


def may_make_user_namespaces() -> bool:
    command = ("unshare", "--user", "--map-root-user", "--net", "true")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_small_buffers_and_another_namespace_are_told() -> None:
    if not may_make_user_namespaces():
        lacking("there are no user namespaces here")
    inside = (
        "ip link set lo up && ip link add eth0 type veth peer name eth1 && ip link set eth0 up"
        ' && ip link set eth1 up && ip address add 192.0.2.1/24 dev eth0 && exec "$@"'
    )
    with Lab() as lab:
        a = lab.host("a", start=False)
        # Root of a user namespace may not have larger buffers than anybody.
        user = ("unshare", "--user", "--map-root-user", "--net", "--")
        a.varpd.wrapper = [*user, "sh", "-c", inside, "sh"]
        a.varpd.start()
        a.create("blue", 7, "files", f"files/config={lab.mapping_file('blue.json').path}")
        found = doctor(a)
        assert found.status == 0
        if int(RMEM_MAX.read_text()) < BASE:
            assert "net.core.rmem_max=" in found.of("buffers", "warning")["cure"]
        assert "nsenter --target" in found.of("namespace", "warning")["cure"]
