"""What the daemon finds out about itself."""

import os
from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest

from support import overlays as support
from support import stories
from support.overlays import REFUSAL, Parts, request
from varpd.control.diagnosis import PATHS_MAX, PathInfo, PuntInfo
from varpd.control.messages import SetPort
from varpd.daemon.examination import look_at_process, not_at_work
from varpd.datapath.base import PuntState

MAC = "02:00:00:00:00:01"


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


async def test_an_overlay_is_told_with_all_that_may_be_wrong(parts: Parts) -> None:
    await parts.service.create(request(mtu="1400"))
    parts.datapath.punts = PuntState("blue: closed", 212_992, 100, 3)
    found = await parts.service.diagnosis()
    (overlay,) = found.overlays
    assert overlay.overlay == (await parts.service.overlays(["blue"]))[0]
    assert (overlay.listen_ip, overlay.listen_port, overlay.overhead) == ("192.0.2.100", 4789, 50)
    assert (overlay.bridge, overlay.device, overlay.mtu) == ("blue", "vx-blue", 1400)
    assert overlay.punt == PuntInfo("blue: closed", 212_992, 100, 3)
    assert (found.ready, found.datapath, found.pid) == (True, "remembering", os.getpid())


async def test_the_narrowest_paths_are_told_and_first_those_without_a_route(parts: Parts) -> None:
    await parts.service.create(request())
    for number in range(1, PATHS_MAX + 3):
        await parts.service.set_entry("blue", f"02:00:00:00:01:{number:02x}", f"192.0.2.{number}:1")
    parts.datapath.paths = {IPv4Address("192.0.2.9"): 1300, IPv4Address("192.0.2.8"): 0}
    (overlay,) = (await parts.service.diagnosis()).overlays
    assert overlay.paths[:2] == (PathInfo("192.0.2.8", None), PathInfo("192.0.2.9", 1300))
    assert (len(overlay.paths), overlay.paths_total) == (PATHS_MAX, PATHS_MAX + 2)


async def test_ports_that_may_send_nothing_are_told(parts: Parts) -> None:
    await parts.service.create(request(antispoof="mac"))
    await parts.service.set_port("blue", "tap0", SetPort(mac=MAC))
    parts.datapath.ports["blue"] = ("tap0", "tap1")
    (overlay,) = (await parts.service.diagnosis()).overlays
    assert overlay.blocked == ("tap1",)
    parts.datapath.failing["state"] = REFUSAL
    (overlay,) = (await parts.service.diagnosis()).overlays
    assert overlay.blocked == ()


async def test_a_point_overlay_punts_nothing(parts: Parts) -> None:
    await parts.service.create(request(search="point"))
    (overlay,) = (await parts.service.diagnosis()).overlays
    assert overlay.punt is None
    assert [path.mtu for path in overlay.paths] == [1500]


async def test_an_overlay_that_goes_meanwhile_is_no_error(parts: Parts) -> None:
    await parts.service.create(request())
    parts.datapath.failing["try_punt"] = REFUSAL
    (overlay,) = (await parts.service.diagnosis()).overlays
    assert overlay.punt is None


def test_of_an_overlay_that_is_not_at_work_there_is_little_to_say() -> None:
    info = stories.info(
        state="degraded", properties={"vxlan/listen_ip": "2001:db8::1", "vxlan/listen_port": 8472}
    )
    found = not_at_work(info)
    assert (found.listen_ip, found.listen_port, found.overhead) == ("2001:db8::1", 8472, 70)
    assert (found.bridge, found.punt, found.paths) == (None, None, ())
    strange = not_at_work(stories.info(encap="gone"))
    assert (strange.listen_ip, strange.listen_port, strange.overhead) == (None, None, 0)


async def test_a_daemon_that_ends_says_so(parts: Parts) -> None:
    parts.service.close()
    found = await parts.service.diagnosis()
    assert (found.ready, found.detail) == (False, "varpd ends")


def test_the_kernel_says_where_a_process_is_and_what_it_may_do() -> None:
    found = look_at_process()
    assert found.namespace is not None
    assert found.namespace.startswith("net:[")
    assert found.capabilities is not None
