"""Guests are kept to their own MACs and addresses: what they forge is stopped, counted, and told.

Each frame to be judged carries a marker. What did not come is only known when one that was sent
later has come.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from support.guests import INTERFACE, Guest
from support.lab import Host, Lab
from support.scapy_oracle import (
    ARP,
    BOOTP,
    DHCP,
    IP,
    UDP,
    Dot1Q,
    Ether,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    Raw,
)
from support.shared_lab import overlays_of_a_test
from support.waiting import wait_for
from support.wire_tap import Tap

pytestmark = pytest.mark.integration

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
ALL_NODES: Final = "33:33:00:00:00:01"
OTHER_MAC: Final = "02:00:5e:00:00:99"
OTHER_IPV4: Final = "10.77.0.99"
OTHER_IPV6: Final = "fd00:77::99"

PROMISE: Final = 1.0
"""Seconds in which what somebody removes is put back."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b")


@pytest.fixture(autouse=True)
def _own_overlays(hosts: list[Host]) -> Iterator[None]:
    with overlays_of_a_test(hosts):
        yield


def say(host: Host, guest: Guest, *more: str) -> None:
    """Say who a guest is."""
    ips = [option for item in guest.identity.ips for option in ("--ip", str(item.ip))]
    host.overlayadm("port", "blue", guest.port, "--mac", str(guest.mac), *ips, *more)


def port(host: Host, guest: Guest) -> dict[str, Any]:
    found = json.loads(host.overlayadm("port", "blue", guest.port, "--json").stdout)
    return dict(found[0])


def said(host: Host) -> dict[str, str]:
    """Return the states of all ports."""
    found = json.loads(host.overlayadm("port", "blue", "--json").stdout)
    return {item["port"]: item["state"] for item in found}


@dataclass(frozen=True)
class Case:
    """A frame, and whether it may pass with `mac` and with `mac+ip`."""

    frame: Ether
    mac: bool
    mac_and_ip: bool


