"""What keeps an overlay from coming back, and how it heals; many at once; a disk that is full."""

import contextlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from support import numbered_plugins
from support.lab import Host, Lab
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.control.messages import CreateOverlay

pytestmark = pytest.mark.integration

HEALING: Final = 60.0
"""Seconds: several attempts, with their pauses."""

READY: Final = 30.0
"""Seconds: ten times what a restart with 300 overlays may take."""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def indices(host: Host) -> dict[str, int]:
    """Return the index of each link: one that was made anew has another."""
    shown = json.loads(host.run("ip", "-json", "link", "show").stdout)
    return {link["ifname"]: link["ifindex"] for link in shown}


def degraded(host: Host, *said: str) -> dict[str, Any]:
    """Return an overlay that could not be restored, which says why."""
    (overlay,) = host.varpd.show("blue")
    assert overlay["state"] == "degraded"
    (cause,) = overlay["causes"]
    assert cause["cause"] == "restore"
    for part in said:
        assert part in cause["message"]
    assert said[0] in host.overlayadm("show", "-f", "blue").stdout
    return overlay


def heals(host: Host) -> None:
    """Wait until the overlay works."""
    wait_for("blue to work", lambda: host.varpd.show("blue")[0]["state"] == "online", HEALING)


def test_a_mapping_file_that_is_missing_at_the_start_heals_when_it_appears(lab: Lab) -> None:
    a, b = lab.hosts("a", "b")
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    assert web.ping(db.ipv4).lost == 0
    file = lab.mapping_file("blue.json")
    before = indices(a)
    a.varpd.stop()
    file.path.unlink()

    a.varpd.start()

    degraded(a, "blue.json")
    assert indices(a) == before
    assert web.ping(db.ipv4, 3).lost == 0  # by the rows that were left
    file.write()
    heals(a)
    assert indices(a) == before
    assert web.ping(db.ipv4, 3).lost == 0


def test_an_overlay_whose_plugin_was_removed_waits_for_it(lab: Lab) -> None:
    (a,) = lab.hosts("a", plugins=[numbered_plugins.__file__])
    a.create("blue", 7, "plain")
    a.overlayadm("modify", "blue", "-s", "02:00:00:00:00:01=drop")
    before = indices(a)
    a.varpd.kill()
    installed = a.varpd.plugins / Path(numbered_plugins.__file__).name
    kept = installed.rename(lab.directory / installed.name)

    a.varpd.start()

    overlay = degraded(a, "no search plugin 'plain'")
    assert overlay["properties"]["vxlan/listen_ip"] == a.address
    assert indices(a) == before
    a.overlayadm("modify", "blue", "-p", "mtu=1400")
    a.varpd.stop()
    kept.rename(installed)
    a.varpd.start()
    (overlay,) = a.varpd.show("blue")
    assert (overlay["state"], overlay["properties"]["mtu"]) == ("online", 1400)
    assert a.varpd.targets("blue")[0]["state"] == "blocked"
    assert indices(a) == before


def test_an_overlay_whose_listen_address_is_gone_comes_back_with_it(lab: Lab) -> None:
    a, b = lab.hosts("a", "b")
    web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
    assert web.ping(db.ipv4).lost == 0
    a.varpd.kill()
    a.run("ip", "address", "delete", f"{a.ipv4}/24", "dev", "eth0")

    a.varpd.start()

    degraded(a, a.ipv4)
    a.run("ip", "address", "add", f"{a.ipv4}/24", "dev", "eth0")
    heals(a)
    assert web.ping(db.ipv4, 3).lost == 0


def test_an_overlay_whose_listen_address_is_gone_can_be_given_another(lab: Lab) -> None:
    (a,) = lab.hosts("a")
    lab.files_overlay("blue", 7, {})
    a.varpd.stop()
    a.run("ip", "address", "delete", f"{a.ipv4}/24", "dev", "eth0")
    a.run("ip", "address", "add", "192.0.2.77/24", "dev", "eth0")
    a.varpd.start()
    degraded(a, a.ipv4)
    a.overlayadm("modify", "blue", "-p", "vxlan/listen_ip=192.0.2.77")
    (overlay,) = a.varpd.show("blue")
    assert (overlay["state"], overlay["properties"]["vxlan/listen_ip"]) == ("online", "192.0.2.77")


