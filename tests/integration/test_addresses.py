"""What guests do about addresses: conflict checks, announcements, routers, tagged questions."""

from collections.abc import Iterator
from typing import Final

import pytest
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptSrcLLAddr

from support.guests import Guest
from support.lab import Host, Lab
from support.scapy_oracle import (
    ARP,
    Dot1Q,
    Ether,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    IPv6,
)
from support.waiting import wait_for
from support.wire_tap import Tap

pytestmark = pytest.mark.integration

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
FREE_IPV4: Final = "10.77.0.200"
FREE_IPV6: Final = "fd00:77::200"
VLAN: Final = 42
PRIORITY: Final = 5


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b")


@pytest.fixture(scope="module")
def guests(lab: Lab, hosts: list[Host]) -> list[Guest]:
    """One guest on each host."""
    a, b = hosts
    return lab.files_overlay("blue", 7, {"web": a, "db": b})


def request(guest: Guest, address: str, sender: str | None = None) -> Ether:
    """An ARP request for an address, as a guest broadcasts it."""
    packet = ARP(op=1, hwsrc=str(guest.mac), psrc=sender or guest.ipv4, pdst=address)
    return Ether(src=str(guest.mac), dst=BROADCAST) / packet


def is_reply(frame: Ether) -> bool:
    return ARP in frame and frame[ARP].op == 2


# -- conflict checks -------------------------------------------------------------------------------


def arping(guest: Guest, address: str) -> int:
    """Check an IPv4 address for a conflict as hosts do, and return the status: 1 for one."""
    return guest.run(
        "arping", "-D", "-I", "eth0", "-c", "2", "-w", "2", address, check=False
    ).returncode


def test_an_ipv4_conflict_check_finds_who_has_the_address(guests: list[Guest]) -> None:
    web, db = guests

    assert arping(web, db.ipv4) == 1
    assert arping(web, FREE_IPV4) == 0


def test_an_ipv4_conflict_check_of_a_guests_own_address_finds_nobody(guests: list[Guest]) -> None:
    web, db = guests

    assert arping(web, web.ipv4) == 0
    assert arping(db, db.ipv4) == 0
    assert web.ping(db).lost == 0


def ipv6_states(guest: Guest) -> dict[str, str]:
    """Return a guest's addresses, each with `tentative`, `dadfailed` or nothing."""
    lines = guest.run("ip", "-6", "-oneline", "address", "show", "dev", "eth0").stdout.splitlines()
    return {
        line.split()[3].partition("/")[0]: next(
            (word for word in ("dadfailed", "tentative") if word in line.split()), ""
        )
        for line in lines
    }


def test_an_ipv6_conflict_check_finds_who_has_the_address(lab: Lab, hosts: list[Host]) -> None:
    a, b = hosts
    file = lab.mapping_file("dad.json")
    file.put(lab.identity("checker"), a)
    file.put(lab.identity("owner"), b)
    for host in hosts:
        host.create("dad", 8, "files", f"files/config={file.path}")
    b.attach("dad", "owner")
    owner = lab.identity("owner")
    own = lab.identity("checker")
    wanted = [own.ipv4 + "/24", own.ipv6 + "/64", owner.ipv6 + "/64", FREE_IPV6 + "/64"]

    checker = a.attach("dad", "checker", ips=wanted, dad=True)

    def checked() -> dict[str, str] | None:
        states = ipv6_states(checker)
        return None if "tentative" in states.values() else states

    # Its own addresses are in the file, and no conflict; nor is one that nobody has.
    assert wait_for("the kernel's checks", checked) == {
        own.ipv6: "",
        own.link_local: "",
        FREE_IPV6: "",
        owner.ipv6: "dadfailed",
    }


# -- announcements ---------------------------------------------------------------------------------


def test_a_gratuitous_arp_gets_no_answer(guests: list[Guest]) -> None:
    web, db = guests

    with Tap(web.namespace, "eth0") as tap:
        for announced in (db.ipv4, web.ipv4):
            tap.send(request(web, announced, sender=announced))
        # What is asked afterwards is answered afterwards.
        for number in (1, 2):
            tap.send(request(web, db.ipv4))
            tap.wait("a reply", is_reply, number)

        assert len(tap.seen(is_reply)) == 2