def cases(web: Guest) -> dict[str, Case]:
    """Return frames of a guest, by what they are; each is for everybody."""
    mac, ipv4, ipv6, link = str(web.mac), web.ipv4, web.ipv6, web.identity.link_local
    ether = Ether(src=mac, dst=BROADCAST)
    ether6 = Ether(src=mac, dst=ALL_NODES)
    forged = Ether(src=OTHER_MAC, dst=BROADCAST)

    def arp(op: int, hwsrc: str, psrc: str, pdst: str = OTHER_IPV4) -> ARP:
        return ARP(op=op, hwsrc=hwsrc, psrc=psrc, hwdst="00:00:00:00:00:00", pdst=pdst)

    def nd(src: str, message: Any) -> Any:
        return ether6 / IPv6(src=src, dst="ff02::1", hlim=255) / message

    def na(src: str, target: str, mac: str) -> Any:
        return nd(src, ICMPv6ND_NA(tgt=target, R=0) / ICMPv6NDOptDstLLAddr(lladdr=mac))

    udp = UDP(sport=9, dport=9)
    dhcp = BOOTP(chaddr=bytes(web.mac)) / DHCP(options=[("message-type", "discover"), "end"])
    client = IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / dhcp
    hidden = IPv6ExtHdrDestOpt() / ICMPv6ND_NA(tgt=OTHER_IPV6) / ICMPv6NDOptDstLLAddr(lladdr=mac)
    split = IPv6ExtHdrFragment(m=1, offset=0) / ICMPv6ND_NA(tgt=OTHER_IPV6)
    later = IPv6ExtHdrFragment(m=0, offset=100, nh=58) / Raw(b"the rest of a ping")
    nonce = ICMPv6NDOptUnknown(type=14, len=1, data=b"123456")
    return {
        "honest frame": Case(ether / Raw(b""), True, True),
        "forged MAC": Case(forged / Raw(b""), False, False),
        "forged MAC, tagged": Case(forged / Dot1Q(vlan=5) / Raw(b""), False, False),
        "honest ARP": Case(ether / arp(1, mac, ipv4), True, True),
        "ARP reply": Case(ether / arp(2, mac, ipv4), True, True),
        "ARP for another's address": Case(ether / arp(2, mac, OTHER_IPV4), True, False),
        "ARP with another's MAC": Case(ether / arp(2, OTHER_MAC, ipv4), False, False),
        "ARP probe": Case(ether / arp(1, mac, "0.0.0.0", ipv4), True, True),
        "ARP probe for another": Case(ether / arp(1, mac, "0.0.0.0"), True, False),
        "tagged honest ARP": Case(ether / Dot1Q(vlan=5) / arp(1, mac, ipv4), True, True),
        "tagged forged ARP": Case(ether / Dot1Q(vlan=5) / arp(1, mac, OTHER_IPV4), True, False),
        "twice tagged": Case(
            ether / Dot1Q(vlan=5) / Dot1Q(vlan=6) / arp(1, mac, OTHER_IPV4), True, False
        ),
        "IPv4": Case(ether / IP(src=ipv4, dst="10.77.0.255") / udp, True, True),
        "forged IPv4": Case(ether / IP(src=OTHER_IPV4, dst="10.77.0.255") / udp, True, False),
        "DHCP": Case(ether / client, True, True),
        "from 0.0.0.0": Case(ether / IP(src="0.0.0.0", dst="255.255.255.255") / udp, True, False),
        "IPv6": Case(ether6 / IPv6(src=ipv6, dst="ff02::1") / udp, True, True),
        "IPv6, link-local": Case(ether6 / IPv6(src=link, dst="ff02::1") / udp, True, True),
        "forged IPv6": Case(ether6 / IPv6(src=OTHER_IPV6, dst="ff02::1") / udp, True, False),
        "other link-local": Case(ether6 / IPv6(src="fe80::1", dst="ff02::1") / udp, True, False),
        "ping": Case(ether6 / IPv6(src=ipv6, dst="ff02::1") / ICMPv6EchoRequest(), True, True),
        "later fragment": Case(ether6 / IPv6(src=ipv6, dst="ff02::1") / later, True, True),
        "NA": Case(na(ipv6, ipv6, mac), True, True),
        "NA without a MAC": Case(nd(ipv6, ICMPv6ND_NA(tgt=ipv6)), True, True),
        "NA for another": Case(na(ipv6, OTHER_IPV6, mac), True, False),
        "NA from another": Case(na(OTHER_IPV6, OTHER_IPV6, mac), True, False),
        "NA with another's MAC": Case(na(ipv6, ipv6, OTHER_MAC), True, False),
        "NA behind a header": Case(
            ether6 / IPv6(src=ipv6, dst="ff02::1", hlim=255) / hidden, True, False
        ),
        "NA in a fragment": Case(
            ether6 / IPv6(src=ipv6, dst="ff02::1", hlim=255) / split, True, False
        ),
        "NS": Case(
            nd(ipv6, ICMPv6ND_NS(tgt=OTHER_IPV6) / ICMPv6NDOptSrcLLAddr(lladdr=mac)), True, True
        ),
        "NS with another's MAC": Case(
            nd(ipv6, ICMPv6ND_NS(tgt=OTHER_IPV6) / ICMPv6NDOptSrcLLAddr(lladdr=OTHER_MAC)),
            True,
            False,
        ),
        "DAD": Case(nd("::", ICMPv6ND_NS(tgt=ipv6) / nonce), True, True),
        "DAD for another": Case(nd("::", ICMPv6ND_NS(tgt=OTHER_IPV6)), True, False),
        "RS": Case(nd("::", ICMPv6ND_RS()), True, True),
        "RA from another": Case(nd("fe80::1", ICMPv6ND_RA()), True, False),
        "from ::": Case(ether6 / IPv6(src="::", dst="ff02::1") / udp, True, False),
    }


def judge(web: Guest, witness: Guest) -> set[str]:
    """Send all of `cases`, and return which of them came to a witness."""
    with Tap(web.namespace, INTERFACE) as tap, Tap(witness.namespace, INTERFACE) as seen:
        for name, case in cases(web).items():
            # As padding behind the packet: what lengths say stays as it is.
            tap.send(Ether(bytes(case.frame) + b"#" + name.encode() + b"#"))
        last = Ether(src=str(web.mac), dst=BROADCAST, type=0x88B5) / Raw(b"#last#")
        tap.send(last)
        seen.wait("the last frame", lambda frame: b"#last#" in bytes(frame))
        frames = [bytes(frame) for frame in seen.seen()]
    return {name for name in cases(web) if any(b"#" + name.encode() + b"#" in f for f in frames)}


@pytest.mark.parametrize("mode", ["mac", "mac+ip"])
def test_what_is_forged_is_stopped_and_counted_and_nothing_else(
    lab: Lab, hosts: list[Host], mode: str
) -> None:
    a, b = hosts
    web, peer, db = lab.files_overlay("blue", 7, {"web": a, "peer": a, "db": b})
    assert judge(web, peer) == set(cases(web))
    say(a, web)
    say(a, peer)
    a.overlayadm("modify", "blue", "-p", f"antispoof={mode}")
    passing = {
        name
        for name, case in cases(web).items()
        if (case.mac if mode == "mac" else case.mac_and_ip)
    }
    before = port(a, web)["refused"]
    assert judge(web, peer) == passing
    assert port(a, web)["refused"] == before + len(cases(web)) - len(passing)
    assert port(a, peer)["refused"] == 0
    counted = json.loads(a.overlayadm("stats", "blue", "--json").stdout)[0]["antispoof"]
    assert counted[web.port] == port(a, web)["refused"]
    # Honest traffic is not touched, cold and over both versions; `mac` lets addresses be forged.
    for guest in (web, peer, db):
        guest.run("ip", "neighbour", "flush", "dev", INTERFACE)
    for one, other in ((web, db), (db, web), (web, peer)):
        assert one.ping(other.ipv4, 3).lost == 0
        assert one.ping(other.ipv6, 3).lost == 0


