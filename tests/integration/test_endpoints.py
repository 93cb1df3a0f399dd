"""Hosts that share who is where: no file says it, the hosts' own words about their guests do."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support import sharing_plugin
from support.guests import Guest
from support.lab import Host, Lab
from support.waiting import wait_for

pytestmark = pytest.mark.integration

MOVES = 4
"""How often a guest goes from one host to the other."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    made = lab.hosts("a", "b", "c", plugins=[sharing_plugin.__file__])
    shared = lab.directory / "shared"
    shared.mkdir()
    for host in made:
        host.create("blue", 7, "sharing", f"sharing/directory={shared}")
    return made


def say(host: Host, guest: Guest, *options: str) -> None:
    """Say on a host who is at the port of a guest."""
    host.overlayadm(
        *("port", "blue", guest.port, "--mac", str(guest.mac)),
        *("--ip", guest.ipv4, "--ip", guest.ipv6, *options),
    )


def port(host: Host, guest: Guest) -> dict[str, Any]:
    (found,) = json.loads(host.overlayadm("port", "blue", guest.port, "--json").stdout)
    assert isinstance(found, dict)
    return found


def reaches(one: Guest, other: Guest) -> bool:
    return all(one.ping(to, wait=1).lost == 0 for to in (other.ipv4, other.ipv6))


def holds(lab: Lab, guest: Guest, host: Host | None) -> None:
    """Wait until the shared table says that a host has a guest, or nobody."""
    file = lab.directory / "shared" / str(guest.mac)
    wait_for(
        f"the holder of {guest.name}",
        lambda: (
            (file.read_text() if file.exists() else None)
            == (None if host is None else host.address)
        ),
    )


def meet(one: Guest, other: Guest) -> None:
    wait_for(f"{one.name} reaches {other.name}", lambda: reaches(one, other))


def is_present(host: Host, guest: Guest) -> None:
    wait_for("the end of a conflict", lambda: port(host, guest)["state"] == "present")


def is_in_conflict(host: Host, guest: Guest, with_: Host) -> None:
    wait_for("a conflict", lambda: port(host, guest)["state"] == "conflict")
    assert port(host, guest)["conflict"] == f"{with_.address} has {guest.mac}"


def test_guests_find_each_other_by_what_their_hosts_say(lab: Lab, hosts: list[Host]) -> None:
    guests = [host.attach("blue", f"guest-{host.name}") for host in hosts]
    for host, guest in zip(hosts, guests, strict=True):
        say(host, guest)
        holds(lab, guest, host)
    for one in guests:
        for other in guests:
            assert one is other or reaches(one, other)

    # What leaves is withdrawn; what comes back is told again, and stays while the daemon is away.
    first, second = guests[:2]
    hosts[0].run("ip", "link", "set", "dev", first.port, "nomaster")
    holds(lab, first, None)
    hosts[0].run("ip", "link", "set", "dev", first.port, "master", "blue")
    holds(lab, first, hosts[0])
    hosts[0].varpd.stop()
    hosts[0].varpd.start()
    holds(lab, first, hosts[0])
    hosts[0].run("ip", "link", "set", "dev", first.port, "nomaster")
    holds(lab, first, None)
    hosts[0].run("ip", "link", "set", "dev", first.port, "master", "blue")
    meet(second, first)


def test_the_first_keeps_a_guest_until_another_takes_it_over(lab: Lab, hosts: list[Host]) -> None:
    old, new, _ = hosts
    guest = old.attach("blue", "claimed")
    say(old, guest)
    holds(lab, guest, old)
    rival = new.attach("blue", "rival", mac=str(guest.mac), ips=["10.77.0.250/24"])
    mac = ("--mac", str(guest.mac))
    new.overlayadm("port", "blue", rival.port, *mac)
    is_in_conflict(new, rival, old)
    holds(lab, guest, old)
    new.overlayadm("port", "blue", rival.port, "--take-over")
    holds(lab, guest, new)
    is_in_conflict(old, guest, new)
    is_present(new, rival)
    rival.unplug()
    holds(lab, guest, None)
    old.overlayadm("port", "blue", guest.port, "--take-over")
    holds(lab, guest, old)
    is_present(old, guest)


def test_a_guest_that_moves_is_reached_at_its_new_host(lab: Lab, hosts: list[Host]) -> None:
    here, there, third = hosts
    guest, witness = here.attach("blue", "mover"), third.attach("blue", "witness")
    say(here, guest)
    say(third, witness)
    meet(witness, guest)
    for _ in range(MOVES):
        there.move(guest, "blue")
        say(there, guest, "--take-over")
        holds(lab, guest, there)
        meet(witness, guest)
        here, there = there, here
