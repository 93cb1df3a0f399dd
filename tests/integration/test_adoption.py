"""Daemons that are killed and come back: their rows carry traffic all the while, untouched."""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from support.guests import Guest
from support.lab import Host, Lab, MappingFile
from support.netlink_watch import NetlinkWatch
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.net.addresses import MacAddress

pytestmark = pytest.mark.integration

OTHER_HOST: Final = "192.0.2.201"
"""Where guests are that nobody tries to reach; and where they move."""
ELSEWHERE: Final = "192.0.2.202"

MOODY: Final = '''
"""A plugin that knows one host, and raises while a file is there."""

from ipaddress import ip_address
from pathlib import Path

from varpd.provider import (
    DestinationKind,
    DynamicPlugin,
    MacAddress,
    Property,
    PropertyType,
    Target,
)


class MoodyPlugin(DynamicPlugin):
    api_version = 1
    name = "moody"
    supplies = (DestinationKind.IP | DestinationKind.PORT,)

    @classmethod
    def properties(cls, destination):
        return (Property("moody/mood", PropertyType.STRING, required=True),)

    def lookup(self, query):
        if Path(self.get_property("moody/mood")).exists():
            raise RuntimeError("in a mood")
        return Target(ip=ip_address("192.0.2.201"), port=4789)

    def enumerate(self):
        yield MacAddress.parse("02:00:00:00:99:01"), Target(ip=ip_address("192.0.2.201"), port=4789)
'''


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def mac(number: int) -> str:
    return str(MacAddress(b"\x02\x00\x01" + number.to_bytes(3, "big")))


def targets(host: Host) -> dict[str, tuple[str, str, str]]:
    """Return address, origin and state of each entry."""
    return {
        item["mac"]: (item["ip"], item["origin"], item["state"])
        for item in host.varpd.targets("blue")
    }


def rows(host: Host) -> dict[str, str]:
    """Return where the kernel sends the frames for each MAC."""
    shown = json.loads(host.run("bridge", "-json", "fdb", "show", "dev", "vx-blue").stdout)
    return {
        row["mac"]: row["dst"]
        for row in shown
        if "dst" in row and row["mac"] != "00:00:00:00:00:00"
    }


@contextmanager
def watched(host: Host) -> Iterator[NetlinkWatch]:
    """Listen to what the kernel tells of a host."""
    with host.namespace.entered():
        watch = NetlinkWatch()
    with watch:
        yield watch


def written(watch: NetlinkWatch) -> set[str]:
    """Return the MACs whose rows were written or removed."""
    return {str(MacAddress(one.mac)) for one in watch.rows()}


# --- traffic


@contextmanager
def pinging(guest: Guest, address: str) -> Iterator[list[str]]:
    """Ping 100 times a second meanwhile; what ping says is in the list at the end."""
    said: list[str] = []
    command = ("ping", "-n", "-q", "-i", "0.01", address)
    with guest.popen(*command, stdout=subprocess.PIPE) as ping:
        yield said
        ping.send_signal(signal.SIGINT)
        said.append(ping.communicate(timeout=30)[0])


def lost(said: list[str]) -> int:
    """Return how many of many pings were not answered."""
    found = re.search(r"(\d+) packets transmitted, (\d+) received", said[0])
    assert found is not None, said
    sent, received = map(int, found.groups())
    assert received > 0
    return sent - received


@contextmanager
def streaming(source: Guest, sink: Guest) -> Iterator[list[float]]:
    """Send TCP meanwhile; the list has the bytes of each fifth of a second at the end."""
    moved: list[float] = []
    with sink.popen("iperf3", "--server", "--one-off", stdout=subprocess.DEVNULL):
        wait_for("iperf3", lambda: ":5201" in sink.run("ss", "--tcp", "-ln").stdout)
        command = ("iperf3", "-c", sink.ipv4, "-t", "60", "-i", "0.2", "-b", "50M", "--json")
        with source.popen(*command, stdout=subprocess.PIPE) as client:
            yield moved
            client.send_signal(signal.SIGINT)
            told = json.loads(client.communicate(timeout=30)[0])
    # The last one was cut short.
    moved += [interval["sum"]["bytes"] for interval in told["intervals"][:-1]]


def test_traffic_flows_on_over_the_end_of_daemons(lab: Lab) -> None:
    a, b = lab.hosts("a", "b")
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    for guest, other in ((web, db), (db, web)):
        assert guest.ping(other.ipv4, 3).lost == 0
        assert guest.ping(other.ipv6, 3).lost == 0
    wait_for("rows", lambda: str(db.mac) in rows(a) and str(web.mac) in rows(b))
    with (
        pinging(web, db.ipv4) as four,
        pinging(db, web.ipv6) as six,
        streaming(web, db) as moved,
        watched(a) as at_a,
        watched(b) as at_b,
    ):
        for host, peer in ((a, db), (b, web)):
            for number in (signal.SIGKILL, signal.SIGTERM):
                host.varpd.stop(number)
                host.varpd.start()
                wait_for("an answer", partial(is_plugins, host, peer))
        touched = written(at_a) | written(at_b)
    assert (lost(four), lost(six)) == (0, 0)
    assert min(moved) > 0, moved
    assert not touched & {str(web.mac), str(db.mac)}


