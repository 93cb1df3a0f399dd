"""Links of overlays in the real kernel: as designed, taken over, changed and gone again."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest
from pyroute2 import IPRoute

from support.linux_host import (
    Recorder,
    defaults,
    link_names,
    make_link,
    run,
    running,
    show_fdb,
    show_link,
    target,
)
from support.namespaces import Namespace
from support.netlink_watch import NetlinkWatch
from varpd.datapath.base import Row
from varpd.datapath.linux import link_attributes, names
from varpd.engine.commands import Install, InstallReplicas, RemoveRows, SetDefaultTarget
from varpd.engine.events import RowsAdopted
from varpd.engine.settings import Mode
from varpd.net.addresses import MacAddress

pytestmark = pytest.mark.integration

MAC = b"\x02\x00\x00\x00\x00\x09"
OTHER = b"\x02\x00\x00\x00\x00\x0a"
GROUP = b"\x01\x00\x5e\x01\x02\x03"


def settings(shown: dict[str, Any]) -> dict[str, Any]:
    data = shown["linkinfo"]["info_data"]
    assert isinstance(data, dict)
    return data


def macs_learned_at_most(bridge: str) -> int:
    """Return how many MACs a bridge learns, 0 for any number; `ip` may be too old to show it."""
    link_attributes.register()
    with IPRoute() as route:
        (shown,) = route.link("get", ifname=bridge)
    number = shown.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_BR_FDB_MAX_LEARNED")
    assert isinstance(number, int)
    return number


async def test_a_bridge_learns_a_bounded_number_of_macs(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
        assert await asyncio.to_thread(host.call, macs_learned_at_most, "blue") == 4096


async def test_bridge_and_device_are_as_designed(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        state = await datapath.open(make_link())
        bridge, device = await show_link(host, "blue"), await show_link(host, "vx-blue")

    assert (state.bridge, state.device, state.mtu, state.ports) == ("blue", "vx-blue", 1500, ())
    for shown in (bridge, device):
        assert shown["ifalias"] == "varpd:blue"
        assert int(shown["group"]) == names.GROUP
        assert shown["inet6_addr_gen_mode"] == "none"
        assert shown["mtu"] == 1500
        assert "UP" in shown["flags"]
        assert int(shown["address"][:2], 16) & 0x03 == 0x02
    assert bridge["address"] != device["address"]
    assert settings(bridge)["stp_state"] == 0
    assert settings(bridge)["mcast_snooping"] == 0
    tunnel = settings(device)
    assert (tunnel["id"], tunnel["local"], tunnel["port"]) == (42, "192.0.2.1", 4789)
    assert tunnel["learning"] is False
    assert tunnel["udp_zero_csum6_tx"] is False
    assert device["master"] == "blue"
    assert device["linkinfo"]["info_slave_data"]["state"] == "forwarding"
    assert device["linkinfo"]["info_slave_data"]["learning"] is False
    assert await defaults(host, "vx-blue") == ["127.86.0.7"]


async def test_an_ipv6_underlay_has_its_punt_address_on_the_loopback_interface(
    host: Namespace,
) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link(listen_ip="2001:db8::1"))
        assert settings(await show_link(host, "vx-blue"))["local6"] == "2001:db8::1"
        assert await defaults(host, "vx-blue") == ["fd76:6172:7064::7"]
        assert "fd76:6172:7064::7/128" in await run(host, "ip", "address", "show", "lo")

        await datapath.close("blue")

        assert "fd76" not in await run(host, "ip", "address", "show", "lo")


async def test_a_point_overlay_sends_everything_to_its_target_and_the_bridge_learns(
    host: Namespace,
) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link(mode=Mode.POINT, default=target("198.51.100.1")))
        device = await show_link(host, "vx-blue")
        assert device["linkinfo"]["info_slave_data"]["learning"] is True
        assert await defaults(host, "vx-blue") == ["198.51.100.1"]

        datapath.apply([SetDefaultTarget("blue", target("198.51.100.2", 99))])
        await datapath.settle()

        assert await datapath.dump("blue") == [Row(bytes(6), (target("198.51.100.2", 99),))]
        # To the same target again: still exactly one.
        datapath.apply([SetDefaultTarget("blue", target("198.51.100.2", 99))])
        await datapath.settle()
        assert await datapath.dump("blue") == [Row(bytes(6), (target("198.51.100.2", 99),))]


async def test_opening_twice_is_opening_once(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
        datapath.apply([Install("blue", target("198.51.100.1"), [MAC], [])])
        await datapath.settle()
        before = await show_link(host, "vx-blue")

        await datapath.open(make_link())

        assert (await show_link(host, "vx-blue"))["ifindex"] == before["ifindex"]
        assert await datapath.dump("blue") == [Row(MAC, (target("198.51.100.1"),))]


async def test_the_mtu_changes_on_both_links(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link(mtu=1400))
        assert (await datapath.change(make_link(mtu=8900))).mtu == 8900
        assert (await show_link(host, "blue"))["mtu"] == 8900
        assert (await show_link(host, "vx-blue"))["mtu"] == 8900
        assert (await datapath.change(make_link())).mtu == 1500


async def test_links_have_no_address_after_an_mtu_too_small_for_ipv6(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link(mtu=576))
        for mtu in (1500, 600, 8900):
            assert (await datapath.change(make_link(mtu=mtu))).mtu == mtu
        for name in ("blue", "vx-blue"):
            assert (await show_link(host, name))["inet6_addr_gen_mode"] == "none"
            assert "inet6" not in await run(host, "ip", "address", "show", "dev", name)


async def test_the_mtu_shown_is_not_that_of_a_guests_port(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
        port = ("ip", "link", "add", "p1", "mtu", "1400", "master", "blue", "up", "type", "veth")
        await run(host, *port, "peer", "name", "p2")
        state = await datapath.state("blue")
        assert (state.mtu, state.ports) == (1500, ("p1",))


async def test_closing_leaves_nothing_even_of_a_large_table(host: Namespace) -> None:
    macs = [b"\x02\x10" + number.to_bytes(4, "big") for number in range(5_000)]
    async with running(Recorder()) as datapath:
        await run(host, "ip", "link", "add", "port", "type", "veth", "peer", "name", "guest")
        before = await link_names(host)
        await datapath.open(make_link())
        await run(host, "ip", "link", "set", "port", "master", "blue")
        datapath.apply([Install("blue", target("198.51.100.1"), macs, [])])
        await datapath.settle()
        assert len(await datapath.dump("blue")) == len(macs)

        await datapath.close("blue")
        await datapath.close("blue")

        assert await link_names(host) == before
        assert await datapath.dump("blue") == []


async def test_the_dump_has_whole_rows_only(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
        datapath.apply(
            [
                Install("blue", target("198.51.100.1", 99), [MAC], []),
                InstallReplicas("blue", GROUP, (target("198.51.100.1"), target("198.51.100.2"))),
            ]
        )
        await datapath.settle()
        # Half a pair, which sends nothing anywhere.
        await run(
            host,
            *("bridge", "fdb", "add", "02:00:00:00:00:55", "dev", "vx-blue"),
            *("dst", "198.51.100.9", "self", "static"),
        )

        rows = {row.mac: row.targets for row in await datapath.dump("blue")}

    assert rows[MAC] == (target("198.51.100.1", 99),)
    assert set(rows[GROUP]) == {target("198.51.100.1"), target("198.51.100.2")}
    assert len(rows) == 2


KILLED = """
import asyncio, os, sys
from support.linux_host import Recorder, make_link, target
from varpd.datapath.linux.datapath import LinuxDatapath
from varpd.engine.commands import Install

