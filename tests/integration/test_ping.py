"""Guests reach each other, from the first packet on."""

import socket
from collections.abc import Iterator
from typing import Final, Literal

import pytest

from support.guests import INTERFACE, Guest
from support.lab import Host, Lab
from support.shared_lab import overlays_of_a_test

pytestmark = pytest.mark.integration

TCP_PORT: Final = 7007
LOST_SEGMENTS: Final = ("TcpRetransSegs", "TcpExtTCPSynRetrans", "TcpExtTCPTimeouts")

Family = Literal[4, 6]


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4-underlay", "ipv6-underlay"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def all_hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b", "c")


@pytest.fixture
def hosts(all_hosts: list[Host]) -> Iterator[list[Host]]:
    with overlays_of_a_test(all_hosts):
        yield all_hosts


def address(guest: Guest, version: Family) -> str:
    return guest.ipv4 if version == 4 else guest.ipv6


@pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])
def test_cold_pings_both_ways_lose_nothing(lab: Lab, hosts: list[Host], version: Family) -> None:
    a, b, _ = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})

    there = web.ping(address(db, version), 10)
    back = db.ping(address(web, version), 10)

    assert (there.sent, there.lost, there.duplicates) == (10, 0, 0)
    assert (back.sent, back.lost, back.duplicates) == (10, 0, 0)
    assert [(item["mac"], item["ip"]) for item in a.varpd.targets("blue")] == [
        (str(db.mac), b.address)
    ]


def test_three_hosts_with_two_overlays_that_look_alike_are_kept_apart(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b, c = hosts
    blue_web, blue_db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    (green_web,) = lab.files_overlay("green", 8, {"web": c})
    assert green_web.identity == blue_web.identity

    for guest, replies in ((blue_web, 3), (green_web, 0)):
        assert len(guest.ping(blue_db.ipv4, 3, wait=1).times) == replies
    assert len(blue_db.ping(blue_web.ipv4, 3).times) == 3


@pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])
def test_a_cold_tcp_connection_sends_nothing_twice(
    lab: Lab, hosts: list[Host], version: Family
) -> None:
    a, b, _ = hosts
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
def test_a_peer_without_varpd_needs_only_a_vxlan_device(
    lab: Lab, hosts: list[Host], version: Family
) -> None:
    a, *_ = hosts
    plain = lab.host(f"plain{version}", start=False)
    file = lab.mapping_file("half.json")
    file.put(lab.identity("web"), a)
    file.put(lab.identity("db"), plain)
    a.create("half", 9, "files", f"files/config={file.path}")
    web = a.attach("half", "web")
    plain.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    plain.run(
        *("ip", "link", "add", "vx0", "type", "vxlan", "id", "9", "dstport", "4789"),
        *("local", plain.address, "remote", a.address),
    )
    plain.run("ip", "link", "set", "vx0", "master", "br0", "up")
    plain.run("ip", "link", "set", "br0", "up")
    db = plain.attach("br0", "db")

    assert web.ping(address(db, version), 5).lost == 0
    web.run("ip", "neigh", "flush", "dev", INTERFACE)
    a.overlayadm("modify", "half", "-f")
    assert db.ping(address(web, version), 5).lost == 0
