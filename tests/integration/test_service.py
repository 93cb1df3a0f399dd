"""The daemon as a service: readiness, reload, sign of life, and sockets that outlive it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import pytest

from support.guests import Guest
from support.lab import Host, Lab
from support.namespaces import Namespace
from support.service_manager import ServiceManager
from support.varpd_process import VarpdProcess
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.control.messages import ControlError, CreateOverlay

pytestmark = pytest.mark.integration

ATTEMPTS: Final = 5
"""What waits in a socket is dropped after a second, which a busy machine may take to start."""

STUBBORN: Final = '''
"""A plugin that blocks the event loop for good."""

import time

from varpd.provider import DROP, DestinationKind, DynamicPlugin


class StubbornPlugin(DynamicPlugin):
    api_version = 1
    name = "stubborn"
    supplies = (DestinationKind.IP | DestinationKind.PORT,)

    @classmethod
    def properties(cls, destination):
        return ()

    def start(self):
        while True:
            time.sleep(1)

    def lookup(self, query):
        return DROP
'''


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@contextmanager
def managed(host: Host) -> Iterator[ServiceManager]:
    with ServiceManager(host.varpd) as manager:
        manager.start()
        yield manager
        host.varpd.stop()


def test_ready_reload_and_end_are_told(lab: Lab) -> None:
    host = lab.host("a", start=False)
    with managed(host) as manager:
        host.varpd.send(signal.SIGHUP)
        wait_for("ready again", lambda: manager.said("READY") == 2)
        kinds = [
            kind
            for message in manager.messages
            for kind in ("READY", "RELOADING", "STOPPING")
            if kind in message
        ]
        assert kinds == ["READY", "RELOADING", "READY"]
        (reload,) = [message for message in manager.messages if "RELOADING" in message]
        assert int(reload["MONOTONIC_USEC"]) > 0
        assert host.varpd.stop() == 0
        wait_for("the end to be told", lambda: manager.said("STOPPING") == 1)


# --- sockets


def make(lab: Lab, host: Host) -> None:
    """Make overlay blue over the socket: an operator's command would take too long."""
    file = lab.mapping_file("blue.json")
    with Client(str(host.varpd.socket)) as client:
        properties: dict[str, str | None] = {"files/config": str(file.path)}
        properties["vxlan/listen_ip"] = host.address
        client.create(CreateOverlay("blue", 7, "files", properties=properties))


def waiting(host: Host) -> bool:
    """Return whether a frame waits in a punt socket of the host."""
    shown = host.run("ss", "--udp", "--all", "--numeric", "--no-header").stdout
    return any(int(line.split()[1]) > 0 for line in shown.splitlines() if ":789" in line.split()[3])


def first_ping_after_a_kill(lab: Lab, manager: ServiceManager, host: Host, guest: Guest) -> bool:
    """Have a guest send one frame while its host's daemon starts; return whether that waited.

    It is sent when the daemon has read its plugins: what waits longer than a second is dropped.
    """
    manager.varpd.kill()
    # The row of the other guest is taken away: its frames are punted again.
    mac = str(lab.identity("db").mac)
    host.run("bridge", "fdb", "delete", mac, "dev", "vx-blue", "self", check=False)
    before = manager.varpd.log().count("plugin loaded")
    manager.start(wait=False)
    wait_for("plugins", lambda: manager.varpd.log().count("plugin loaded") >= before + 2)
    target = lab.identity("db").ipv4
    with guest.popen("ping", "-c1", "-W8", target, stdout=subprocess.DEVNULL) as ping:
        waited = waiting(host)
        answered = ping.wait(30) == 0
    manager.varpd.wait_until_ready()
    return waited and answered


def test_a_frame_punted_while_no_daemon_serves_waits_and_is_not_lost(lab: Lab) -> None:
    a, b = lab.host("a", start=False), lab.host("b")
    file = lab.mapping_file("blue.json")
    for name, place in (("web", a), ("db", b)):
        file.put(lab.identity(name), place)
    with managed(a) as manager:
        make(lab, a)
        make(lab, b)
        wait_for("the socket to be kept", lambda: manager.kept() == ["blue"])
        web, db = a.attach("blue", "web"), b.attach("blue", "db")
        # No ARP, which would be repeated: there is this one frame.
        web.run("ip", "neigh", "replace", db.ipv4, "lladdr", str(db.mac), "dev", "eth0")
        db.run("ip", "neigh", "replace", web.ipv4, "lladdr", str(web.mac), "dev", "eth0")
        assert any(first_ping_after_a_kill(lab, manager, a, web) for _ in range(ATTEMPTS))
        assert manager.kept() == ["blue"]