async def main():
    datapath = LinuxDatapath(Recorder())
    await datapath.start()
    await datapath.open(make_link({arguments}))
    datapath.apply([Install("blue", target({far!r}), [bytes([2, 0, 0, 0, 0, 9])], [])])
    await datapath.settle()
    sys.stdout.flush()
    os._exit(9)

asyncio.run(main())
"""


def kill_one(arguments: str = "", far: str = "198.51.100.1") -> None:
    """Let another varpd make an overlay and be killed; it inherits this thread's namespace."""
    script = KILLED.format(arguments=arguments, far=far)
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.returncode == 9, done.stderr


@pytest.fixture
def killed(host: Namespace) -> None:
    """An overlay that a killed varpd left, with a guest's port on its bridge."""
    kill_one()
    host.run("ip", "link", "add", "port", "type", "veth", "peer", "name", "guest")
    host.run("ip", "link", "set", "port", "master", "blue")


@pytest.mark.usefixtures("killed")
async def test_what_a_killed_varpd_left_is_taken_over_and_nothing_is_written(
    host: Namespace,
) -> None:
    sink = Recorder()
    async with running(sink) as datapath:
        with NetlinkWatch() as watch:
            state = await datapath.open(make_link())
            await datapath.settle()
            assert watch.told() == []
            datapath.apply([Install("blue", target("198.51.100.2"), [OTHER], [])])
            await datapath.settle()
            assert {one.mac for one in watch.rows()} == {OTHER}, "what is written is told"
            datapath.apply([RemoveRows("blue", [OTHER])])
            await datapath.settle()

        assert state.ports == ("port",)
        assert sink.of(RowsAdopted) == [RowsAdopted("blue", [(MAC, (target("198.51.100.1"),))], [])]
        assert await datapath.dump("blue") == [Row(MAC, (target("198.51.100.1"),))]
        assert await defaults(host, "vx-blue") == ["127.86.0.7"]


