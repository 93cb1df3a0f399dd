"""Overlays of two hosts, by plugin `direct`: everything goes to the other, and nowhere else."""

import socket
import struct
from collections.abc import Iterator
from typing import Final, Literal

import pytest

from support.guests import INTERFACE, Guest
from support.lab import Lab
from support.wire_tap import Tap

pytestmark = pytest.mark.integration

UDP_PORT: Final = 7007
GROUP_V4: Final = "239.1.2.3"
GROUP_V6: Final = "ff02::4:5:6"


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4-underlay", "ipv6-underlay"])
def guests(request: pytest.FixtureRequest) -> Iterator[tuple[Guest, Guest, Guest]]:
    """`web` and `other` on one host, `db` on the other."""
    family: Literal[4, 6] = request.param
    with Lab(family) as lab:
        a, b = lab.hosts("a", "b")
        for host, peer in ((a, b), (b, a)):
            host.create(
                *("link0", 24, "direct"),
                *(f"direct/dest_ip={peer.address}", "direct/dest_port=4789"),
            )
        yield a.attach("link0", "web"), a.attach("link0", "other"), b.attach("link0", "db")


def test_pings_lose_nothing(guests: tuple[Guest, Guest, Guest]) -> None:
    web, other, db = guests
    for whom in (db.ipv4, db.ipv6, other.ipv4, other.ipv6):
        assert web.ping(whom, 5).lost == 0
    for whom in (web.ipv4, web.ipv6, other.ipv4, other.ipv6):
        assert db.ping(whom, 5).lost == 0


def test_broadcast_arrives_everywhere(guests: tuple[Guest, Guest, Guest]) -> None:
    web, other, db = guests
    with (
        receiver(db, socket.AF_INET) as at_db,
        receiver(other, socket.AF_INET) as at_other,
        sender(web, socket.AF_INET) as out,
    ):
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        out.sendto(b"to all", ("10.77.0.255", UDP_PORT))
        assert at_db.recv(100) == b"to all"
        assert at_other.recv(100) == b"to all"


def test_multicast_arrives_everywhere(guests: tuple[Guest, Guest, Guest]) -> None:
    web, other, db = guests
    for family in (socket.AF_INET, socket.AF_INET6):
        with (
            receiver(db, family) as at_db,
            receiver(other, family) as at_other,
            sender(web, family) as out,
        ):
            join(at_db, db)
            join(at_other, other)
            send_to_group(out, web)
            assert at_db.recv(100) == b"to the group"
            assert at_other.recv(100) == b"to the group"


def test_a_third_guest_sees_no_unicast_frame_between_two_others(
    guests: tuple[Guest, Guest, Guest],
) -> None:
    web, other, db = guests
    with Tap(other.namespace, INTERFACE) as tap:
        for whom in (db.ipv4, db.ipv6):
            assert web.ping(whom, 10).lost == 0
        for whom in (web.ipv4, web.ipv6):
            assert db.ping(whom, 10).lost == 0

        # It would be seen: what web sends to everybody is.
        tap.wait("a broadcast of web", lambda frame: str(frame.src) == str(web.mac))
        assert tap.seen(lambda frame: frame.dst in (str(web.mac), str(db.mac))) == []


def receiver(guest: Guest, family: socket.AddressFamily) -> socket.socket:
    """Return a socket in a guest that receives what is sent to the port."""
    made = sender(guest, family)
    made.settimeout(10)
    made.bind(("", UDP_PORT))
    return made


def sender(guest: Guest, family: socket.AddressFamily) -> socket.socket:
    """Return a socket in a guest."""
    with guest.namespace.entered():
        return socket.socket(family, socket.SOCK_DGRAM)


def index_in(guest: Guest) -> int:
    """Return the number of the guest's interface."""
    with guest.namespace.entered():
        return socket.if_nametoindex(INTERFACE)


def join(receiving: socket.socket, guest: Guest) -> None:
    """Have a socket receive what is sent to the group."""
    index = index_in(guest)
    if receiving.family == socket.AF_INET:
        group = struct.pack("=4s4si", socket.inet_aton(GROUP_V4), bytes(4), index)
        receiving.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    else:
        group = struct.pack("=16si", socket.inet_pton(socket.AF_INET6, GROUP_V6), index)
        receiving.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)


def send_to_group(sending: socket.socket, guest: Guest) -> None:
    """Send to the group by the guest's interface."""
    index = index_in(guest)
    if sending.family == socket.AF_INET:
        interface = struct.pack("=4s4si", bytes(4), bytes(4), index)
        sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        sending.sendto(b"to the group", (GROUP_V4, UDP_PORT))
    else:
        sending.sendto(b"to the group", (GROUP_V6, UDP_PORT, 0, index))
