"""The mapping file of plugin `files` changes while guests talk."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from support.guests import Guest
from support.lab import UNDERLAY, Host, Lab
from support.shared_lab import overlays_of_a_test
from support.traffic import pings, stream
from support.waiting import wait_for

pytestmark = pytest.mark.integration

PATIENCE: Final = 10.0
"""Seconds for a change to take effect: ten times what is promised."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(show_logs=False) as made:
        yield made


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b", "c")


@pytest.fixture(autouse=True)
def clean(hosts: list[Host]) -> Iterator[None]:
    with overlays_of_a_test(hosts):
        yield


@pytest.fixture
def guests(lab: Lab, hosts: list[Host]) -> tuple[Guest, Guest]:
    """`web` on the first host and `db` on the second, who know each other."""
    web, db = lab.files_overlay("blue", 7, {"web": hosts[0], "db": hosts[1]})
    assert web.ping(db).lost == 0
    return web, db


def at(host: Host, mac: object, overlay: str = "blue") -> str | None:
    """Return where a host takes a MAC to be."""
    found = [item["ip"] for item in host.varpd.targets(overlay) if item["mac"] == str(mac)]
    return found[0] if found else None


def rows(host: Host, mac: object, overlay: str = "blue") -> list[dict[str, Any]]:
    """Return the rows of a MAC at the tunnel device: of the device itself and of the bridge."""
    shown = json.loads(host.run("bridge", "-json", "fdb", "show", "br", overlay).stdout)
    return [row for row in shown if row["mac"] == str(mac) and row["ifname"] == f"vx-{overlay}"]


def reaches(guest: Guest, other: Guest) -> bool:
    return guest.ping(other, wait=1).lost == 0


def reread(host: Host) -> int:
    """Return how often a host's daemon has read a mapping file."""
    return host.varpd.log().count("mappings read")


def has_reread(host: Host, before: int) -> bool:
    return reread(host) > before


def state(host: Host, overlay: str = "blue") -> str:
    state: str = host.varpd.show(overlay)[0]["state"]
    return state


def test_a_stream_never_pauses_while_the_file_changes(
    lab: Lab, hosts: list[Host], guests: tuple[Guest, Guest]
) -> None:
    web, db = guests
    a, b, c = hosts
    file = lab.mapping_file("blue.json")
    other = lab.identity("other")

    with stream(web, db) as run:
        for number in range(20):
            before = reread(a)
            file.put(other, (b, c)[number % 2])
            # What is said of those who talk changes, but not where they are.
            for guest, host in ((web, a), (db, b)):
                addresses = [guest.ipv4, f"10.77.{guest.mac[-1]}.{number}"]
                file.put(guest.identity, host, router=number % 2 == 0, arp=addresses)
            wait_for("the change", partial(has_reread, a, before), PATIENCE)
        a.overlayadm("modify", "blue", "-f")

    assert len(run.amounts) > 3
    assert run.pauses == []


def test_traffic_follows_a_guest_to_another_host(
    lab: Lab, hosts: list[Host], guests: tuple[Guest, Guest]
) -> None:
    web, db = guests
    a, _, c = hosts

    db.move(c.namespace, "blue")
    lab.mapping_file("blue.json").put(db.identity, c)

    wait_for("db at its new place", lambda: reaches(web, db), PATIENCE)
    assert at(a, db.mac) == c.address
    assert web.ping(db.ipv6, 5).lost == 0
    assert db.ping(web.ipv4, 5).lost == 0


def test_a_guest_that_is_removed_is_unreachable_until_it_is_back(
    lab: Lab, hosts: list[Host], guests: tuple[Guest, Guest]
) -> None:
    web, db = guests
    file = lab.mapping_file("blue.json")

    file.remove(db.identity)
    wait_for("db to be gone", lambda: not reaches(web, db), PATIENCE)
    assert rows(hosts[0], db.mac) == []
    assert not reaches(web, db)

    file.put(db.identity, hosts[1])
    wait_for("db to be back", lambda: reaches(web, db), PATIENCE)
    assert web.ping(db, 5).lost == 0