# -- routers ---------------------------------------------------------------------------------------


def default_routes(guest: Guest) -> str:
    return guest.run("ip", "-6", "route", "show", "default").stdout


@pytest.mark.parametrize("router", [True, False], ids=["router", "no router"])
def test_a_default_route_survives_as_long_as_the_file_says_that_it_leads_to_a_router(
    lab: Lab, hosts: list[Host], router: bool
) -> None:
    a, b = hosts
    name, vnetid = ("routed", 9) if router else ("unrouted", 10)
    file = lab.mapping_file(f"{name}.json")
    file.put(lab.identity(f"{name}-client"), a)
    file.put(lab.identity(f"{name}-gate"), b, router=router)
    for host in hosts:
        host.create(name, vnetid, "files", f"files/config={file.path}")
    client = a.attach(name, f"{name}-client")
    gate = b.attach(name, f"{name}-gate")
    link_local = gate.identity.link_local
    advertisement = (
        Ether(src=str(gate.mac), dst=str(client.mac))
        / IPv6(src=link_local, dst=client.identity.link_local, hlim=255)
        / ICMPv6ND_RA(routerlifetime=1800)
        / ICMPv6NDOptSrcLLAddr(lladdr=str(gate.mac))
    )
    with Tap(gate.namespace, "eth0") as tap:
        tap.send(advertisement)
    route = wait_for("the default route", lambda: default_routes(client))
    assert f"via {link_local} dev eth0 proto ra" in route

    # The client forgets the router's MAC, though not that it is a router, and asks for it anew.
    client.run(
        *("ip", "-6", "neighbour", "change", link_local, "dev", "eth0"), "nud", "failed", "router"
    )
    assert client.ping(f"{link_local}%eth0").lost == 0

    if router:
        assert f"via {link_local}" in default_routes(client)
    else:
        # So this shows something at all.
        assert default_routes(client) == ""


# -- VLANs -----------------------------------------------------------------------------------------


def test_a_tagged_arp_request_gets_a_tagged_reply(guests: list[Guest]) -> None:
    web, db = guests
    asked = request(web, db.ipv4)
    tagged = Ether(src=asked.src, dst=asked.dst) / Dot1Q(vlan=VLAN, prio=PRIORITY) / asked[ARP]

    with Tap(web.namespace, "eth0") as tap:
        tap.send(tagged)
        reply = tap.wait("a reply", is_reply)

    assert (reply[Dot1Q].vlan, reply[Dot1Q].prio) == (VLAN, PRIORITY)
    assert reply[ARP].hwsrc == reply.src == str(db.mac)
    assert (reply[ARP].psrc, reply[ARP].pdst) == (db.ipv4, web.ipv4)


def test_a_tagged_solicitation_gets_a_tagged_advertisement(guests: list[Guest]) -> None:
    web, db = guests
    tail = db.ipv6.rpartition("::")[2]
    solicitation = (
        Ether(src=str(web.mac), dst=f"33:33:ff:00:00:{int(tail, 16):02x}")
        / Dot1Q(vlan=VLAN, prio=PRIORITY)
        / IPv6(src=web.ipv6, dst=f"ff02::1:ff00:{tail}", hlim=255)
        / ICMPv6ND_NS(tgt=db.ipv6)
        / ICMPv6NDOptSrcLLAddr(lladdr=str(web.mac))
    )

    with Tap(web.namespace, "eth0") as tap:
        tap.send(solicitation)
        advertisement = tap.wait("an advertisement", lambda frame: ICMPv6ND_NA in frame)

    assert (advertisement[Dot1Q].vlan, advertisement[Dot1Q].prio) == (VLAN, PRIORITY)
    assert advertisement[ICMPv6ND_NA].tgt == db.ipv6
    assert advertisement[ICMPv6NDOptDstLLAddr].lladdr == advertisement.src == str(db.mac)