@pytest.mark.parametrize("family", [4, 6])
def test_a_deleted_overlay_leaves_its_address_free_at_once(family: Literal[4, 6]) -> None:
    with Lab(family) as lab:
        host = lab.host("a", start=False)
        with managed(host) as manager:
            for _ in range(5):
                make(lab, host)
                wait_for("the socket to be kept", lambda: manager.kept() == ["blue"])
                host.overlayadm("delete", "blue")
                assert manager.kept() == []


def test_another_overlay_takes_over_the_address_of_one_that_is_gone(lab: Lab) -> None:
    host = lab.host("a", start=False)
    lab.mapping_file("blue.json")
    with managed(host) as manager:
        make(lab, host)
        wait_for("the socket to be kept", lambda: manager.kept() == ["blue"])
        host.varpd.kill()
        for kept in (host.varpd.directory / "state").glob("varpd.db*"):
            kept.unlink()
        manager.start()
        file = lab.mapping_file("blue.json").path
        host.create("red", 8, "files", f"files/config={file}")
        wait_for("the new name", lambda: manager.kept() == ["red"])


# --- rights


NEEDED: Final = ("net_admin", "net_bind_service")


def confined(*capabilities: str) -> list[str]:
    """Return a command that leaves a daemon what its unit does: capabilities, no writable code."""
    names = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    # PR_SET_MDWE of prctl(2), where the kernel has it: MemoryDenyWriteExecute of the unit.
    deny = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0);"
    execute = "os.execv(sys.argv[1], sys.argv[1:])"
    return [
        *("setpriv", "--no-new-privs", f"--inh-caps={names}", f"--ambient-caps={names}"),
        *(f"--bounding-set={names}", sys.executable, "-c", deny + execute),
    ]


def test_the_capabilities_of_the_unit_are_enough(lab: Lab) -> None:
    a, b = lab.host("a", start=False), lab.host("b")
    a.varpd.wrapper = confined(*NEEDED)
    a.varpd.start()
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    assert web.ping(db.ipv4).lost == 0
    assert db.ping(web.ipv6).lost == 0
    a.overlayadm("modify", "blue", "-p", "mtu=1400")
    a.overlayadm("delete", "blue")


@pytest.mark.parametrize("missing", NEEDED)
def test_each_capability_of_the_unit_is_needed(lab: Lab, missing: str) -> None:
    host = lab.host("a", start=False)
    host.varpd.wrapper = confined(*(name for name in NEEDED if name != missing))
    host.varpd.start()
    file = lab.mapping_file("blue.json").path
    done = host.create("blue", 7, "files", f"files/config={file}", check=False)
    assert done.returncode == 1
    assert "CAP_NET_" in done.stderr


# --- the sign of life


def test_a_daemon_whose_loop_is_blocked_for_good_is_restarted(tmp_path: Path) -> None:
    with Namespace("service") as namespace:
        varpd = VarpdProcess(namespace, tmp_path / "varpd", "[daemon]\ndatapath = 'memory'\n")
        (varpd.plugins / "stubborn.py").write_text(STUBBORN)
        with ServiceManager(varpd, watchdog=2) as manager:
            manager.start()
            wait_for("signs of life", lambda: manager.said("WATCHDOG") > 2)
            properties: dict[str, str | None] = {"vxlan/listen_ip": "192.0.2.1"}
            with (
                Client(str(varpd.socket), timeout=1) as client,
                pytest.raises(ControlError),
            ):
                client.create(CreateOverlay("blue", 7, "stubborn", properties=properties))
            manager.kill_if_silent()

            assert "Fatal Python error: Aborted" in varpd.log()
            assert "stubborn.py" in varpd.log().rpartition("Fatal Python error")[2]
            manager.start()
            assert varpd.stop() == 0
