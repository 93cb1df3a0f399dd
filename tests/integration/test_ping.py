"""Guests reach each other, from the first packet on."""

import socket
from collections.abc import Iterator
from typing import Final, Literal

import pytest

from support.capture import Capture, Frame
from support.guests import INTERFACE, Guest
from support.lab import Lab
from support.waiting import wait_for

pytestmark = pytest.mark.integration

PUNT_PORT: Final = 789
ROUNDS: Final = 10
"""Cold pings by which a reply that overtakes its row is seen."""

BROADCAST: Final = b"\xff\xff\xff\xff\xff\xff"
SOLICITED: Final = b"\x33\x33\xff\x00\x00\x02"
"""Where solicitations for the second guest go (RFC 4291, 2.7.1; RFC 2464, 7)."""

TCP_PORT: Final = 7007
LOST_SEGMENTS: Final = ("TcpRetransSegs", "TcpExtTCPSynRetrans", "TcpExtTCPTimeouts")

Family = Literal[4, 6]


@pytest.fixture(params=[4, 6], ids=["ipv4-underlay", "ipv6-underlay"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab(request.param) as made:
        yield made


def address(guest: Guest, version: Family) -> str:
    return guest.ipv4 if version == 4 else guest.ipv6


@pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])
def test_cold_pings_both_ways_lose_nothing(lab: Lab, version: Family) -> None:
    a, b = lab.hosts("a", "b")
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})

    there = web.ping(address(db, version), 10)
    back = db.ping(address(web, version), 10)

    assert (there.sent, there.lost, there.duplicates) == (10, 0, 0)
    assert (back.sent, back.lost, back.duplicates) == (10, 0, 0)
    assert [(item["mac"], item["ip"]) for item in a.varpd.targets("blue")] == [
        (str(db.mac), b.address)
    ]


def test_three_hosts_with_two_overlays_that_look_alike_are_kept_apart(lab: Lab) -> None:
    a, b, c = lab.hosts("a", "b", "c")
    blue_web, blue_db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    (green_web,) = lab.files_overlay("green", 8, {"web": c})
    assert green_web.identity == blue_web.identity

    for guest, replies in ((blue_web, 3), (green_web, 0)):
        assert len(guest.ping(blue_db.ipv4, 3, wait=1).times) == replies
    assert len(blue_db.ping(blue_web.ipv4, 3).times) == 3


@pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])
def test_a_cold_tcp_connection_sends_nothing_twice(lab: Lab, version: Family) -> None:
    a, b = lab.hosts("a", "b")
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    with db.namespace.entered():
        server = socket.create_server((address(db, version), TCP_PORT), family=family)
    with web.namespace.entered():
        client = socket.socket(family, socket.SOCK_STREAM)
    with server, client:
        server.settimeout(10)
        client.settimeout(10)
        client.connect((address(db, version), TCP_PORT))
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"question")
            assert accepted.recv(100) == b"question"
            accepted.sendall(b"answer")
            assert client.recv(100) == b"answer"

    again = {guest.name: [guest.counter(name) for name in LOST_SEGMENTS] for guest in (web, db)}
    assert again == {"web": [0, 0, 0], "db": [0, 0, 0]}


@pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])
def test_the_row_is_there_before_the_answer_to_arp_or_a_solicitation(
    lab: Lab, version: Family
) -> None:
    a, b = lab.hosts("a", "b")
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})

    with Capture(a.namespace, "lo") as lo:
        for _ in range(ROUNDS):
            a.overlayadm("modify", "blue", "-f")
            web.run("ip", "neigh", "flush", "dev", INTERFACE)
            wait_for("the row to go", lambda: str(db.mac) not in a.run("bridge", "fdb").stdout)
            assert web.ping(address(db, version)).lost == 0
        punted = [frame for frame in punts(lo) if frame.src == web.mac]

    # The question was asked of varpd; what was sent upon its answer met the row.
    assert [frame for frame in punted if frame.dst == db.mac] == []
    asked = {
        frame.ethertype for frame in punted if frame.dst == SOLICITED or frame.dst == BROADCAST
    }
    assert asked == {0x0806 if version == 4 else 0x86DD}


def punts(lo: Capture) -> list[Frame]:
    """Return the frames that the kernel has handed to varpd."""
    frames = (frame.wrapped(PUNT_PORT) for frame in lo.frames() if not frame.outgoing)
    return [frame for frame in frames if frame is not None]


@pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])
def test_a_peer_without_varpd_needs_only_a_vxlan_device(lab: Lab, version: Family) -> None:
    a = lab.host("a")
    plain = lab.host("plain", start=False)
    file = lab.mapping_file("blue.json")
    file.put(lab.identity("web"), a)
    file.put(lab.identity("db"), plain)
    a.create("blue", 7, "files", f"files/config={file.path}")
    web = a.attach("blue", "web")
    plain.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    plain.run(
        *("ip", "link", "add", "vx0", "type", "vxlan", "id", "7", "dstport", "4789"),
        *("local", plain.address, "remote", a.address),
    )
    plain.run("ip", "link", "set", "vx0", "master", "br0", "up")
    plain.run("ip", "link", "set", "br0", "up")
    db = plain.attach("br0", "db")

    assert web.ping(address(db, version), 5).lost == 0
    web.run("ip", "neigh", "flush", "dev", INTERFACE)
    a.overlayadm("modify", "blue", "-f")
    assert db.ping(address(web, version), 5).lost == 0