def test_an_overlay_that_cannot_come_back_can_be_deleted(lab: Lab) -> None:
    (a,) = lab.hosts("a")
    before = set(indices(a))
    lab.files_overlay("blue", 7, {})
    a.varpd.stop()
    lab.mapping_file("blue.json").path.unlink()
    a.varpd.start()
    degraded(a, "blue.json")
    a.overlayadm("delete", "blue")
    assert (a.varpd.show(), set(indices(a))) == ([], before)
    a.varpd.stop()
    a.varpd.start()
    assert a.varpd.show() == []


def test_after_a_reboot_overlays_are_built_anew_but_for_temporary_ones(lab: Lab) -> None:
    (a,) = lab.hosts("a")
    file = lab.mapping_file("blue.json").path
    common = ("-s", "files", "-p", f"vxlan/listen_ip={a.address}", "-p", f"files/config={file}")
    a.overlayadm("create", "blue", "-v", "7", *common)
    a.overlayadm("create", "brief", "-v", "8", "-t", *common)
    a.varpd.stop()
    a.varpd.start()
    assert [item["name"] for item in a.varpd.show()] == ["blue", "brief"]

    a.varpd.stop()
    for name in ("blue", "brief"):
        a.run("ip", "link", "delete", f"vx-{name}")
        a.run("ip", "link", "delete", name)
    database = a.varpd.directory / "state" / "varpd.db"
    with contextlib.closing(sqlite3.connect(database)) as store, store:
        store.execute("UPDATE overlay SET boot = 'the one before' WHERE boot IS NOT NULL")
    a.varpd.start()

    (overlay,) = a.varpd.show()
    assert (overlay["name"], overlay["state"], overlay["temporary"]) == ("blue", "online", False)
    assert {"blue", "vx-blue"} <= set(indices(a))
    assert not {"brief", "vx-brief"} & set(indices(a))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.long)])
def test_many_overlays_come_back_at_once(lab: Lab, count: int) -> None:
    (a,) = lab.hosts("a")
    file = str(lab.mapping_file("all.json").path)
    with Client(str(a.varpd.socket)) as client:
        for number in range(1, count + 1):
            properties: dict[str, str | None] = {"vxlan/listen_ip": a.address, "files/config": file}
            client.create(CreateOverlay(f"o{number}", number, "files", properties=properties))
            client.set_entry(f"o{number}", "02:00:00:00:00:01", "192.0.2.50:4789")
        before = indices(a)
        shown = client.overlays()
    a.varpd.kill()

    a.varpd.start(wait=False)
    wait_for("all to be back", lambda: a.varpd._ready(), READY)

    with Client(str(a.varpd.socket)) as client:
        assert client.overlays() == shown
        assert all(len(client.targets(item.name)) == 1 for item in shown)
    assert indices(a) == before


@contextlib.contextmanager
def small_file_system(path: Path) -> Iterator[Path]:
    """Mount a file system of one MiB."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "varpd", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(file: Path) -> None:
    """Write until nothing more fits."""
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(os.urandom(4096))


def test_on_a_full_disk_changes_are_refused_and_what_is_there_goes_on(lab: Lab) -> None:
    a, b = lab.host("a", start=False), lab.host("b")
    with small_file_system(a.varpd.directory / "state") as state:
        a.varpd.start()
        web, db = lab.files_overlay("blue", 7, {"web": a, "db": b})
        assert web.ping(db.ipv4).lost == 0
        before = indices(a)
        fill(state / "filler")

        config = f"files/config={lab.mapping_file('blue.json').path}"
        for refused in (
            a.create("red", 8, "files", config, check=False),
            a.overlayadm("modify", "blue", "-p", "mtu=1400", check=False),
            a.overlayadm("modify", "blue", "-s", "02:00:00:00:00:99=drop", check=False),
            a.overlayadm("delete", "blue", check=False),
        ):
            assert refused.returncode == 1
            (line,) = refused.stderr.splitlines()
            assert "is full; nothing was changed" in line
        (overlay,) = a.varpd.show()
        assert overlay["properties"]["mtu"] == 1500
        assert "02:00:00:00:00:99" not in [item["mac"] for item in a.varpd.targets("blue")]
        assert indices(a) == before
        assert web.ping(db.ipv4, 3).lost == 0
        assert db.ping(web.ipv6, 3).lost == 0

        (state / "filler").unlink()
        a.overlayadm("modify", "blue", "-p", "mtu=1400")
        a.varpd.kill()
        a.varpd.start()
        assert a.varpd.show("blue")[0]["properties"]["mtu"] == 1400
        assert a.varpd.stop() == 0
