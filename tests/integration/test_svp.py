"""Overlays whose mappings come from an SVP server: varpd's own, and a fake of the real Portolan."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

import pytest

from support.guests import INTERFACE, Guest
from support.lab import Host, Lab
from support.shared_lab import overlays_of_a_test
from support.traffic import pings
from support.waiting import wait_for

pytestmark = pytest.mark.integration

PORT: Final = 1296
VNETID: Final = 7
STALE: Final = "10"
"""Seconds for which the fake repeats what it said, as the real one does."""

PERIOD: Final = 22.0
"""Seconds in which a host has read its log, and asked again what may have been old, at most."""

OWN: Final = str(Path(sys.executable).parent / "varpd-svp-server")
TESTS: Final = Path(__file__).parents[1]


class Servers:
    """A host with a server, whose file says who is where."""

    def __init__(self, lab: Lab, host: Host, hosts: list[Host], kind: str) -> None:
        self.host, self._hosts, self._kind = host, hosts, kind
        self._file = lab.directory / "svp.json"
        self._places: dict[Guest, Host] = {}
        self._stack = ExitStack()
        self.write()

    def put(self, places: dict[Guest, Host]) -> None:
        """Say where guests are."""
        self._places.update(places)
        self.write()

    def write(self) -> None:
        hosts = {host.name: host.address for host in self._hosts}
        mappings = {
            str(guest.mac): {
                "ip": host.address,
                "port": 4789,
                "arp": [guest.ipv4],
                "ndp": [guest.ipv6, guest.identity.link_local],
            }
            for guest, host in self._places.items()
        }
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"hosts": hosts, "overlays": {str(VNETID): mappings}}))
        new.replace(self._file)

    def start(self) -> None:
        """Begin to answer."""
        address = self.host.address
        own = (OWN, str(self._file), "--listen", address, "--port", str(PORT))
        fake = (
            sys.executable,
            "-m",
            "support.portolan",
            str(self._file),
            address,
            str(PORT),
            STALE,
        )
        environment = ("env", f"PYTHONPATH={TESTS}")
        command = own if self._kind == "own" else (*environment, *fake)
        self._stack.enter_context(self.host.namespace.popen(*command, stderr=subprocess.DEVNULL))
        port = f":{PORT} "
        wait_for("the server", lambda: port in self.host.run("ss", "-Hltn").stdout)

    def stop(self) -> None:
        """End at once."""
        self._stack.close()


@pytest.fixture(
    scope="module",
    params=[(4, "own"), (6, "own"), (4, "portolan"), (6, "portolan")],
    ids=["own-ipv4", "own-ipv6", "portolan-ipv4", "portolan-ipv6"],
)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    family: Literal[4, 6] = request.param[0]
    with Lab(family) as made:
        yield made


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b", "c")


@pytest.fixture(scope="module")
def server_host(lab: Lab) -> Host:
    return lab.host("servers", start=False)


@pytest.fixture
def servers(
    lab: Lab, hosts: list[Host], server_host: Host, request: pytest.FixtureRequest
) -> Iterator[Servers]:
    kind = request.node.callspec.params["lab"][1]
    made = Servers(lab, server_host, hosts, kind)
    made.start()
    with overlays_of_a_test(hosts):
        yield made
    made.stop()


@pytest.fixture
def guests(hosts: list[Host], servers: Servers) -> list[Guest]:
    """One on each of two hosts; the third host has the overlay, too."""
    for host in hosts:
        host.create("blue", VNETID, "svp", f"svp/host={servers.host.address}")
    made = [hosts[0].attach("blue", "web"), hosts[1].attach("blue", "db")]
    servers.put(dict(zip(made, hosts, strict=False)))
    return made


def test_guests_reach_each_other_cold_over_both_ip_versions(guests: list[Guest]) -> None:
    web, db = guests
    for one, other in ((web, db), (db, web)):
        assert one.ping(other.ipv4, wait=10).lost == 0
        assert one.ping(other.ipv6, wait=10).lost == 0
    assert web.ping("10.77.0.250", wait=0.3).lost == 1


def test_traffic_follows_a_guest_that_moves(
    hosts: list[Host], guests: list[Guest], servers: Servers
) -> None:
    (web, db), (a, _, c) = guests, hosts
    assert web.ping(db.ipv4, wait=10).lost == 0
    c.move(db, "blue")
    servers.put({db: c})
    # Each host hears of it when it reads its log; the new one, too, which was told otherwise.
    wait_for("the guest", lambda: web.ping(db.ipv4, 3, wait=0.5).lost == 0, 10 * PERIOD)
    assert f"dst {c.address} " in a.run("bridge", "fdb", "show", "dev", "vx-blue").stdout


def test_without_a_server_known_paths_lose_nothing_and_new_ones_wait_for_it(
    hosts: list[Host], guests: list[Guest], servers: Servers
) -> None:
    (web, db), (_, b, _) = guests, hosts
    late = b.attach("blue", "late")
    servers.put({late: b})
    assert web.ping(db.ipv4, wait=10).lost == 0
    with pings(web, db.ipv4) as seen:
        servers.stop()
        with web.popen("ping", "-c", "1", "-W", "20", late.ipv4, stdout=subprocess.PIPE) as cold:
            wait_for("the question to wait", lambda: is_asking(web, late))
            servers.start()
            out, _ = cold.communicate(timeout=60)
        assert " 0% packet loss" in out, out
    assert seen.lost == 0


def is_asking(guest: Guest, other: Guest) -> bool:
    """Return whether a guest waits to hear who has another's address."""
    shown = guest.run("ip", "neigh", "show", other.ipv4, "dev", INTERFACE).stdout
    return "INCOMPLETE" in shown