def test_a_guest_that_comes_to_this_host_is_reached_here(
    lab: Lab, hosts: list[Host], guests: tuple[Guest, Guest]
) -> None:
    web, db = guests
    a, *_ = hosts
    assert rows(a, db.mac) != []

    lab.mapping_file("blue.json").put(db.identity, a)
    wait_for("the rows to go", lambda: rows(a, db.mac) == [], PATIENCE)
    a.move(db, "blue")

    wait_for("db on this host", lambda: reaches(web, db), PATIENCE)
    assert web.ping(db.ipv6, 5).lost == 0
    assert db.ping(web.ipv4, 5).lost == 0
    assert rows(a, db.mac) == []


def test_a_second_address_of_this_host_is_this_host(
    lab: Lab, hosts: list[Host], guests: tuple[Guest, Guest]
) -> None:
    web, db = guests
    a, b, _ = hosts
    second = "192.0.2.201"
    lab.mapping_file("blue.json").put(db.identity, b, ip=second)

    def is_elsewhere() -> bool:
        return not reaches(web, db) and at(a, db.mac) == second and rows(a, db.mac) != []

    wait_for("rows to an address elsewhere", is_elsewhere)

    a.run("ip", "address", "add", f"{second}/32", "dev", UNDERLAY)
    wait_for("the rows to go", lambda: rows(a, db.mac) == [], PATIENCE)
    a.move(db, "blue")
    assert web.ping(db, 5).lost == 0
    assert rows(a, db.mac) == []

    a.run("ip", "address", "delete", f"{second}/32", "dev", UNDERLAY)
    wait_for("the rows to come back", lambda: rows(a, db.mac), PATIENCE)


def test_an_address_that_others_know_this_host_by_is_this_host(lab: Lab, hosts: list[Host]) -> None:
    a, *_ = hosts
    outside = "198.51.100.7"
    file = lab.mapping_file("green.json")
    names = ("web", "db")
    for name in names:
        file.put(lab.identity(name), a, ip=outside)
    a.create("green", 8, "files", f"files/config={file.path}", f"vxlan/local_ips={outside}")
    web, db = (a.attach("green", name) for name in names)

    assert web.ping(db.ipv4, 5).lost == 0
    assert db.ping(web.ipv6, 5).lost == 0
    assert [rows(a, guest.mac, "green") for guest in (web, db)] == [[], []]

    a.overlayadm("modify", "green", "-p", "vxlan/local_ips=")
    wait_for("rows for both", lambda: all(rows(a, g.mac, "green") for g in (web, db)), PATIENCE)


def test_a_broken_file_leaves_all_as_it_was_until_it_is_mended(
    lab: Lab, hosts: list[Host], guests: tuple[Guest, Guest]
) -> None:
    web, db = guests
    a, b, _ = hosts
    file = lab.mapping_file("blue.json")
    good = file.path.read_text(encoding="utf-8")

    with pings(web, db.ipv4) as run:
        file.path.write_text('{\n "02:00:5e:10:00:01": {\n', encoding="utf-8")
        wait_for("the overlay to be degraded", lambda: state(a) == "degraded", PATIENCE)
        said = a.overlayadm("show", "-f", "--parsable", "-o", "status,details", "blue").stdout
        a.overlayadm("modify", "blue", "-f")  # so that the plugin has to be asked again

        file.path.write_text(good, encoding="utf-8")
        wait_for("the overlay to be well", lambda: state(a) == "online", PATIENCE)
        wait_for("the other host to be well", lambda: state(b) == "online", PATIENCE)

    assert said.startswith("DEGRADED:")
    assert "blue.json" in said
    assert "line 3" in said
    assert run.lost == 0


def test_a_file_that_is_away_for_a_while_is_followed_again(
    lab: Lab, hosts: list[Host], guests: tuple[Guest, Guest]
) -> None:
    web, db = guests
    a, b, c = hosts
    file = lab.mapping_file("blue.json")

    with pings(web, db.ipv4) as run:
        file.path.unlink()
        wait_for("the overlay to be degraded", lambda: state(a) == "degraded", PATIENCE)
        file.write()
        wait_for("the overlay to be well", lambda: state(a) == "online", PATIENCE)
        wait_for("the other host to be well", lambda: state(b) == "online", PATIENCE)
    assert run.lost == 0

    db.move(c.namespace, "blue")
    file.put(db.identity, c)
    wait_for("db at its new place", lambda: reaches(web, db), PATIENCE)
