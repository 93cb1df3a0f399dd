"""A guest that sends with the MAC of a guest of another host."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from support.guests import INTERFACE, Guest
from support.lab import Host, Lab
from support.observers import rows
from support.scapy_oracle import ARP, Ether, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6, Raw
from support.waiting import wait_for
from support.wire_tap import Tap

pytestmark = pytest.mark.integration

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
NOBODY: Final = "02:00:5e:10:00:fe"
EXPERIMENTAL: Final = 0x88B5
"""Local Experimental Ethertype 1 (IEEE 802)."""

NOTED: Final = "a guest sends from a MAC that is another host's"
PINGS: Final = 20


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b")


def forged(victim: Guest, *others: Guest) -> list[Ether]:
    """Frames to everybody and to others, such as only the victim should send."""
    mac = str(victim.mac)
    frames = [
        Ether(src=mac, dst=dst, type=EXPERIMENTAL) / Raw(b"here I am")
        for dst in (BROADCAST, NOBODY, *(str(guest.mac) for guest in others))
    ]
    gratuitous = ARP(op=1, hwsrc=mac, psrc=victim.ipv4, pdst=victim.ipv4)
    unsolicited = (
        IPv6(src=victim.ipv6, dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt=victim.ipv6, R=0, S=0, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=mac)
    )
    return [
        *frames,
        Ether(src=mac, dst=BROADCAST) / gratuitous,
        Ether(src=mac, dst="33:33:00:00:00:01") / unsolicited,
    ]


def is_to(guest: Guest, frame: Ether) -> bool:
    return str(frame.dst) == str(guest.mac)


def test_rows_stay_and_traffic_goes_on_when_a_guest_takes_a_remote_guests_mac(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b = hosts
    web, thief, db, other = lab.files_overlay(
        "blue", 7, {"web": a, "thief": a, "db": b, "other": b}
    )
    for guest in (web, other):
        assert guest.ping(db).lost == 0
    before = {host.name: rows(host, "blue", db.mac) for host in hosts}

    with Tap(thief.namespace, INTERFACE) as tap, Tap(other.namespace, INTERFACE) as arrived:
        for frame in forged(db, web, other):
            tap.send(frame)
            assert web.ping(db, 3).lost == 0
            assert web.ping(db.ipv6, 3).lost == 0
        # The other host has seen them, too: its tunnel device took one for its guest.
        arrived.wait("a forged frame", lambda frame: frame.type == EXPERIMENTAL)
        assert {host.name: rows(host, "blue", db.mac) for host in hosts} == before
        assert tap.seen(partial(is_to, db)) == []

    # The tunnel port of the bridge, and the tunnel device.
    assert [row["ifname"] for row in before["a"]] == ["vx-blue", "vx-blue"]
    assert [row["ifname"] for row in before["b"]] == [db.port]
    assert other.ping(db).lost == 0


def test_a_mac_that_was_taken_before_anybody_asked_is_given_back_and_noted(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b = hosts
    web, thief, db = lab.files_overlay("green", 8, {"client": a, "rogue": a, "server": b})

    with Tap(thief.namespace, INTERFACE) as tap:
        for frame in forged(db, web):
            tap.send(frame)
        wait_for("it to be taken back", lambda: ports(a, "green", db) == ["vx-green", "vx-green"])
        assert web.ping(db, PINGS).lost == 0
        assert tap.seen(partial(is_to, db)) == []
        # And once more, now that the rows are there.
        for frame in forged(db, web):
            tap.send(frame)
        assert web.ping(db, PINGS).lost == 0
        assert tap.seen(partial(is_to, db)) == []

    wait_for("the note", lambda: any(is_note(line, db) for line in a.varpd.log().splitlines()))


def test_a_mac_that_was_taken_after_it_was_forgotten_is_given_back_to_guests_that_know_it(
    lab: Lab, hosts: list[Host]
) -> None:
    a, _ = hosts
    web, thief, db = lab.files_overlay("red", 9, {"reader": a, "pirate": a, "archive": hosts[1]})
    assert web.ping(db).lost == 0

    # The guest has its neighbour in its cache, so nothing of it is asked for again.
    a.overlayadm("modify", "red", "-f")
    wait_for("the rows to go", lambda: ports(a, "red", db) == [])
    with Tap(thief.namespace, INTERFACE) as tap:
        tap.send(forged(db)[0])
        wait_for("it to be taken back", lambda: ports(a, "red", db) == ["vx-red", "vx-red"])
        assert web.ping(db, PINGS).lost == 0
        assert tap.seen(partial(is_to, db)) == []

    wait_for("the note", lambda: any(is_note(line, db) for line in a.varpd.log().splitlines()))


def ports(host: Host, overlay: str, guest: Guest) -> list[str]:
    """Return where the rows of a guest lead."""
    return [row["ifname"] for row in rows(host, overlay, guest.mac)]


def is_note(line: str, guest: Guest) -> bool:
    return NOTED in line and str(guest.mac) in line
