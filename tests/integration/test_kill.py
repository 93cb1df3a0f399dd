"""The daemon is killed at any moment: what it acknowledged is there, and nothing is half done."""

import contextlib
import json
import random
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct, structs

from support.lab import Host, Lab
from support.waiting import wait_for
from varpd.control.client import Client
from varpd.control.messages import ControlError, CreateOverlay, ErrorCode

pytestmark = pytest.mark.integration

WORKERS: Final = 3
"""Callers who change overlays at the same time, each overlays of its own."""

MACS: Final = [f"02:00:00:00:00:0{number}" for number in range(1, 4)]
TARGETS: Final = ("192.0.2.50:4789", "192.0.2.51:4789", "drop")


class Model(Struct, frozen=True):
    """What an overlay should be."""

    mtu: int
    limit: int
    entries: dict[str, str]


Models = dict[str, Model]


class Worker(threading.Thread):
    """Changes its overlays until the daemon is gone; knows what was acknowledged."""

    def __init__(self, number: int, host: Host, file: Path, known: Models, chance: int) -> None:
        super().__init__(name=f"worker-{number}")
        self.names = [f"w{number}{letter}" for letter in "ab"]
        self.known = {name: known[name] for name in self.names if name in known}
        """What was acknowledged."""
        self.possible = dict(self.known)
        """What there is if the change that was under way took place."""
        self.error: Exception | None = None
        self._host = host
        self._file = file
        self._number = number
        self._chance = random.Random(chance)

    def run(self) -> None:
        try:
            with Client(str(self._host.varpd.socket)) as client:
                while True:
                    self._change(client)
        except ControlError as error:
            if error.code is not ErrorCode.UNREACHABLE:
                self.error = error

    def _change(self, client: Client) -> None:
        chance = self._chance
        place = chance.randrange(len(self.names))
        name = self.names[place]
        old = self.known.get(name)
        after = dict(self.known)
        if old is None:
            after[name] = new = Model(chance.randrange(1300, 1500), chance.randrange(10, 100), {})
            properties: dict[str, str | None] = {
                "vxlan/listen_ip": self._host.address,
                "files/config": str(self._file),
                **_texts(new),
            }
            self.possible = after
            vnetid = self._number * 10 + place + 1
            client.create(CreateOverlay(name, vnetid, "files", properties=properties))
        elif (dice := chance.random()) < 0.2:
            del after[name]
            self.possible = after
            client.delete(name)
        elif dice < 0.5:
            after[name] = new = structs.replace(
                old, mtu=chance.randrange(1300, 1500), limit=chance.randrange(10, 100)
            )
            self.possible = after
            client.set_properties(name, _texts(new))
        else:
            mac, target = chance.choice(MACS), chance.choice(TARGETS)
            entries = {key: value for key, value in old.entries.items() if key != mac}
            deletes = mac in old.entries and dice < 0.7
            after[name] = structs.replace(
                old, entries=entries if deletes else {**entries, mac: target}
            )
            self.possible = after
            if deletes:
                client.delete_entry(name, mac)
            else:
                client.set_entry(name, mac, target)
        self.known = after


def _texts(model: Model) -> dict[str, str | None]:
    return {"mtu": str(model.mtu), "limit_targets": str(model.limit)}


def found(host: Host) -> Models:
    """Return what the daemon says that there is; all of it works."""
    models: Models = {}
    with Client(str(host.varpd.socket)) as client:
        for overlay in client.overlays():
            assert overlay.state == "online", overlay
            entries = {}
            for entry in client.targets(overlay.name):
                if entry.origin == "administrator" and entry.mac is not None:
                    entries[entry.mac] = f"{entry.ip}:{entry.port}" if entry.ip else "drop"
            mtu, limit = overlay.properties["mtu"], overlay.properties["limit_targets"]
            assert isinstance(mtu, int)
            assert isinstance(limit, int)
            models[overlay.name] = Model(mtu, limit, entries)
    return models


def in_kernel(host: Host) -> dict[str, tuple[int, dict[str, str]]]:
    """Return the overlays that have links: the MTU of each, and its rows."""
    shown = json.loads(host.run("ip", "-json", "-details", "link", "show").stdout)
    links = {link["ifname"]: link for link in shown}
    rows: dict[str, dict[str, str]] = {}
    for row in json.loads(host.run("bridge", "-json", "fdb", "show").stdout):
        if "dst" in row and row["mac"] in MACS:
            rows.setdefault(row["ifname"], {})[row["mac"]] = f"{row['dst']}:4789"
    devices = [name for name, link in links.items() if link.get("ifalias", "") != ""]
    overlays = [name for name in devices if not name.startswith("vx-")]
    assert sorted(devices) == sorted([*overlays, *(f"vx-{name}" for name in overlays)])
    return {name: (links[f"vx-{name}"]["mtu"], rows.get(f"vx-{name}", {})) for name in overlays}


def wanted(models: Models) -> dict[str, tuple[int, dict[str, str]]]:
    """Return what `in_kernel` has to be."""
    return {
        name: (model.mtu, {m: to for m, to in model.entries.items() if to != "drop"})
        for name, model in models.items()
    }


def agrees(host: Host, models: Models) -> bool:
    """Return whether the kernel has what is wanted."""
    return in_kernel(host) == wanted(models)


def check_database(host: Host, directory: Path) -> None:
    """Look at a copy of the database as the kill left it."""
    state = host.varpd.directory / "state"
    for file in state.glob("varpd.db*"):
        shutil.copy(file, directory)
    with contextlib.closing(sqlite3.connect(directory / "varpd.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    for file in directory.glob("varpd.db*"):
        file.unlink()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(show_logs=False) as made:
        yield made


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("rounds", [10, pytest.param(200, marks=pytest.mark.long)])
def test_what_was_acknowledged_survives_a_kill_at_any_moment(
    lab: Lab, tmp_path: Path, rounds: int
) -> None:
    (host,) = lab.hosts("a")
    file = lab.mapping_file("all.json").path
    chance = random.Random(rounds)
    known: Models = {}
    for number in range(rounds):
        workers = [
            Worker(place, host, file, known, chance.randrange(1 << 30)) for place in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        # Not a wait for something: the moment of the kill is what is random.
        threading.Event().wait(chance.uniform(0.02, 0.6))
        host.varpd.kill()
        for worker in workers:
            worker.join()
            assert worker.error is None
        check_database(host, tmp_path)

        host.varpd.start()

        known = found(host)
        for worker in workers:
            mine = {name: known[name] for name in worker.names if name in known}
            assert mine in (worker.known, worker.possible), f"round {number}"
        wait_for(
            f"the kernel to have what is wanted, round {number}",
            partial(agrees, host, known),
        )
