"""In what links are not as they should be; that they are put right is tried with real ones."""

from typing import Any, cast

import pytest
from msgspec import structs

from support.linux_host import make_link
from varpd.datapath.linux import link_check, links, names
from varpd.datapath.linux.kernel import LinkInfo, Tunnel
from varpd.datapath.linux.link_check import Port
from varpd.engine.settings import Mode

LINK = make_link()
BRIDGE = LinkInfo(
    index=6,
    name="blue",
    kind="bridge",
    alias=names.alias("blue"),
    mac="02:00:00:00:00:06",
    mtu=1500,
    master=0,
    up=True,
    tunnel=None,
    settings=dict(links.BRIDGE_SETTINGS),
)
TUNNEL = Tunnel(42, LINK.listen_ip, 4789, learning=False, localbypass=False)
DEVICE = LinkInfo(
    index=7,
    name="vx-blue",
    kind="vxlan",
    alias=names.alias("blue"),
    mac="02:00:00:00:00:07",
    mtu=1500,
    master=6,
    up=True,
    tunnel=TUNNEL,
    learning=False,
)


def bridge(least: int | None = None, **changes: Any) -> list[str]:
    return link_check.of_bridge(LINK, structs.replace(BRIDGE, **changes), least)


def device(**changes: Any) -> list[str]:
    return link_check.of_device(LINK, structs.replace(DEVICE, **changes), BRIDGE.index)


def test_links_as_varpd_makes_them() -> None:
    assert bridge() == device() == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"up": False}, "blue was down"),
        ({"alias": "mine"}, "the alias of blue was 'mine'"),
        ({"name": "red"}, "blue was renamed to red"),
        ({"own_address": True}, "blue would give itself an IPv6 address"),
        ({"mtu": 9000}, "the MTU of blue was 9000, not 1500"),
        ({"mtu": 1400}, "the MTU of blue was 1400, not 1500"),
        (
            {"settings": links.BRIDGE_SETTINGS | {"br_mcast_snooping": 1}},
            "mcast_snooping of blue was 1, not 0",
        ),
    ],
)
def test_a_bridge_that_was_changed(changes: dict[str, Any], text: str) -> None:
    assert bridge(**changes) == [text]


def test_a_setting_that_the_kernel_does_not_know_is_no_difference() -> None:
    assert bridge(settings={"br_stp_state": 0}) == []


def test_the_mtu_of_a_guests_port_is_no_difference() -> None:
    assert bridge(1400, mtu=1400) == []
    assert bridge(1300, mtu=1400) == ["the MTU of blue was 1400, not 1500"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"up": False}, "vx-blue was down"),
        ({"mtu": 1400}, "the MTU of vx-blue was 1400, not 1500"),
        ({"master": 0}, "vx-blue was no port of blue"),
        ({"learning": True}, "learning of the port vx-blue was on"),
        (
            {"tunnel": structs.replace(TUNNEL, learning=True)},
            "learning of vx-blue was on",
        ),
        (
            {"tunnel": structs.replace(TUNNEL, localbypass=True)},
            "localbypass of vx-blue was on",
        ),
    ],
)
def test_a_device_that_was_changed(changes: dict[str, Any], text: str) -> None:
    assert device(**changes) == [text]


def test_a_point_overlay_learns_on_its_port() -> None:
    link = make_link(mode=Mode.POINT)
    assert link_check.of_device(link, structs.replace(DEVICE, learning=True), 6) == []
    assert link_check.of_device(link, DEVICE, 6) == ["learning of the port vx-blue was off"]


class Ports:
    """A kernel that knows guests' ports."""

    def __init__(self, *ports: LinkInfo) -> None:
        self._ports = {port.index: port for port in ports}
        self.done: list[tuple[int, int]] = []

    def link_at(self, index: int) -> LinkInfo | None:
        return self._ports.get(index)

    def set_master(self, index: int, bridge: int) -> None:
        self.done.append((index, bridge))


def test_ports_come_back_unless_their_owner_has_done_something_else_with_them() -> None:
    port = structs.replace(DEVICE, name="tap0", index=20, master=0)
    elsewhere = structs.replace(port, name="tap1", index=21, master=99)
    another = structs.replace(port, name="other", index=22)
    kernel = Ports(port, elsewhere, another)
    known = [Port(f"tap{at}", 20 + at) for at in range(4)]
    assert link_check.put_back(cast(Any, kernel), 16, known) == ["tap0"]
    assert kernel.done == [(20, 16)]