def test_the_bridge_learns_no_forged_mac(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    web, peer, _ = lab.files_overlay("blue", 7, {"web": a, "peer": a, "db": b})
    a.overlayadm("modify", "blue", "-p", "antispoof=mac")
    say(a, web)
    say(a, peer)
    with Tap(web.namespace, INTERFACE) as tap, Tap(peer.namespace, INTERFACE) as seen:
        tap.send(Ether(src=OTHER_MAC, dst=BROADCAST, type=0x88B5) / Raw(b"#forged#"))
        tap.send(Ether(src=str(web.mac), dst=BROADCAST, type=0x88B5) / Raw(b"#last#"))
        seen.wait("the last frame", lambda frame: b"#last#" in bytes(frame))
    table = a.run("bridge", "fdb", "show", "br", "blue").stdout
    assert OTHER_MAC not in table
    assert str(web.mac) in table


def test_a_port_of_which_nothing_is_said_sends_nothing_until_it_is(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b}, "antispoof=mac")
    assert web.ping(db.ipv4, wait=0.3).lost == 1
    wait_for("it to be told", lambda: port(a, web)["refused"] > 0)
    assert port(a, web)["state"] == "blocked"
    found = a.overlayadm("doctor", check=False)
    assert found.returncode == 1
    assert f"overlayadm port blue {web.port} --mac MAC" in found.stdout
    say(a, web)
    assert "antispoof" not in a.overlayadm("doctor", check=False).stdout
    say(b, db)
    assert web.ping(db.ipv4, 3).lost == 0
    assert port(a, web)["state"] == "present"
    a.overlayadm("port", "blue", web.port, "--forget")
    assert web.ping(db.ipv4, wait=0.3).lost == 1
    assert port(a, web)["mac"] is None


def test_what_is_said_of_a_port_survives_daemons_and_the_absence_of_the_link(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b = hosts
    web, peer, db = lab.files_overlay("blue", 7, {"web": a, "peer": a, "db": b})
    say(a, web, "--antispoof", "mac+ip")
    before = judge(web, peer)
    assert before == {name for name, case in cases(web).items() if case.mac_and_ip}
    a.varpd.kill()
    # What is in the kernel protects while no daemon runs.
    assert judge(web, peer) == before
    a.varpd.start()
    assert judge(web, peer) == before
    name = web.port
    web.unplug()
    assert said(a)[name] == "absent"
    web.plug(a.namespace, "blue")
    # By its name the rule holds from the first frame on.
    assert judge(web, peer) == before
    assert port(a, web)["mac"] == str(web.mac)
    assert web.ping(db.ipv4, 3).lost == 0


def test_a_guest_that_is_moved_speaks_at_once_where_it_is_awaited(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b}, "antispoof=mac+ip")
    say(a, web)
    say(b, db)
    say(b, web)
    assert db.ping(web.ipv4, 3).lost == 0
    b.move(web, "blue")
    # Reverse ARP is what hypervisors announce a guest with that they moved.
    announced = Ether(src=str(web.mac), dst=BROADCAST, type=0x8035) / Raw(
        bytes.fromhex("00010800060400 03".replace(" ", ""))
        + bytes(web.mac)
        + bytes(4)
        + bytes(web.mac)
        + bytes(4)
    )
    with Tap(web.namespace, INTERFACE) as tap, Tap(db.namespace, INTERFACE) as seen:
        tap.send(announced)
        seen.wait("the announcement", lambda frame: frame.type == 0x8035)
    lab.mapping_file("blue.json").put(web.identity, b)
    assert web.ping(db.ipv4, 3).lost == 0
    assert port(b, web)["refused"] == 0


def test_rules_that_somebody_removes_are_put_back(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b}, "antispoof=mac")
    say(a, web)
    say(b, db)
    before = a.run("nft", "--stateless", "list", "table", "bridge", "varpd").stdout
    assert web.port in before
    with contextlib.suppress(Exception):
        a.run("nft", "flush", "ruleset")
    wait_for(
        "the rules to be back",
        lambda: (
            a.run("nft", "--stateless", "list", "table", "bridge", "varpd", check=False).stdout
            == before
        ),
        10 * PROMISE,
    )
    a.overlayadm("modify", "blue", "-p", "antispoof=off")
    assert web.port not in a.run("nft", "list", "ruleset").stdout
    assert web.ping(db.ipv4, 3).lost == 0
