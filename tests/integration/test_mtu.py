"""Guests with the usual MTU, over an underlay that has no more: TCP works, and pings are told.

The guests' offloads are off, as in a virtual machine with a simple network card: each packet is on
the wire as it was sent, and none is cut by the kernel in passing.
"""

import random
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Literal

import pytest

from support.guests import INTERFACE, Guest
from support.lab import Host, Lab
from support.observers import punted, punts
from support.scapy_oracle import Ether
from support.waiting import PATIENCE
from varpd.datapath.encapsulation import VXLAN

pytestmark = pytest.mark.integration

MTU: Final = 1500
HEADERS: Final = {4: 28, 6: 48}
"""Of an echo request: IP and ICMP."""

TRANSFER: Final = 8 << 20
"""Bytes, some thousand packets."""

TOLD: Final = re.compile(r"mtu ?= ?(\d+)")
NAMES: Final = ("tcp4", "tcp6", "warm4", "warm6", "cold4", "cold6", "turned4", "turned6")


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4 underlay", "ipv6 underlay"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab(request.param) as lab:
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b")


def plain_guests(lab: Lab, hosts: list[Host], name: str) -> list[Guest]:
    """Return a guest on each host, in an overlay of their own, both without offloads."""
    a, b = hosts
    guests = lab.files_overlay(name, 7 + NAMES.index(name), {f"{name}-left": a, f"{name}-right": b})
    for guest, host in zip(guests, hosts, strict=True):
        for namespace, device in ((guest.namespace, INTERFACE), (host.namespace, guest.port)):
            namespace.run(
                *("ethtool", "-K", device, "tx", "off", "rx", "off", "sg", "off"),
                *("tso", "off", "gso", "off", "gro", "off"),
            )
    return guests


def room(lab: Lab) -> int:
    """Return the size of the largest packet that the underlay carries whole."""
    return MTU - VXLAN.overhead(lab.family)


def told_by_ping(guest: Guest, address: str, size: int) -> int | None:
    """Ping with a packet of `size` bytes that must not be cut; return the MTU that ping is told.

    None: it was told nothing, and an answer came.
    """
    headers = HEADERS[6 if ":" in address else 4]
    done = guest.run(
        *("ping", "-n", "-c", "1", "-W", "15", "-M", "do", "-s", str(size - headers), address),
        check=False,
    )
    told = TOLD.search(done.stdout + done.stderr)
    assert told or done.returncode == 0, done.stdout + done.stderr
    return int(told[1]) if told else None


def address_of(guest: Guest, version: Literal[4, 6]) -> str:
    return guest.ipv4 if version == 4 else guest.ipv6


def know(guest: Guest, other: Guest) -> None:
    """Tell a guest another's MAC, so that it need not ask."""
    for address in (other.ipv4, other.ipv6):
        guest.run(
            *("ip", "neighbour", "replace", address, "lladdr", str(other.mac)),
            *("dev", INTERFACE, "nud", "permanent"),
        )


def transfer(source: Guest, sink: Guest, address: str, data: bytes) -> bytes:
    """Send data by TCP from one guest to another at `address`; return what arrives."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with sink.namespace.entered():
        listener = socket.create_server((address, 0), family=family)
    with listener:
        with source.namespace.entered():
            sender = socket.create_connection(listener.getsockname()[:2], PATIENCE)
        with sender, ThreadPoolExecutor(1) as beside:
            receiver, _ = listener.accept()
            with receiver:
                receiver.settimeout(PATIENCE)
                sent = beside.submit(_send, sender, data)
                arrived = b"".join(iter(lambda: receiver.recv(1 << 20), b""))
                sent.result()
    return arrived


def _send(sender: socket.socket, data: bytes) -> None:
    sender.sendall(data)
    sender.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("version", [4, 6])
def test_tcp_carries_megabytes(lab: Lab, hosts: list[Host], version: Literal[4, 6]) -> None:
    left, right = plain_guests(lab, hosts, f"tcp{version}")
    address = address_of(right, version)
    data = random.Random(version).randbytes(TRANSFER)

    assert transfer(left, right, address, data) == data

    # Packets had the usual size, until the sender was told.
    assert route_mtu(left, address) == room(lab)


def route_mtu(guest: Guest, address: str) -> int:
    """Return what the guest's kernel knows of the way to an address."""
    shown = guest.run("ip", "route", "get", address).stdout
    found = re.search(r"\bmtu (\d+)", shown)
    return MTU if found is None else int(found[1])


@pytest.mark.parametrize("version", [4, 6])
def test_a_warm_ping_that_is_too_big_is_told_the_mtu(
    lab: Lab, hosts: list[Host], version: Literal[4, 6]
) -> None:
    left, right = plain_guests(lab, hosts, f"warm{version}")
    address = address_of(right, version)
    assert left.ping(address).lost == 0

    assert told_by_ping(left, address, MTU) == room(lab)

    assert route_mtu(left, address) == room(lab)
    assert told_by_ping(left, address, room(lab)) is None
    # Operators can know it beforehand.
    (shown,) = hosts[0].varpd.show(f"warm{version}")
    assert shown["properties"]["guest_mtu"] == room(lab)


def is_punt_to(guest: Guest, frame: Ether) -> bool:
    inner = punted(frame)
    return inner is not None and str(inner.dst) == str(guest.mac)


@pytest.mark.parametrize("version", [4, 6])
def test_a_cold_ping_that_is_too_big_is_told_the_mtu(
    lab: Lab, hosts: list[Host], version: Literal[4, 6]
) -> None:
    left, right = plain_guests(lab, hosts, f"cold{version}")
    address = address_of(right, version)
    know(left, right)
    know(right, left)

    with punts(hosts[0]) as seen:
        assert told_by_ping(left, address, MTU) == room(lab)
        first = seen.wait("the ping to be punted", partial(is_punt_to, right))
    inner = punted(first)
    assert inner is not None
    assert len(inner) == 14 + MTU
    assert route_mtu(left, address) == room(lab)
    assert told_by_ping(left, address, room(lab)) is None


@pytest.mark.parametrize("version", [4, 6])
def test_a_cold_answer_that_is_too_big_is_told_the_mtu(
    lab: Lab, hosts: list[Host], version: Literal[4, 6]
) -> None:
    # The right one's first frame to the left one is as big as what it answers.
    left, right = plain_guests(lab, hosts, f"turned{version}")
    know(left, right)
    know(right, left)
    address = address_of(right, version)

    assert told_by_ping(left, address, room(lab)) is None
