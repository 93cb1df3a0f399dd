"""Attacks on the guard over both IP versions, by guests and over the underlay."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest

from support.forgery import NOBODY, PORT, arrivals, send, wrapped
from support.guard_view import dropped, mac_of
from support.guests import INTERFACE
from support.lab import UNDERLAY, Host, Lab
from support.namespaces import Namespace, connect
from support.scapy_oracle import (
    ICMP,
    IP,
    TCP,
    UDP,
    Ether,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrFragment,
    Raw,
)
from support.shared_lab import overlays_of_a_test
from support.waiting import wait_for
from support.wire_tap import Tap
from varpd.control.client import Client

pytestmark = pytest.mark.integration

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
ALL_NODES: Final = "33:33:00:00:00:01"
MLD_ROUTERS: Final = "33:33:00:00:00:16"
SERVICE: Final = 7777
"""A port of the host where somebody answers."""

ECHO: Final = f"""
import select, socket, sys
tcp = socket.create_server(("::", {SERVICE}), family=socket.AF_INET6, dualstack_ipv6=True)
poll, sockets = select.poll(), {{}}
for address in sys.argv[1:]:
    udp = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, {SERVICE}))
    sockets[udp.fileno()] = udp
    poll.register(udp, select.POLLIN)
print("ready", flush=True)
while True:
    for number, _ in poll.poll():
        data, peer = sockets[number].recvfrom(2048)
        sockets[number].sendto(data, peer)
"""

ELSEWHERE: Final = {4: "198.51.100.1", 6: "2001:db8:1::1"}
"""Other addresses of host a."""

BRIDGE: Final = {4: "10.77.0.200", 6: "fd00:77::200"}
"""Addresses of host a in the guests' networks."""

LINK_LOCAL: Final = "fe80::77:200"
"""Another of host a, on the bridge's link alone."""

COUNT: Final = 3000
"""Flows that would be tracked."""


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4", "ipv6"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    family: Literal[4, 6] = request.param
    with Lab(family) as lab:
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    """Two hosts with daemons, and one on the underlay without."""
    found = lab.hosts("a", "b")
    for length, address in (("32", ELSEWHERE[4]), ("128", ELSEWHERE[6])):
        found[0].run("ip", "address", "add", f"{address}/{length}", "dev", "lo")
    return [*found, lab.host("stranger", start=False)]


@pytest.fixture(autouse=True)
def _own_overlays(hosts: list[Host]) -> Iterator[None]:
    with overlays_of_a_test(hosts[:2]):
        yield


