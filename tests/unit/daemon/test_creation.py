"""How a request becomes an overlay: what is refused, what is built, what a failure leaves."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest
from msgspec import structs

from support import overlays as support
from support.overlays import REFUSAL, Parts, request
from support.probes import ONE
from support.waiting import until
from varpd.control.messages import ControlError, CreateOverlay, ErrorCode
from varpd.daemon import creation
from varpd.daemon.overlay import Overlay, Plan
from varpd.engine import commands
from varpd.engine.events import EntrySet, LocalAddressesChanged
from varpd.engine.settings import Mode
from varpd.provider.plugin import StopReason
from varpd.provider.properties import Value


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


def plan(wanted: CreateOverlay, defaults: dict[str, Value] | None = None, number: int = 1) -> Plan:
    return creation.plan(wanted, support.surroundings(defaults), number)


def refused(wanted: CreateOverlay) -> ControlError:
    with pytest.raises(ControlError) as caught:
        plan(wanted)
    return caught.value


def test_a_plan_holds_all_that_an_overlay_is() -> None:
    made = plan(request(mtu="1400"), number=3)
    assert (made.name, made.vnetid, made.number, made.mode) == ("blue", 7, 3, Mode.DYNAMIC)
    assert made.values == {
        "vnetid": 7,
        "encap": "vxlan",
        "search": "probe",
        "varpd/id": 3,
        "datapath": "remembering",
        "vxlan/listen_ip": IPv4Address("192.0.2.100"),
        "mtu": 1400,
    }
    assert made.plugin_values == {"probe/site": "north", "probe/shard": 7}


def test_a_point_plugin_makes_a_point_overlay() -> None:
    assert plan(request(search="point")).mode is Mode.POINT


@pytest.mark.parametrize("name", ["a", "blue", "B1", "0.a_b-c", "abcdefghijkl"])
def test_a_name_that_a_link_can_have_is_taken(name: str) -> None:
    assert plan(request(name)).name == name


@pytest.mark.parametrize(
    "name",
    ["", "abcdefghijklm", "-a", ".a", "a b", "a/b", "blü", "all", "default", "lo", "a\n", "."],
)
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    error = refused(request(name))
    assert (error.code, error.field) == (ErrorCode.INVALID, "name")


@pytest.mark.parametrize("vnetid", [0, 1, (1 << 24) - 1])
def test_a_vnetid_within_the_encapsulations_range_is_taken(vnetid: int) -> None:
    assert plan(request(vnetid=vnetid)).settings().vnetid == vnetid


@pytest.mark.parametrize("vnetid", [-1, 1 << 24, 1 << 64])
def test_a_vnetid_beyond_it_is_refused_with_the_range(vnetid: int) -> None:
    error = refused(request(vnetid=vnetid))
    assert (error.code, error.field) == (ErrorCode.INVALID, "vnetid")
    assert "0-16777215" in error.message


def test_an_unknown_plugin_lists_the_known_ones() -> None:
    error = refused(CreateOverlay("blue", 7, "filez"))
    assert (error.code, error.field) == (ErrorCode.INVALID, "search")
    assert "eager, picky, point, probe, steered" in error.message


def test_an_unknown_encapsulation_lists_the_known_ones() -> None:
    error = refused(CreateOverlay("blue", 7, "probe", encap="gre"))
    assert (error.code, error.field) == (ErrorCode.INVALID, "encap")
    assert "vxlan" in error.message


def test_required_properties_of_all_owners_are_named_at_once() -> None:
    error = refused(CreateOverlay("blue", 7, "probe"))
    assert error.code is ErrorCode.MISSING
    assert "vxlan/listen_ip, probe/site, probe/shard" in error.message


def test_the_configuration_can_give_what_is_required() -> None:
    wanted = CreateOverlay("blue", 7, "probe", properties={"probe/site": "a", "probe/shard": "1"})
    made = plan(wanted, {"vxlan/listen_ip": IPv4Address("192.0.2.5")})
    assert made.settings().listen_ip == IPv4Address("192.0.2.5")


def test_an_unknown_property_lists_the_known_ones() -> None:
    error = refused(request(speed="5"))
    assert error.field == "speed"
    assert "mtu" in error.message
    assert "probe/site" in error.message


def test_a_list_that_means_nothing_is_refused() -> None:
    error = refused(request(vxlan__local_ips="here"))
    assert (error.code, error.field) == (ErrorCode.INVALID, "vxlan/local_ips")


def test_a_number_is_the_smallest_that_is_free() -> None:
    assert creation.free_number([]) == 1
    assert creation.free_number([1, 2, 4]) == 3
    with pytest.raises(ControlError, match="65535 overlays"):
        creation.free_number(range(1, 65536))


def overlay_of(parts: Parts, wanted: CreateOverlay) -> Overlay:
    made = plan(wanted)
    return Overlay(made, parts.instance(made))


def nothing_is_left(parts: Parts) -> bool:
    parts.runner.feed(EntrySet("blue", b"\2\0\0\0\0\1", ONE))  # an engine that knows it takes it
    return (
        parts.datapath.links == {}
        and parts.runner.instances == {}
        and parts.engine.entries("blue") == []
        and len(parts.tasks) == 0
    )


async def test_what_is_built_has_links_and_an_instance(parts: Parts) -> None:
    overlay = overlay_of(parts, request(mtu="1400"))
    await creation.build(overlay, parts.runner)
    try:
        link = parts.datapath.links["blue"]
        assert (link.vnetid, link.listen_port, link.number) == (7, 4789, 1)
        assert (link.mode, link.mtu, link.default) == (Mode.DYNAMIC, 1400, None)
        assert overlay.links is not None
        assert overlay.links.mtu == 1400
        assert parts.runner.instances == {"blue": overlay.instance}
    finally:
        parts.runner.instances.clear()
        await overlay.instance.stop(StopReason.DELETED)


async def test_the_links_of_a_point_overlay_are_made_with_its_target(parts: Parts) -> None:
    await parts.service.create(request(search="point"))
    assert parts.datapath.links["blue"].default == ONE


async def test_what_a_plugin_says_at_its_start_becomes_rows_once_there_are_links(
    parts: Parts,
) -> None:
    parts.datapath.gate = asyncio.Event()
    creating = parts.tasks.start(parts.service.create(request(search="eager")), "create")
    await until(lambda: parts.engine.entries("blue"))
    assert parts.datapath.commands == []

    parts.datapath.gate.set()
    await creating

    (install,) = parts.datapath.commands
    assert isinstance(install, commands.Install)
    assert install.macs == [b"\2\0\0\0\0\x77"]


@pytest.mark.parametrize("search", ["probe", "point"])
async def test_when_the_links_cannot_be_made_nothing_is_left(parts: Parts, search: str) -> None:
    parts.datapath.failing["open"] = REFUSAL
    with pytest.raises(ControlError) as caught:
        await creation.build(overlay_of(parts, request(search=search)), parts.runner)
    assert caught.value.code is ErrorCode.CONFLICT
    assert nothing_is_left(parts)


async def test_when_a_plugin_refuses_nothing_is_left(parts: Parts) -> None:
    wanted = request(probe__site="nowhere")
    with pytest.raises(ControlError) as caught:
        await creation.build(overlay_of(parts, wanted), parts.runner)
    assert (caught.value.code, caught.value.field) == (ErrorCode.INVALID, "probe/site")
    assert "open blue" not in parts.datapath.log
    assert nothing_is_left(parts)


async def test_a_plugin_that_cannot_serve_the_encapsulation_is_refused_with_both_names(
    parts: Parts,
) -> None:
    with pytest.raises(ControlError) as caught:
        await creation.build(overlay_of(parts, request(search="picky")), parts.runner)
    assert caught.value.code is ErrorCode.UNSUPPORTED
    for part in ("picky", "only ETHERNET", "vxlan", "IP+PORT"):
        assert part in caught.value.message
    assert nothing_is_left(parts)


async def test_a_point_plugin_without_a_destination_is_refused(parts: Parts) -> None:
    with pytest.raises(ControlError, match="destination"):
        await creation.build(
            overlay_of(parts, request(search="steered", steered__to="0")), parts.runner
        )
    assert nothing_is_left(parts)


async def test_a_point_plugin_whose_destination_is_this_host_is_refused(parts: Parts) -> None:
    parts.runner.feed(LocalAddressesChanged(frozenset({IPv4Address("192.0.2.9")})))
    with pytest.raises(ControlError, match=r"192\.0\.2\.9:4789 is this host itself") as caught:
        await creation.build(
            overlay_of(parts, request(search="steered", steered__to="9")), parts.runner
        )
    assert caught.value.code is ErrorCode.INVALID
    assert "open blue" not in parts.datapath.log
    assert nothing_is_left(parts)


async def test_a_caller_who_goes_away_leaves_nothing(parts: Parts) -> None:
    parts.datapath.gate = asyncio.Event()
    building = parts.tasks.start(
        creation.build(overlay_of(parts, request()), parts.runner), "build"
    )
    await until(lambda: "blue" in parts.runner.instances)
    building.cancel()
    await asyncio.wait([building])
    parts.datapath.gate = None
    assert building.cancelled()
    assert nothing_is_left(parts)


async def test_an_overlay_without_a_listen_address_is_not_tried(parts: Parts) -> None:
    made = plan(request())
    without = {name: value for name, value in made.values.items() if name != "vxlan/listen_ip"}
    overlay = Overlay(structs.replace(made, values=without), parts.instance(made))
    with pytest.raises(ControlError) as caught:
        await creation.build(overlay, parts.runner)
    assert caught.value.code is ErrorCode.MISSING
    assert nothing_is_left(parts)
