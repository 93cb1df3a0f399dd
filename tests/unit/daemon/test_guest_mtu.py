"""Which MTU guests may have."""

import asyncio
from ipaddress import ip_address

from support.overlays import RememberingDatapath
from varpd.daemon.guest_mtu import SLICE, guest_mtu
from varpd.datapath.base import Link, LinkState
from varpd.datapath.encapsulation import VXLAN
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

LINKS = LinkState("blue", "vx-blue", 1500, ())
V4, OTHER_V4 = (Target(ip_address(ip), 4789) for ip in ("192.0.2.1", "192.0.2.2"))
V6 = Target(ip_address("2001:db8::2"), 4789)


def link(listen_ip: str = "192.0.2.100") -> Link:
    return Link("blue", 7, VXLAN.name, Mode.DYNAMIC, 1, ip_address(listen_ip), 4789)


def datapath(**paths: int) -> RememberingDatapath:
    made = RememberingDatapath(lambda _: None)
    made.paths = {ip_address(address): mtu for address, mtu in paths.items()}
    return made


async def test_wrapping_takes_50_bytes_over_ipv4_and_70_over_ipv6() -> None:
    assert await guest_mtu(datapath(), link(), LINKS, [V4]) == 1450
    assert await guest_mtu(datapath(), link("2001:db8::1"), LINKS, [V6]) == 1430


async def test_the_narrowest_path_counts() -> None:
    paths = datapath(**{"192.0.2.1": 9000, "192.0.2.2": 1280})
    assert await guest_mtu(paths, link(), LINKS, [V4, OTHER_V4]) == 1230


async def test_the_links_let_no_more_through_than_their_own_mtu() -> None:
    assert await guest_mtu(datapath(**{"192.0.2.1": 9000}), link(), LINKS, [V4]) == 1500


async def test_a_target_without_a_route_counts_for_nothing() -> None:
    paths = datapath(**{"192.0.2.1": 0})
    assert await guest_mtu(paths, link(), LINKS, [V4]) is None
    assert await guest_mtu(paths, link(), LINKS, [V4, OTHER_V4]) == 1450


async def test_nothing_is_known_without_targets() -> None:
    assert await guest_mtu(datapath(), link(), LINKS, []) is None


async def test_other_work_has_its_turn_while_many_paths_are_asked_about() -> None:
    first = int(ip_address("10.0.0.1"))
    targets = [Target(ip_address(first + number), 4789) for number in range(4 * SLICE)]
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        other = group.create_task(work())
        await guest_mtu(datapath(), link(), LINKS, targets)
        other.cancel()
    assert turns >= 4
