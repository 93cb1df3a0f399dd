"""One overlay: what its plan means for the parts, and that one at a time changes it."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest
from msgspec import structs

from support import overlays as support
from support.overlays import Parts, request
from support.waiting import until
from varpd.control.messages import ControlError
from varpd.daemon import creation
from varpd.daemon.overlay import Overlay, Plan
from varpd.provider.answers import Target
from varpd.provider.errors import PropertyMissing


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


def plan(**values: str) -> Plan:
    return creation.plan(request("blue", "probe", 7, **values), support.surroundings(), 1)


@pytest.fixture
async def overlay(parts: Parts) -> Overlay:
    made = plan()
    return Overlay(made, parts.instance(made))


def test_a_plan_tells_the_instance_what_concerns_it() -> None:
    settings = plan(lookup_timeout="3", preload="on", limit_targets="100").instance_settings()
    assert (settings.lookup_timeout, settings.preload, settings.max_targets) == (3.0, True, 100)
    assert plan().instance_settings().preload is False


def test_a_plan_knows_where_this_host_receives_frames() -> None:
    here = plan(vxlan__listen_port="8472").local()
    assert here == Target(ip=IPv4Address("192.0.2.100"), port=8472)


def test_without_a_listen_address_that_is_not_known() -> None:
    made = plan()
    without = {name: value for name, value in made.values.items() if name != "vxlan/listen_ip"}
    assert structs.replace(made, values=without).local() is None


def test_a_change_replaces_adds_and_takes_away_values_and_sets_the_plugins_apart() -> None:
    made = plan(mtu="1400", negative_ttl="5")
    changed, inner = made.changed(
        {"mtu": None, "negative_ttl": 6, "preload": "on", "probe/site": "south"}
    )
    assert inner == {"probe/site": "south"}
    assert "mtu" not in changed.values
    assert (changed.values["negative_ttl"], changed.values["preload"]) == (6, "on")
    assert changed.values["vxlan/listen_ip"] == made.values["vxlan/listen_ip"]


async def test_a_link_has_the_mtu_that_is_set_or_none(overlay: Overlay) -> None:
    assert overlay.link().mtu is None
    changed, _ = overlay.plan.changed({"mtu": 1400})
    assert overlay.link(changed).mtu == 1400


async def test_a_link_needs_a_listen_address(overlay: Overlay) -> None:
    changed, _ = overlay.plan.changed({"vxlan/listen_ip": None})
    with pytest.raises(PropertyMissing, match="vxlan/listen_ip"):
        overlay.link(changed)


async def test_a_second_change_waits_for_the_first(overlay: Overlay, parts: Parts) -> None:
    order: list[str] = []
    go_on = asyncio.Event()

    async def first() -> None:
        async with overlay.changing():
            order.append("first begins")
            await go_on.wait()
            order.append("first ends")

    async def second() -> None:
        async with overlay.changing():
            order.append("second")

    started = parts.tasks.start(first(), "first")
    await until(lambda: order)
    waiting = parts.tasks.start(second(), "second")
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait([started, waiting])
    assert order == ["first begins", "first ends", "second"]


async def test_what_is_left_of_a_deletion_can_only_be_deleted(overlay: Overlay) -> None:
    overlay.check_works()
    overlay.stopped = "its links could not be removed"
    with pytest.raises(ControlError, match="can only be deleted: its links"):
        overlay.check_works()