@pytest.mark.usefixtures("killed")
async def test_half_rows_and_loose_rows_are_told_as_torn(host: Namespace) -> None:
    half, alone, loose = (f"02:00:00:00:01:0{number}" for number in range(3))
    fdb = ("bridge", "fdb", "add")
    await run(host, *fdb, half, "dev", "vx-blue", "dst", "198.51.100.2", "self", "static")
    await run(host, *fdb, alone, "dev", "vx-blue", "master", "static", "sticky")
    await run(host, *fdb, loose, "dev", "vx-blue", "dst", "198.51.100.3", "self", "static")
    await run(host, *fdb, loose, "dev", "vx-blue", "master", "static")
    sink = Recorder()
    async with running(sink) as datapath:
        await datapath.open(make_link())
    torn = {
        MacAddress(mac): targets for event in sink.of(RowsAdopted) for mac, targets in event.torn
    }
    assert torn == {
        MacAddress.parse(half): (target("198.51.100.2"),),
        MacAddress.parse(alone): (),
        MacAddress.parse(loose): (target("198.51.100.3"),),
    }


@pytest.mark.usefixtures("killed")
async def test_a_new_number_moves_the_punt_address(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link(number=300))
        assert await defaults(host, "vx-blue") == ["127.86.1.44"]


async def test_an_old_punt_address_goes_from_the_loopback_interface(host: Namespace) -> None:
    await asyncio.to_thread(kill_one, "listen_ip='2001:db8::1'", far="2001:db8::99")
    async with running(Recorder()) as datapath:
        await datapath.open(make_link(listen_ip="2001:db8::1", number=8))
        assert await defaults(host, "vx-blue") == ["fd76:6172:7064::8"]
        assert "fd76:6172:7064::7/" not in await run(host, "ip", "address", "show", "lo")


async def test_an_old_punt_address_that_is_now_another_overlays_stays(host: Namespace) -> None:
    v6 = "2001:db8::1"
    await asyncio.to_thread(kill_one, f"listen_ip='{v6}', number=1", far="2001:db8::99")
    await asyncio.to_thread(kill_one, f"name='red', listen_ip='{v6}', number=2, vnetid=43")
    async with running(Recorder()) as datapath:
        await datapath.open(make_link("red", v6, number=1, vnetid=43))
        await datapath.open(make_link("blue", v6, number=2))
        shown = await run(host, "ip", "address", "show", "lo")
        assert "fd76:6172:7064::1/" in shown
        assert "fd76:6172:7064::2/" in shown
        for name in ("blue", "red"):
            await datapath.close(name)
        assert "fd76" not in await run(host, "ip", "address", "show", "lo")


async def test_the_punt_address_of_a_device_that_does_not_fit_goes_too(host: Namespace) -> None:
    await asyncio.to_thread(kill_one, "listen_ip='2001:db8::1'", far="2001:db8::99")
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
        assert await defaults(host, "vx-blue") == ["127.86.0.7"]
        assert "fd76" not in await run(host, "ip", "address", "show", "lo")


@pytest.mark.usefixtures("killed")
async def test_a_device_that_does_not_fit_is_made_anew_and_guests_stay(host: Namespace) -> None:
    before = await show_link(host, "blue")
    async with running(Recorder()) as datapath:
        state = await datapath.open(make_link(vnetid=43))

        assert state.ports == ("port",)
        assert settings(await show_link(host, "vx-blue"))["id"] == 43
        assert (await show_link(host, "blue"))["ifindex"] == before["ifindex"]


@pytest.mark.usefixtures("killed")
async def test_closing_removes_what_another_life_left(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.close("blue")
    assert not {"blue", "vx-blue"} & await link_names(host)


async def test_a_bridge_without_an_alias_but_with_our_mac_was_left_half_made(
    host: Namespace,
) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
        mac = (await show_link(host, "blue"))["address"]
        await datapath.close("blue")
        await run(host, "ip", "link", "add", "blue", "address", mac, "type", "bridge")

        await datapath.open(make_link())

        assert (await show_link(host, "blue"))["ifalias"] == "varpd:blue"


async def test_stopping_leaves_links_and_rows(host: Namespace) -> None:
    async with running(Recorder()) as datapath:
        await datapath.open(make_link())
        datapath.apply([Install("blue", target("198.51.100.1"), [MAC], [])])
    assert [row for row in await show_fdb(host, "vx-blue") if "sticky" in row["flags"]]
