"""Somebody else keeps the kernel's lock for network configuration (RTNL) for long."""

import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from ipaddress import ip_interface
from pathlib import Path
from typing import Final

import pytest

from support.guests import INTERFACE, Guest, Identity
from support.lab import Host, Lab
from support.lock_holding import Locker, Spans, batch, deletion, repeating
from support.namespaces import Namespace
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.net.addresses import MacAddress
from varpd.net.checksum import internet_checksum

pytestmark = pytest.mark.integration

PATIENCE: Final = 10.0
PAIRS: Final = 2_000
"""Pairs of devices; for so many the kernel keeps its lock for about half a second."""

STATIONS: Final = 600

ECHO: Final = struct.Struct("!BBHHH")
"""Echo or echo reply (RFC 792): type, code, checksum, identifier, sequence number."""

ECHO_REQUEST: Final = 8
ECHO_REPLY: Final = 0


class ColdPings:
    """Pings, one after the other, each to an address that was not pinged before."""

    def __init__(self, guest: Guest, addresses: Sequence[str]) -> None:
        """Take who pings, and whom."""
        with guest.namespace.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.settimeout(PATIENCE)
        self._left = enumerate(addresses)
        self.answers = Spans()
        """When each was sent and answered."""
        self.lost: list[str] = []
        """Whose answer did not come."""

    def ping(self) -> None:
        """Ping the next address, if there is one left, and wait for the answer."""
        number, address = next(self._left, (0, ""))
        began = time.monotonic()
        if not address:
            return
        if self._ask(address, number):
            self.answers.done.append((began, time.monotonic()))
        else:
            self.lost.append(address)

    def _ask(self, address: str, number: int) -> bool:
        request = ECHO.pack(ECHO_REQUEST, 0, 0, os.getpid() & 0xFFFF, number)
        checksum = internet_checksum(request)
        request = ECHO.pack(ECHO_REQUEST, 0, checksum, os.getpid() & 0xFFFF, number)
        self._socket.sendto(request, (address, 0))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                packet, sender = self._socket.recvfrom(1500)
            except TimeoutError:
                return False
            kind, _, _, _, sequence = ECHO.unpack_from(packet, (packet[0] & 0x0F) * 4)
            if (kind, sequence, sender[0]) == (ECHO_REPLY, number, address):
                return True
        return False

    def close(self) -> None:
        self._socket.close()


def stations(count: int) -> Iterator[Identity]:
    """Yield stations, all of which one guest will be."""
    for number in range(count):
        mac = MacAddress(b"\x02\x00\x5e\x11" + number.to_bytes(2, "big"))
        ipv4 = ip_interface(f"10.77.{1 + number // 200}.{1 + number % 200}/16")
        yield Identity(f"station{number}", mac, (ipv4, ip_interface(f"fd00:78::{number:x}/64")))


def crowd(lab: Lab, here: Host, there: Host) -> tuple[Guest, list[Identity]]:
    """Make a guest on one host, and one on another that has many MACs, each with an address."""
    found = list(stations(STATIONS))
    file = lab.mapping_file("blue.json")
    file.mappings = {str(station.mac): station.mapping(there.address) for station in found}
    file.put(lab.identity("web"), here)
    file.put(lab.identity("db"), there)
    for host in (here, there):
        host.create("blue", 7, "files", f"files/config={file.path}")
    web = here.attach("blue", "web", ips=["10.77.0.1/16", "fd00:77::1/64"])
    db = there.attach("blue", "db", ips=["10.77.0.2/16", "fd00:77::2/64"])
    with db.namespace.entered():
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    lines = []
    for number, station in enumerate(found):
        device = f"mac{number}"
        lines.append(f"link add {device} link {INTERFACE} address {station.mac} type macvlan")
        lines.append(f"link set {device} up")
        lines.append(f"address add {station.ipv4}/32 dev lo")
    batch(db.namespace, lines)
    assert web.ping(db).lost == 0
    return web, found


TRIES: Final = 5
"""How often devices are deleted until it has been seen what goes on meanwhile: the kernel keeps a
processor busy with that, and may let none of the test's threads run on it for as long."""


def seen_beside_deletion(
    stack: ExitStack, host: Host, web: Guest, known: Sequence[str], strange: Sequence[str]
) -> bool:
    """Ping addresses, of `strange` ones the MAC is not known, while a namespace is deleted.

    Returns:
        Whether pings and requests were answered while the kernel's lock was held. None is lost
        in any case.
    """
    host.overlayadm("modify", "-f", "blue")
    scratch = stack.enter_context(Namespace("scratch"))
    begin, gone = stack.enter_context(deletion(scratch, PAIRS))
    locker = stack.enter_context(closing(Locker(scratch)))
    client = stack.enter_context(Client(str(host.varpd.socket)))
    to_known, to_strange = (
        stack.enter_context(closing(ColdPings(web, group))) for group in (known, strange)
    )
    with (
        repeating(locker.take) as locks,
        repeating(client.health) as calls,
        repeating(to_known.ping),
        repeating(to_strange.ping),
    ):
        begin()
        wait_for("the devices to be gone", gone)
    assert (to_known.lost, to_strange.lost) == ([], [])
    assert to_strange.answers.done
    return bool(calls.within(locks.longest) and to_known.answers.within(locks.longest))


def test_cold_pings_go_on_while_a_namespace_with_many_devices_is_deleted() -> None:
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        web, found = crowd(lab, a, b)
        # Of some the guest knows the MAC, so that nothing is asked but where that is.
        known = found[: STATIONS // 2]
        neighbour = "neigh add {} lladdr {} dev {} nud permanent"
        batch(web.namespace, [neighbour.format(s.ipv4, s.mac, INTERFACE) for s in known])
        addresses = [str(station.ipv4) for station in found]
        size = (STATIONS - len(known)) // TRIES
        for start in range(len(known), STATIONS, size):
            with ExitStack() as stack:
                strange = addresses[start : start + size]
                if seen_beside_deletion(stack, a, web, addresses[: len(known)], strange):
                    return
        raise AssertionError("the daemon answered nothing while others had the kernel's lock")