def test_a_guest_is_answered_by_no_service_of_the_host_unless_it_may_be(
    lab: Lab, hosts: list[Host]
) -> None:
    """The same packets are all answered where guests have access: so they are good ones."""
    a, b, _ = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    for length, address in (("24", BRIDGE[4]), ("64", BRIDGE[6]), ("64", LINK_LOCAL)):
        a.run("ip", "address", "add", f"{address}/{length}", "dev", "blue", "nodad")
    bridge, mac = mac_of(a, "blue"), str(web.mac)
    four, six = (BRIDGE[4], a.ipv4, ELSEWHERE[4]), (BRIDGE[6], a.ipv6, ELSEWHERE[6])
    packets: list[IP | IPv6]
    packets = [IP(src=web.ipv4, dst=to) / each for to in four for each in (ICMP(), *services())]
    packets += [
        IPv6(src=web.ipv6, dst=to) / each
        for to in six
        for each in (ICMPv6EchoRequest(), *services())
    ]
    # The host is asked for its link-local addresses, too: the bridge's, and the underlay's.
    packets += [
        IPv6(src=web.identity.link_local, dst=to) / ICMPv6EchoRequest()
        for to in (LINK_LOCAL, link_local_of(a, UNDERLAY))
    ]
    solicitations = [
        Ether(src=mac, dst=ALL_NODES)
        / IPv6(src=web.ipv6, dst="ff02::1", hlim=255)
        / ICMPv6ND_NS(tgt=to)
        / ICMPv6NDOptSrcLLAddr(lladdr=mac)
        for to in (BRIDGE[6], LINK_LOCAL, link_local_of(a, UNDERLAY))
    ]

    def attack(tap: Tap) -> None:
        for packet in packets:
            tap.send(Ether(src=mac, dst=bridge) / packet)
        for address in four:
            tap.send(Ether(src=mac, dst=BROADCAST) / IP(src=web.ipv4, dst=address) / services()[1])
        for solicitation in solicitations:
            tap.send(solicitation)

    command = ("/usr/bin/python3", "-c", ECHO, *four, *six)
    with a.namespace.popen(*command, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
        with Tap(web.namespace, INTERFACE) as tap:
            attack(tap)
            # What is answered to another guest shows that answers would have come.
            assert web.ping(db).lost == 0
            assert web.ping(db.ipv6).lost == 0
            # That it listens to groups the host says by itself (RFC 3810, section 5.2.14).
            assert not tap.seen(lambda seen: str(seen.src) == bridge and seen.dst != MLD_ROUTERS)

            a.overlayadm("modify", "blue", "-p", "host_access=on")

            attack(tap)
            wanted = {(to, kind) for to in (*four, *six) for kind in ("ping", "tcp", "udp")}
            wanted.add((LINK_LOCAL, "ping"))
            with contextlib.suppress(AssertionError):
                wait_for("answers to all", lambda: answered(tap, bridge) == wanted)
            assert answered(tap, bridge) == wanted


def link_local_of(host: Host, interface: str) -> str:
    """Return the link-local address of an interface of a host."""
    shown = host.run("ip", "-6", "-o", "address", "show", "dev", interface, "scope", "link").stdout
    return shown.split()[3].partition("/")[0]


def services() -> tuple[TCP, UDP]:
    return (
        TCP(sport=40000, dport=SERVICE, flags="S"),
        UDP(sport=40000, dport=SERVICE) / Raw(b"anybody there?"),
    )


def answered(tap: Tap, bridge: str) -> set[tuple[str, str]]:
    """Return from which addresses of the host which kinds of answers came."""
    found = set()
    for frame in tap.seen(lambda seen: str(seen.src) == bridge):
        for layer in (IP, IPv6):
            if layer in frame:
                packet = frame[layer]
                kind = "tcp" if TCP in packet else "udp" if UDP in packet else "ping"
                # Neighbour discovery is not an answer to one of the packets.
                if kind != "ping" or ICMP in packet or packet.payload.name.endswith("Echo Reply"):
                    found.add((str(packet.src), kind))
    return found


@pytest.mark.parametrize("access", ["off", "on"])
def test_no_wrapped_frame_of_a_guest_reaches_another_overlay(
    lab: Lab, hosts: list[Host], access: str
) -> None:
    a, b, _ = hosts
    (thief, _) = lab.files_overlay("blue", 7, {"thief": a, "db": b}, f"host_access={access}")
    (victim, _) = lab.files_overlay("green", 8, {"victim": a, "other": b})
    inner = UDP(sport=50000, dport=PORT) / Raw(wrapped(8, b"forged"))
    outer: list[IP | IPv6]
    outer = [IP(src=thief.ipv4, dst=a.ipv4), IP(src=b.ipv4, dst=a.ipv4)]
    outer += [IPv6(src=thief.ipv6, dst=to) for to in (a.ipv6, "ff02::1")]
    outer += [IPv6(src=b.ipv6, dst=a.ipv6)]
    reserved = [f"01:80:c2:00:00:{number:02x}" for number in range(16)]
    with Tap(thief.namespace, INTERFACE) as tap, arrivals(victim) as seen:
        for to in (BROADCAST, ALL_NODES, mac_of(a, "blue"), *reserved):
            for packet in outer:
                tap.send(Ether(src=str(thief.mac), dst=to) / packet / inner)
        send(b.namespace, wrapped(8, b"honest"), a.address)
        seen.wait(b"honest")
        assert not seen.has(b"forged")


@pytest.mark.parametrize("kind", ["address", "source", "user"])
def test_wrapped_frames_that_may_not_come_in_reach_nobody(
    lab: Lab, hosts: list[Host], kind: str
) -> None:
    a, b, stranger = hosts
    web, _ = lab.files_overlay(
        "blue", 7, {"web": a, "db": b}, f"allow_from={a.address},{b.address}"
    )
    before = dropped(a, "wrapped-blue") + dropped(a, "sent-here")
    with arrivals(web) as seen, contextlib.ExitStack() as stack:
        if kind == "address":
            other = ELSEWHERE[lab.family]
            b.run("ip", "route", "add", other, "via", a.address)
            stack.callback(b.run, "ip", "route", "delete", other)
            send(b.namespace, wrapped(7, b"forged"), other)
        elif kind == "source":
            send(stranger.namespace, wrapped(7, b"forged"), a.address)
        else:
            send(a.namespace, wrapped(7, b"forged"), a.address, source=a.address, user=NOBODY)
        # As varpd does it itself.
        send(a.namespace, wrapped(7, b"own"), a.address, source=a.address)
        send(b.namespace, wrapped(7, b"friend"), a.address)
        seen.wait(b"own")
        seen.wait(b"friend")
        assert not seen.has(b"forged")
    assert dropped(a, "wrapped-blue") + dropped(a, "sent-here") == before + 1


def test_wrapped_frames_by_a_second_interface_reach_nobody(lab: Lab, hosts: list[Host]) -> None:
    a, b, _ = hosts
    web, _ = lab.files_overlay("blue", 7, {"web": a, "db": b})
    near, far = ("203.0.113.1", "203.0.113.2") if lab.family == 4 else ("fd05::1", "fd05::2")
    length = "24" if lab.family == 4 else "64"
    with Namespace("second") as second, contextlib.ExitStack() as stack:
        connect(a.namespace, "eth1", second, "eth0")
        stack.callback(a.run, "ip", "link", "delete", "eth1")
        a.run("ip", "address", "add", f"{near}/{length}", "dev", "eth1", *_at_once(lab))
        second.run("ip", "address", "add", f"{far}/{length}", "dev", "eth0", *_at_once(lab))
        second.run("ip", "route", "add", a.address, "via", near)
        with arrivals(web) as seen:
            send(second, wrapped(7, b"while it may"), a.address)
            seen.wait(b"while it may")

            a.overlayadm("modify", "blue", "-p", f"vxlan/underlay={UNDERLAY}")

            send(second, wrapped(7, b"by eth1"), a.address)
            wait_for("it to be dropped", lambda: dropped(a, "wrapped-blue"))
            send(b.namespace, wrapped(7, b"by eth0"), a.address)
            seen.wait(b"by eth0")
            assert not seen.has(b"by eth1")


def _at_once(lab: Lab) -> tuple[str, ...]:
    return ("nodad",) if lab.family == 6 else ()


@pytest.mark.parametrize("first", [8, 16, 24])
def test_fragments_get_past_no_rule(lab: Lab, hosts: list[Host], first: int) -> None:
    """`first` is how much of the datagram is in the first fragment; the vnetid ends at 16."""
    a, b, stranger = hosts
    web, _ = lab.files_overlay(
        "blue", 7, {"web": a, "db": b}, f"allow_from={a.address},{b.address}"
    )
    mac = mac_of(a, UNDERLAY)
    with (
        arrivals(web) as seen,
        Tap(stranger.namespace, UNDERLAY) as enemy,
        Tap(b.namespace, UNDERLAY) as friend,
    ):
        for order in (list, reversed):
            for frame in order(fragments(stranger, a.address, b"stranger", first)):
                enemy.send(Ether(dst=mac) / frame)
            for frame in order(fragments(b, ELSEWHERE[lab.family], b"elsewhere", first)):
                friend.send(Ether(dst=mac) / frame)
        for frame in fragments(b, a.address, b"in parts", 24):
            friend.send(Ether(dst=mac) / frame)
        seen.wait(b"in parts")
        assert not seen.has(b"stranger")
        assert not seen.has(b"elsewhere")


def fragments(sender: Host, to: str, marker: bytes, first: int) -> list[IP | IPv6]:
    """Return a wrapped frame in two fragments, with `first` bytes in the first."""
    made = UDP(sport=50000, dport=PORT) / Raw(wrapped(7, marker))
    number = len(marker) * 100 + first
    if ":" not in to:
        whole = bytes(IP(src=sender.ipv4, dst=to) / made)[20:]
        return [
            IP(src=sender.ipv4, dst=to, id=number, proto=17, flags="MF") / Raw(whole[:first]),
            IP(src=sender.ipv4, dst=to, id=number, proto=17, frag=first // 8) / Raw(whole[first:]),
        ]
    whole = bytes(IPv6(src=sender.ipv6, dst=to) / made)[40:]
    return [
        IPv6(src=sender.ipv6, dst=to)
        / IPv6ExtHdrFragment(nh=17, id=number, offset=at // 8, m=more)
        / Raw(part)
        for at, more, part in ((0, 1, whole[:first]), (first, 0, whole[first:]))
    ]


def test_what_others_send_to_the_punt_socket_is_dropped_and_counted(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b, _ = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    loopback = "127.0.0.1" if lab.family == 4 else "::1"
    punt = punt_address(a)
    with arrivals(db) as seen, Client(str(a.varpd.socket)) as client:
        before = lost(client)
        send(a.namespace, wrapped(8, b"forged"), punt, port=789, source=a.address)
        send(a.namespace, wrapped(7, b"forged"), punt, port=789, source=loopback)
        send(a.namespace, b"\0" + wrapped(7, b"forged"), punt, port=789, source=a.address)
        send(a.namespace, b"", punt, port=789, source=a.address)
        # The next frame that comes brings the count along.
        assert web.ping(db).lost == 0
        assert lost(client) == before + 4
        assert not seen.has(b"forged")


def punt_address(host: Host) -> str:
    line = host.run("bridge", "fdb", "show", "dev", "vx-blue").stdout
    default = next(each for each in line.splitlines() if each.startswith("00:00:00:00:00:00"))
    return default.split(" dst ")[1].split()[0]


def lost(client: Client) -> int:
    """Return how many datagrams the kernel dropped before varpd could read them."""
    return next(each.kernel["lost"] for each in client.stats() if each.overlay == "blue")


def test_punts_are_not_tracked(lab: Lab, hosts: list[Host]) -> None:
    a, b, _ = hosts
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    stateful = "{ type filter hook input priority 0; ct state invalid drop; }"
    a.run("nft", "add", "table", "inet", "stateful")
    a.run("nft", "add", "chain", "inet", "stateful", "input", stateful)
    try:
        assert web.ping(db).lost == 0
        before = tracked(a)
        with Tap(web.namespace, INTERFACE) as tap:
            for number in range(COUNT):
                to = f"02:00:5e:11:{number >> 8:02x}:{number & 255:02x}"
                tap.send(
                    Ether(src=str(web.mac), dst=to)
                    / IP(src=web.ipv4, dst=BRIDGE[4])
                    / UDP(sport=1024 + number, dport=7)
                )
        assert web.ping(db).lost == 0
        assert tracked(a) <= before + 10
    finally:
        a.run("nft", "delete", "table", "inet", "stateful")


def tracked(host: Host) -> int:
    with host.namespace.entered():
        file = Path("/proc/sys/net/netfilter/nf_conntrack_count")
        return int(file.read_text(encoding="ascii"))


def test_no_local_user_can_take_a_punt_address_meanwhile(lab: Lab, hosts: list[Host]) -> None:
    a, b, _ = hosts
    lab.files_overlay("blue", 7, {"web": a, "db": b})
    punt, family = punt_address(a), "socket.AF_INET" if lab.family == 4 else "socket.AF_INET6"
    a.varpd.kill()
    try:
        script = f"import socket; socket.socket({family}, socket.SOCK_DGRAM).bind(('{punt}', 789))"
        refused = a.run(
            *("setpriv", "--reuid", str(NOBODY), "--clear-groups"),
            *("/usr/bin/python3", "-c", script),
            check=False,
        )
        assert "PermissionError" in refused.stderr
    finally:
        a.varpd.start()