def test_a_point_overlay_keeps_its_target_untouched(lab: Lab) -> None:
    a, b = lab.hosts("a", "b")
    for host, other in ((a, b), (b, a)):
        host.create("blue", 7, *direct(other))
    web, db = a.attach("blue", "web"), b.attach("blue", "db")
    assert web.ping(db.ipv4, 3).lost == 0
    with pinging(web, db.ipv4) as pings, watched(a) as watch:
        a.varpd.kill()
        a.varpd.start()
        told = written(watch)
    assert lost(pings) == 0
    assert not told & {str(MacAddress(bytes(6))), str(db.mac)}


def direct(other: Host) -> tuple[str, ...]:
    return "direct", f"direct/dest_ip={other.address}", "direct/dest_port=4789"


def is_plugins(host: Host, peer: Guest) -> bool:
    """Return whether the plugin has said where a guest is."""
    return targets(host).get(str(peer.mac), ("", "", ""))[1] == "plugin"


# --- what has changed meanwhile


def known_macs(lab: Lab, host: Host, count: int) -> MappingFile:
    """Make overlay blue with the rows of MACs 1 to `count`, all on another host."""
    file = lab.mapping_file("blue.json")
    file.mappings = {mac(number): {"ip": OTHER_HOST, "port": 4789} for number in range(count)}
    file.write()
    host.create("blue", 7, "files", f"files/config={file.path}", "preload=on")
    wait_for("rows", lambda: len(rows(host)) == count, 120)
    # So that the next daemon has to ask.
    host.overlayadm("modify", "blue", "-p", "preload=off")
    return file


def test_what_has_moved_or_gone_meanwhile_is_followed(lab: Lab) -> None:
    host = lab.host("a")
    file = known_macs(lab, host, 3)
    with watched(host) as watch:
        host.varpd.kill()
        file.mappings[mac(1)]["ip"] = ELSEWHERE
        del file.mappings[mac(2)]
        file.write()
        host.varpd.start()
        wait_for("rows", lambda: rows(host) == {mac(0): OTHER_HOST, mac(1): ELSEWHERE})
        assert mac(0) not in written(watch)
    wait_for(
        "answers",
        lambda: (
            targets(host)
            == {mac(0): (OTHER_HOST, "plugin", "valid"), mac(1): (ELSEWHERE, "plugin", "valid")}
        ),
    )


def test_rows_that_are_half_there_are_made_whole_or_removed(lab: Lab) -> None:
    host = lab.host("a")
    known_macs(lab, host, 3)
    host.varpd.kill()
    host.run("bridge", "fdb", "delete", mac(0), "dev", "vx-blue", "master")
    host.run("bridge", "fdb", "delete", mac(1), "dev", "vx-blue", "dst", OTHER_HOST, "self")
    host.varpd.start()

    def both() -> bool:
        shown = host.run("bridge", "fdb", "show", "dev", "vx-blue").stdout
        return shown.count(mac(0)) == 2 and mac(1) not in shown

    wait_for("whole rows", both)


def test_a_plugin_without_answers_keeps_rows_and_is_asked_again(lab: Lab, tmp_path: Path) -> None:
    host = lab.host("a", start=False)
    (host.varpd.plugins / "moody.py").write_text(MOODY)
    host.varpd.start()
    mood = tmp_path / "mood"
    properties = ("moody", f"moody/mood={mood}")
    host.create("blue", 7, *properties, "preload=on")
    known = "02:00:00:00:99:01"
    wait_for("a row", lambda: rows(host) == {known: OTHER_HOST})
    host.overlayadm("modify", "blue", "-p", "preload=off")
    mood.touch()
    with watched(host) as watch:
        host.varpd.kill()
        host.varpd.start()
        wait_for("a failure", lambda: targets(host) == {known: (OTHER_HOST, "adopted", "stale")})
        mood.unlink()
        wait_for("an answer", lambda: targets(host) == {known: (OTHER_HOST, "plugin", "valid")})
        assert written(watch) == set()
    assert rows(host) == {known: OTHER_HOST}


# --- many rows


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_many_rows_are_adopted_while_the_loop_turns(lab: Lab, count: int) -> None:
    host = lab.host("a")
    known_macs(lab, host, count)
    with watched(host) as watch:
        host.varpd.kill()
        began = time.monotonic()
        host.varpd.start()
        with answering(host) as delays:
            wait_for("answers", lambda: is_confirmed(host, count), 600)
        took = time.monotonic() - began
        assert written(watch) == set()
    print(f"{count} rows adopted and confirmed in {took:.1f} s, longest delay {max(delays):.3f} s")
    assert max(delays) < 2.0
    assert len(rows(host)) == count


def is_confirmed(host: Host, count: int) -> bool:
    """Return whether the plugin has been asked about all; looking at many takes the daemon time."""
    time.sleep(count / 20_000)
    origins = [item["origin"] for item in host.varpd.targets("blue")]
    return origins == ["plugin"] * count


@contextmanager
def answering(host: Host) -> Iterator[list[float]]:
    """Ask the daemon for little all the time; the list has the seconds that each answer took."""
    delays: list[float] = []
    ended = threading.Event()

    def ask() -> None:
        with Client(str(host.varpd.socket), timeout=60) as client:
            while not ended.wait(0.01):
                asked = time.monotonic()
                client.ready()
                delays.append(time.monotonic() - asked)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield delays
        finally:
            ended.set()
        asking.result()
