"""Guests, hosts and the underlay are kept apart: every attack is made for real."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Final

import pytest

from support.forgery import NOBODY, PORT, arrivals, send, wrapped
from support.guard_view import dropped, mac_of
from support.guests import INTERFACE
from support.lab import Host, Lab
from support.scapy_oracle import ARP, IP, UDP, Ether, ICMPv6ND_RA, IPv6, Raw
from support.shared_lab import overlays_of_a_test
from support.waiting import wait_for
from support.wire_tap import Tap

pytestmark = pytest.mark.integration

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"

RESERVED: Final = [f"01:80:c2:00:00:{number:02x}" for number in range(16)]
"""Addresses whose frames a bridge does not forward by itself (IEEE 802.1Q, table 8-1)."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    """Two hosts with daemons, and one on the underlay without."""
    found = lab.hosts("a", "b")
    stranger = lab.host("stranger", start=False)
    stranger.run("ip", "address", "add", "198.51.100.9/32", "dev", "lo")
    found[0].run("ip", "address", "add", "198.51.100.1/32", "dev", "lo")
    found[0].run("ip", "route", "add", "198.51.100.9/32", "via", stranger.ipv4)
    return [*found, stranger]


@pytest.fixture(autouse=True)
def _own_overlays(hosts: list[Host]) -> Iterator[None]:
    with overlays_of_a_test(hosts[:2]):
        yield


def test_a_guest_gets_no_answer_from_the_host(lab: Lab, hosts: list[Host]) -> None:
    a, b, _ = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    bridge = mac_of(a, "blue")
    before = dropped(a, "host-blue")
    with Tap(web.namespace, INTERFACE) as tap:
        for address in (a.ipv4, "198.51.100.1"):
            tap.send(
                Ether(src=str(web.mac), dst=BROADCAST)
                / ARP(op=1, hwsrc=str(web.mac), psrc=web.ipv4, pdst=address)
            )
        for to in (bridge, BROADCAST):
            echo = Ether(src=str(web.mac), dst=to) / IP(src=web.ipv4, dst=a.ipv4, proto=1)
            tap.send(echo / Raw(bytes.fromhex("0800f7ff00000000")))
            tap.send(
                Ether(src=str(web.mac), dst=to)
                / IP(src=web.ipv4, dst=a.ipv4)
                / UDP(sport=7, dport=7)
            )
        # What is answered to another guest shows that answers would have come.
        assert web.ping(db).lost == 0
        assert tap.seen(lambda seen: str(seen.src) == bridge) == []
        assert not tap.seen(lambda seen: IP in seen and seen[IP].src == a.ipv4)
    assert dropped(a, "host-blue") >= before + 4


@pytest.mark.parametrize("access", ["off", "on"])
def test_a_guests_router_advertisement_changes_nothing_on_the_host(
    lab: Lab, hosts: list[Host], access: str
) -> None:
    a, b, _ = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b}, f"host_access={access}")
    before = dropped(a, "host-blue")
    routes = a.run("ip", "-6", "route").stdout
    with Tap(web.namespace, INTERFACE) as tap:
        tap.send(
            Ether(src=str(web.mac), dst="33:33:00:00:00:01")
            / IPv6(src=web.identity.link_local, dst="ff02::1", hlim=255)
            / ICMPv6ND_RA(routerlifetime=1800)
        )
        wait_for("it to be dropped", lambda: dropped(a, "host-blue") > before)
        assert web.ping(db).lost == 0
    assert a.run("ip", "-6", "route").stdout == routes


@pytest.mark.parametrize("access", ["off", "on"])
def test_no_wrapped_frame_of_a_guest_reaches_another_overlay(
    lab: Lab, hosts: list[Host], access: str
) -> None:
    a, b, _ = hosts
    (thief, _) = lab.files_overlay("blue", 7, {"thief": a, "db": b}, f"host_access={access}")
    (victim, _) = lab.files_overlay("green", 8, {"victim": a, "other": b})
    inner = UDP(sport=50000, dport=PORT) / Raw(wrapped(8, b"forged"))
    with Tap(thief.namespace, INTERFACE) as tap, arrivals(victim) as seen:
        for to in (BROADCAST, mac_of(a, "blue"), *RESERVED):
            for address in (a.ipv4, "255.255.255.255"):
                tap.send(
                    Ether(src=str(thief.mac), dst=to) / IP(src=thief.ipv4, dst=address) / inner
                )
        send(b.namespace, wrapped(8, b"honest"), a.ipv4)
        seen.wait(b"honest")
        assert not seen.has(b"forged")


def test_host_access_lets_guests_speak_with_the_host_and_nobody_else(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b, stranger = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    a.run("ip", "address", "add", "10.77.0.200/24", "dev", "blue")
    with contextlib.ExitStack() as stack:
        stack.callback(a.run, "sysctl", "-qw", "net.ipv4.ip_forward=0")
        a.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        stranger.run("ip", "route", "add", "10.77.0.0/24", "via", a.ipv4)
        stack.callback(stranger.run, "ip", "route", "delete", "10.77.0.0/24")
        web.run("ip", "route", "add", "192.0.2.0/24", "via", "10.77.0.200")
        assert web.ping("10.77.0.200", 2, wait=0.5).lost == 2

        a.overlayadm("modify", "blue", "-p", "host_access=on")

        assert web.ping("10.77.0.200", 2).lost == 0
        assert web.ping(stranger.ipv4, 2, wait=0.5).lost == 2
        assert dropped(a, "forward") > 0

        a.overlayadm("modify", "blue", "-p", "host_access=")

        assert web.ping("10.77.0.200", 2, wait=0.5).lost == 2
        assert web.ping(db).lost == 0


def test_wrapped_frames_to_another_address_of_the_host_reach_nobody(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b, stranger = hosts
    web, _ = lab.files_overlay("blue", 7, {"web": a, "db": b})
    stranger.run("ip", "route", "replace", "198.51.100.1/32", "via", a.ipv4)
    with arrivals(web) as seen:
        send(stranger.namespace, wrapped(7, b"elsewhere"), "198.51.100.1")
        send(stranger.namespace, wrapped(7, b"here"), a.ipv4)
        seen.wait(b"here")
        assert not seen.has(b"elsewhere")
    assert dropped(a, "wrapped-blue") == 1


def test_wrapped_frames_from_outside_of_allow_from_reach_nobody(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b, stranger = hosts
    web, db = lab.files_overlay(
        "blue", 7, {"web": a, "db": b}, f"allow_from={a.ipv4},{b.ipv4},203.0.113.0/24"
    )
    assert web.ping(db, 3).lost == 0
    with arrivals(web) as seen:
        send(stranger.namespace, wrapped(7, b"stranger"), a.ipv4)
        send(b.namespace, wrapped(7, b"friend"), a.ipv4)
        seen.wait(b"friend")
        assert not seen.has(b"stranger")

        a.overlayadm("modify", "blue", "-p", "allow_from=192.0.2.0/24")

        send(stranger.namespace, wrapped(7, b"neighbour"), a.ipv4)
        seen.wait(b"neighbour")


def test_where_only_targets_may_send_nobody_else_is_heard(lab: Lab, hosts: list[Host]) -> None:
    a, b, stranger = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    a.overlayadm("modify", "blue", "-p", "allow_from=targets")
    with arrivals(web) as seen:
        send(stranger.namespace, wrapped(7, b"stranger"), a.ipv4)
        send(b.namespace, wrapped(7, b"not yet known"), a.ipv4)
        # Cold: the answer to the first frame is let in.
        assert web.ping(db, 3).lost == 0
        send(stranger.namespace, wrapped(7, b"stranger"), a.ipv4)
        send(b.namespace, wrapped(7, b"friend"), a.ipv4)
        seen.wait(b"friend")
        assert not seen.has(b"stranger")
        assert not seen.has(b"not yet known")
    a.overlayadm("modify", "blue", "-p", "allow_from=any")
    with arrivals(web) as seen:
        send(stranger.namespace, wrapped(7, b"anybody"), a.ipv4)
        seen.wait(b"anybody")


def test_where_only_targets_may_send_a_new_daemon_lets_in_nobody_else(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b, stranger = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    a.overlayadm("modify", "blue", "-p", "allow_from=targets")
    assert web.ping(db).lost == 0
    a.varpd.kill()
    with arrivals(web) as seen:
        with keep_sending(stranger, wrapped(7, b"stranger"), a.ipv4) as sent:
            a.varpd.start()
            wait_for(
                "the overlay", lambda: [item["state"] for item in a.varpd.show()] == ["online"]
            )
            assert not seen.has(b"stranger")
            # Whom the rows name is let in all the while.
            send(b.namespace, wrapped(7, b"friend"), a.ipv4)
            seen.wait(b"friend")
            assert web.ping(db).lost == 0
        assert sent[0] > 1000
        assert not seen.has(b"stranger")


@contextlib.contextmanager
def keep_sending(host: Host, datagram: bytes, to: str) -> Iterator[list[int]]:
    """Send a datagram again and again meanwhile; yield how often that was."""
    ended, count = threading.Event(), [0]
    with host.namespace.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def run() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                sender.sendto(datagram, (to, PORT))
            count[0] += 1

    thread = threading.Thread(target=run)
    with sender:
        thread.start()
        try:
            yield count
        finally:
            ended.set()
            thread.join()


def test_wrapped_frames_by_another_interface_than_the_underlays_reach_nobody(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b, stranger = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b}, "vxlan/underlay=eth0")
    assert web.ping(db, 3).lost == 0
    with arrivals(web) as seen:
        a.overlayadm("modify", "blue", "-p", "vxlan/underlay=eth7,eth8")
        send(stranger.namespace, wrapped(7, b"by eth0"), a.ipv4)
        wait_for("it to be dropped", lambda: dropped(a, "wrapped-blue"))
        a.overlayadm("modify", "blue", "-p", "vxlan/underlay=eth7,eth0")
        send(stranger.namespace, wrapped(7, b"again"), a.ipv4)
        seen.wait(b"again")
        assert not seen.has(b"by eth0")


def test_local_users_send_nothing_into_overlays(lab: Lab, hosts: list[Host]) -> None:
    a, b, _ = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    with arrivals(web) as here, arrivals(db) as there:
        for to, port, source in (
            (a.ipv4, PORT, None),
            (b.ipv4, PORT, a.ipv4),
            ("127.86.0.1", 789, a.ipv4),
        ):
            send(a.namespace, wrapped(7, b"nobody"), to, port=port, source=source, user=NOBODY)
            send(a.namespace, wrapped(7, b"varpd"), a.ipv4)
            send(a.namespace, wrapped(7, b"varpd"), b.ipv4)
            here.wait(b"varpd")
            there.wait(b"varpd")
            assert not here.has(b"nobody")
            assert not there.has(b"nobody")
    assert dropped(a, "sent-here") == 3


def test_rules_that_somebody_flushes_are_still_there(lab: Lab, hosts: list[Host]) -> None:
    a, b, _ = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    before = rules(a)
    a.run("nft", "flush", "ruleset")
    assert rules(a) == before
    refused = a.run("nft", "delete", "table", "inet", "varpd", check=False)
    assert refused.returncode != 0
    assert web.ping(db).lost == 0


def rules(host: Host) -> list[str]:
    """Return the lines of all rules, in no order."""
    lines = host.run("nft", "--stateless", "list", "ruleset").stdout.splitlines()
    return sorted(line.strip(" \t,{}").partition("#")[0] for line in lines)


def test_the_rules_go_with_the_last_overlay(lab: Lab, hosts: list[Host]) -> None:
    a, b, _ = hosts
    lab.files_overlay("blue", 7, {"web": a, "db": b})
    lab.files_overlay("green", 8, {"victim": a, "other": b})
    a.overlayadm("delete", "blue")
    assert not any("blue" in line for line in rules(a))
    assert any("green" in line for line in rules(a))
    a.overlayadm("delete", "green")
    assert rules(a) == []


def test_rules_outlive_the_daemon_and_are_taken_over_by_the_next(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b, stranger = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b}, f"allow_from={a.ipv4},{b.ipv4}")
    before = rules(a)
    a.varpd.kill()
    try:
        assert any("wrapped-blue" in line for line in rules(a))
        with arrivals(web) as seen:
            send(stranger.namespace, wrapped(7, b"stranger"), a.ipv4)
            send(b.namespace, wrapped(7, b"friend"), a.ipv4)
            seen.wait(b"friend")
            assert not seen.has(b"stranger")
    finally:
        a.varpd.start()
    a.create(
        "blue",
        7,
        "files",
        f"files/config={lab.mapping_file('blue.json').path}",
        f"allow_from={a.ipv4},{b.ipv4}",
        check=False,
    )
    wait_for("the rules to be as before", lambda: rules(a) == before)
    assert web.ping(db).lost == 0
