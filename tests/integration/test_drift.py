"""Somebody changes what varpd made in the kernel: it is put right, traffic works, it is told."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest

from support.lab import Host, Lab
from support.waiting import wait_for

pytestmark = pytest.mark.integration

DEFAULT = "00:00:00:00:00:00"
STRANGER = "02:00:00:00:99:01"
AT_ONCE = 10.0
"""Seconds for what is promised in one."""

AT_ONCE_CHANGES = 4
"""Changes of the links of an overlay that are put right without a pause."""

SOON = 20.0
"""Seconds for what is promised in two."""


class Scene:
    """An overlay on two hosts with a guest each; all is done to it on the first."""

    def __init__(self, lab: Lab, hosts: Sequence[Host], number: int) -> None:
        self.a, self.b = hosts
        self.name = f"blue{number}"
        guests = {f"web{number}": self.a, f"db{number}": self.b}
        self.web, self.db = lab.files_overlay(self.name, number, guests)
        properties = self.a.varpd.show(self.name)[0]["properties"]
        self.punt = f"127.86.0.{properties['varpd/id']}"
        self.uses = 0
        self.far = str(self.db.mac)
        assert self.web.ping(self.db.ipv4).lost == 0
        self.wait_until_whole(AT_ONCE)

    def do(self, command: str) -> None:
        """Run a command on the host, as somebody else than varpd."""
        for part in command.split("; "):
            self.a.run(*part.format(far=self.far, name=self.name, punt=self.punt).split())

    def rows(self, mac: str) -> list[dict[str, Any]]:
        done = self.a.run("bridge", "-json", "fdb", "show", "dev", f"vx-{self.name}", check=False)
        found = json.loads(done.stdout) if done.returncode == 0 else []
        return [row for row in found if row["mac"] == mac]

    def link(self, name: str) -> dict[str, Any]:
        done = self.a.run("ip", "-d", "-json", "link", "show", "dev", name, check=False)
        return json.loads(done.stdout)[0] if done.returncode == 0 else {}

    def is_whole(self) -> bool:
        """Whether all is as varpd makes it."""
        rows = sorted((row.get("dst", ""), "sticky" in row["flags"]) for row in self.rows(self.far))
        defaults = [(row["dst"], row["port"]) for row in self.rows(DEFAULT)]
        bridge, device, port = (
            self.link(name) for name in (self.name, f"vx-{self.name}", self.web.port)
        )
        if not (bridge and device and port):
            return False
        data = bridge["linkinfo"]["info_data"]
        return (
            rows == [("", True), (str(self.b.address), True)]
            and defaults == [(self.punt, 789)]
            and self.rows(STRANGER) == []
            and "UP" in bridge["flags"]
            and "UP" in device["flags"]
            and bridge["mtu"] == device["mtu"] == 1500
            and device.get("master") == port.get("master") == self.name
            and bridge.get("ifalias") == device.get("ifalias") == f"varpd:{self.name}"
            and data["stp_state"] == data["mcast_snooping"] == 0
            and device["linkinfo"]["info_slave_data"]["learning"] is False
            and device["linkinfo"]["info_data"].get("learning") is not True
            and bridge["inet6_addr_gen_mode"] == device["inet6_addr_gen_mode"] == "none"
            and "127.0.0.1/8" in self.a.run("ip", "address", "show", "dev", "lo").stdout
        )

    def wait_until_whole(self, deadline: float) -> None:
        wait_for("all to be as varpd makes it", self.is_whole, deadline)

    def causes(self) -> list[str]:
        return [cause["message"] for cause in self.a.varpd.show(self.name)[0]["causes"]]


@pytest.fixture(scope="module")
def lab() -> Iterator[tuple[Lab, list[Host]]]:
    with Lab() as made:
        yield made, made.hosts("a", "b")


SCENES: list[Scene] = []


@pytest.fixture
def scene(lab: tuple[Lab, list[Host]]) -> Scene:
    """An overlay that was not changed so often that varpd would wait before it puts it right."""
    made, hosts = lab
    if not SCENES or SCENES[-1].uses >= AT_ONCE_CHANGES:
        SCENES.append(Scene(made, hosts, len(SCENES) + 1))
    SCENES[-1].uses += 1
    return SCENES[-1]


def repaired(scene: Scene, command: str, told: str, deadline: float) -> None:
    told = told.format(name=scene.name, punt=scene.punt)
    before = scene.a.varpd.log().count(told)
    scene.do(command)
    wait_for(f"{told!r} in the log", lambda: scene.a.varpd.log().count(told) > before, deadline)
    scene.wait_until_whole(deadline)
    assert scene.web.ping(scene.db.ipv4).lost == 0
    wait_for("no more causes", lambda: not scene.causes(), 60)


ROWS = {
    "device row deleted": ("bridge fdb del {far} dev vx-{name} self", "was missing"),
    "bridge row deleted": ("bridge fdb del {far} dev vx-{name} master", "was missing"),
    "both deleted": ("bridge fdb del {far} dev vx-{name} self master", "was missing"),
    "target changed": (
        "bridge fdb replace {far} dev vx-{name} dst 192.0.2.99 self",
        "the row led to 192.0.2.99:4789",
    ),
    "VNI changed": (
        "bridge fdb replace {far} dev vx-{name} dst 192.0.2.2 vni 99 self",
        "with VNI 99",
    ),
    "changed and sticky": (
        "bridge fdb replace {far} dev vx-{name} dst 192.0.2.99 self sticky",
        "the row led to 192.0.2.99:4789",
    ),
    "bridge row not sticky": (
        "bridge fdb replace {far} dev vx-{name} master static",
        "not sticky",
    ),
    "bridge row local": (
        "bridge fdb replace {far} dev vx-{name} master local",
        "takes it for its own",
    ),
    "row added": (
        "bridge fdb add 02:00:00:00:99:01 dev vx-{name} dst 192.0.2.99 self",
        "did not write",
    ),
    "row added to the bridge": (
        "bridge fdb add 02:00:00:00:99:01 dev vx-{name} master static",
        "did not write",
    ),
    "row added and sticky": (
        "bridge fdb add 02:00:00:00:99:01 dev vx-{name} dst 192.0.2.99 self sticky",
        "did not write",
    ),
    "table flushed": (
        "bridge fdb flush dev vx-{name} self; bridge fdb flush dev vx-{name} master",
        "",
    ),
    "default deleted": (
        "bridge fdb del 00:00:00:00:00:00 dev vx-{name} dst {punt} port 789 self",
        "default row to {punt}:789 was missing",
    ),
    "default doubled": (
        "bridge fdb append 00:00:00:00:00:00 dev vx-{name} dst 192.0.2.99 self",
        "another default row",
    ),
}


@pytest.mark.parametrize(("command", "told"), ROWS.values(), ids=ROWS)
def test_rows_that_somebody_changes_are_put_right(scene: Scene, command: str, told: str) -> None:
    repaired(scene, command, told or "put right", AT_ONCE if "sticky" not in command else SOON)


LINKS = {
    "port taken from the bridge": ("ip link set vx-{name} nomaster", "was no port of {name}"),
    "device down": ("ip link set vx-{name} down", "vx-{name} was down"),
    "bridge down": ("ip link set {name} down", "{name} was down"),
    "MTU of the device": ("ip link set vx-{name} mtu 1400", "the MTU of vx-{name} was 1400"),
    "MTU of the bridge": ("ip link set {name} mtu 1400", "the MTU of {name} was 1400"),
    "learning of the port": (
        "bridge link set dev vx-{name} learning on",
        "learning of the port vx-{name} was on",
    ),
    "learning of the device": (
        "ip link set vx-{name} type vxlan learning",
        "learning of vx-{name}",
    ),
    "snooping": (
        "ip link set {name} type bridge mcast_snooping 1",
        "mcast_snooping of {name} was 1",
    ),
    "spanning tree": ("ip link set {name} type bridge stp_state 1", "stp_state of {name} was 1"),
    "alias": ("ip link set {name} alias mine", "the alias of {name} was 'mine'"),
    "IPv6 address": ("ip link set vx-{name} addrgenmode eui64", "would give itself"),
    "loopback address": ("ip address del 127.0.0.1/8 dev lo", "no longer an address of lo"),
    "device deleted": ("ip link del vx-{name}", "the device vx-{name} was gone"),
    "bridge deleted": ("ip link del {name}", "the bridge {name} was gone"),
    "both deleted": ("ip link del vx-{name}; ip link del {name}", "was gone"),
}


@pytest.mark.parametrize(("command", "told"), LINKS.values(), ids=LINKS)
def test_links_that_somebody_changes_are_put_right(scene: Scene, command: str, told: str) -> None:
    repaired(scene, command, told, SOON)


def test_with_report_nothing_is_put_right_but_all_is_told(lab: tuple[Lab, list[Host]]) -> None:
    made, hosts = lab
    scene = Scene(made, hosts, 99)
    scene.a.overlayadm("modify", scene.name, "-p", "drift=report")
    scene.do("bridge fdb del {far} dev vx-{name} self; ip link set vx-{name} mtu 1400")

    def told() -> bool:
        text = "; ".join(scene.causes())
        return "was missing" in text and "MTU of vx-blue99 was 1400" in text

    wait_for("both to be told", told, AT_ONCE)
    assert len(scene.rows(scene.far)) == 1
    assert scene.link(f"vx-{scene.name}")["mtu"] == 1400
    # Frames go by way of varpd meanwhile.
    assert scene.web.ping(scene.db.ipv4).lost == 0

    scene.a.overlayadm("modify", scene.name, "-p", "drift=repair")
    scene.wait_until_whole(AT_ONCE)
    wait_for("no more causes", lambda: not scene.causes(), SOON)


@pytest.mark.parametrize("family", [4, 6])
def test_a_point_overlay_keeps_its_one_target(family: Literal[4, 6]) -> None:
    with Lab(family) as made:
        a, b = made.hosts("a", "b")
        for host, other in ((a, b), (b, a)):
            host.create(
                "point", 5, "direct", f"direct/dest_ip={other.address}", "direct/dest_port=4789"
            )
        web, db = a.attach("point", "web"), b.attach("point", "db")
        assert web.ping(db.ipv4).lost == 0
        a.run("bridge", "fdb", "del", DEFAULT, "dev", "vx-point", "dst", str(b.address), "self")

        def whole() -> bool:
            shown = a.run("bridge", "fdb", "show", "dev", "vx-point", check=False).stdout
            return f"{DEFAULT} dst {b.address}" in shown

        wait_for("the default row to be there", whole, AT_ONCE)
        assert web.ping(db.ipv4).lost == 0
        a.run("ip", "link", "del", "vx-point")
        wait_for("the device to be there", whole, SOON)
        a.run("ip", "link", "del", "point")
        wait_for("the guest to be reached", lambda: web.ping(db.ipv4).lost == 0, SOON)


def test_the_punt_address_of_ipv6_is_put_back() -> None:
    with Lab(6) as made:
        a, b = made.hosts("a", "b")
        web, db = made.files_overlay("blue", 7, {"web": a, "db": b})
        shown = a.run("ip", "-6", "-oneline", "address", "show", "dev", "lo").stdout
        (address,) = [word for word in shown.split() if word.startswith("fd76:")]
        a.run("ip", "address", "del", address, "dev", "lo")
        wait_for(
            "the address to be there",
            lambda: address in a.run("ip", "address", "show", "dev", "lo").stdout,
            AT_ONCE,
        )
        assert web.ping(db.ipv6).lost == 0
