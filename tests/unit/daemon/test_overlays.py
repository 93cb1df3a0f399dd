"""All overlays of a host: made, changed wholly or not at all, removed, ended."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import IPv4Address

import pytest
from msgspec import structs

from support import overlays as support
from support.overlays import REFUSAL, Parts, request
from support.probes import KNOWN, ONE, GoodProbe
from support.waiting import until
from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon.degradation import CauseKind
from varpd.daemon.turn import CHANGE_TIMEOUT
from varpd.engine import commands
from varpd.engine.events import LocalAddressesChanged
from varpd.provider.answers import Target
from varpd.provider.plugin import StopReason
from varpd.provider.properties import PropertyType, Protection
from varpd.store.base import Phase, StoreError

FULL = StoreError("the file system is full; nothing was changed")
ROWS_GO = commands.RemoveRows

OTHER = {
    "vxlan/listen_ip": "192.0.2.9",
    "vxlan/local_ips": "198.51.100.1",
    "vxlan/underlay": "eth0,eth1",
    "allow_from": "192.0.2.0/24,198.51.100.1",
}
"""Values of properties for which any text will not do."""


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


async def test_overlays_are_kept_in_the_order_of_their_names(parts: Parts) -> None:
    await parts.overlays.create(request("red", vnetid=1))
    await parts.overlays.create(request("blue", vnetid=2))
    assert [overlay.name for overlay in parts.overlays.all()] == ["blue", "red"]
    assert parts.overlays.find("red").plan.vnetid == 1


async def test_each_overlay_has_a_number_and_a_freed_one_is_used_again(parts: Parts) -> None:
    for number, name in enumerate(("blue", "green", "red"), start=1):
        overlay = await parts.overlays.create(request(name, vnetid=number))
        assert overlay.plan.number == number
    await parts.overlays.remove(parts.overlays.find("green"))
    assert (await parts.overlays.create(request("grey", vnetid=9))).plan.number == 2


async def test_a_name_is_taken_once_also_while_the_first_is_being_made(parts: Parts) -> None:
    parts.datapath.gate = asyncio.Event()
    first = parts.tasks.start(parts.overlays.create(request()), "first")
    await until(lambda: "blue" in parts.runner.instances)
    with pytest.raises(ControlError) as caught:
        await parts.overlays.create(request(vnetid=8))
    assert (caught.value.code, caught.value.field) == (ErrorCode.EXISTS, "name")
    assert parts.overlays.all() == []
    parts.datapath.gate.set()
    await first


async def test_a_vnetid_is_taken_once_also_while_the_first_is_being_made(parts: Parts) -> None:
    parts.datapath.gate = asyncio.Event()
    first = parts.tasks.start(parts.overlays.create(request()), "first")
    await until(lambda: "blue" in parts.runner.instances)
    with pytest.raises(ControlError, match="belongs to overlay blue"):
        await parts.overlays.create(request("red"))
    parts.datapath.gate.set()
    await first


async def test_after_a_failure_name_number_and_vnetid_are_free(parts: Parts) -> None:
    parts.datapath.failing["open"] = REFUSAL
    with pytest.raises(ControlError):
        await parts.overlays.create(request())
    parts.datapath.failing.clear()
    assert (await parts.overlays.create(request())).plan.number == 1


async def test_an_overlay_that_is_not_there_is_not_found(parts: Parts) -> None:
    with pytest.raises(ControlError) as caught:
        parts.overlays.find("blue")
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_new_defaults_hold_for_overlays_that_are_made_afterwards(parts: Parts) -> None:
    before = await parts.overlays.create(request())
    parts.overlays.set_defaults({"mtu": 1300})
    after = await parts.overlays.create(request("red", vnetid=8))
    assert (before.plan.effective().get("mtu"), after.plan.effective()["mtu"]) == (None, 1300)


async def test_properties_of_all_owners_are_set_together(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    await parts.overlays.set_properties(
        overlay,
        {
            "mtu": "1400",
            "vxlan/local_ips": "198.51.100.1",
            "probe/site": "south",
            "limit_targets": "5",
        },
    )
    assert overlay.plan.settings().local_ips == {IPv4Address("198.51.100.1")}
    assert overlay.plan.settings().limits.targets == 5
    assert overlay.instance.get_property("probe/site") == "south"
    assert parts.datapath.links["blue"].mtu == 1400
    assert overlay.links is not None
    assert overlay.links.mtu == 1400


async def test_the_engine_follows_changed_settings(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    await parts.overlays.set_properties(overlay, {"vxlan/local_ips": "198.51.100.1"})
    await parts.service.set_entry("blue", "2:0:0:0:0:1", "198.51.100.1:4789")
    await parts.service.set_entry("blue", "2:0:0:0:0:2", "198.51.100.2:4789")
    rows = [item for item in parts.datapath.commands if isinstance(item, commands.Install)]
    assert [row.macs for row in rows] == [[b"\2\0\0\0\0\2"]]


async def test_the_instance_follows_changed_settings(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    await parts.overlays.set_properties(overlay, {"preload": "on"})
    await parts.overlays.reload()
    await until(lambda: len(parts.engine.entries("blue")) == len(KNOWN))


async def test_going_back_to_the_default_forgets_the_value(parts: Parts) -> None:
    overlay = await parts.overlays.create(request(mtu="1400", probe__weight="5"))
    await parts.overlays.set_properties(overlay, {"mtu": None, "probe/weight": None})
    assert "mtu" not in overlay.plan.values
    assert parts.datapath.links["blue"].mtu is None
    assert overlay.instance.get_property("probe/weight") == 1


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("probe/site", "nowhere", ErrorCode.INVALID),
        ("vxlan/local_ips", "here", ErrorCode.INVALID),
        ("vxlan/listen_ip", "192.0.2.9", ErrorCode.NOT_LIVE),
        ("vnetid", "8", ErrorCode.INVALID),
        ("speed", "8", ErrorCode.INVALID),
    ],
)
async def test_one_refused_value_means_that_nothing_changes(
    parts: Parts, name: str, value: str, code: ErrorCode
) -> None:
    overlay = await parts.overlays.create(request())
    plan, links = overlay.plan, overlay.links
    with pytest.raises(ControlError) as caught:
        await parts.overlays.set_properties(
            overlay, {"mtu": "1400", "probe/weight": "7", name: value}
        )
    assert (caught.value.code, caught.value.field) == (code, name)
    assert (overlay.plan, overlay.links) == (plan, links)
    assert parts.datapath.links["blue"].mtu is None
    assert overlay.instance.get_property("probe/weight") == 1
    assert overlay.instance.get_property("probe/site") == "north"


async def test_links_that_the_kernel_refuses_to_change_leave_all_as_it_was(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    parts.datapath.failing["change"] = REFUSAL
    with pytest.raises(ControlError):
        await parts.overlays.set_properties(overlay, {"mtu": "1400", "probe/weight": "7"})
    assert overlay.instance.get_property("probe/weight") == 1
    assert "mtu" not in overlay.plan.values


async def test_required_properties_cannot_be_taken_away(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    with pytest.raises(ControlError) as caught:
        await parts.overlays.set_properties(overlay, {"probe/site": None})
    assert caught.value.code is ErrorCode.MISSING
    assert overlay.instance.get_property("probe/site") == "north"


async def test_a_point_overlay_follows_its_plugins_property(parts: Parts) -> None:
    overlay = await parts.overlays.create(request(search="steered"))
    await parts.overlays.set_properties(overlay, {"steered/to": "5"})
    wanted = Target(ip=IPv4Address("192.0.2.5"), port=4789)
    await until(lambda: parts.engine.default_target("blue") == wanted)
    assert commands.SetDefaultTarget("blue", wanted) in parts.datapath.commands


async def test_a_point_overlay_does_not_follow_its_plugin_to_this_host(parts: Parts) -> None:
    parts.runner.feed(LocalAddressesChanged(frozenset({IPv4Address("192.0.2.9")})))
    overlay = await parts.overlays.create(request(search="steered", steered__to="5"))
    with pytest.raises(ControlError, match="is this host itself"):
        await parts.overlays.set_properties(overlay, {"steered/to": "9", "mtu": "1400"})
    assert parts.engine.default_target("blue") == Target(ip=IPv4Address("192.0.2.5"), port=4789)
    assert overlay.instance.values == {"steered/to": 5}
    assert "mtu" not in overlay.plan.values
    assert overlay.instance.causes == ()


async def test_a_point_overlay_whose_target_became_this_host_can_still_be_changed(
    parts: Parts,
) -> None:
    overlay = await parts.overlays.create(request(search="steered", steered__to="9"))
    parts.runner.feed(LocalAddressesChanged(frozenset({IPv4Address("192.0.2.9")})))
    assert [cause.cause for cause in overlay.instance.causes] == [CauseKind.DATAPATH]
    await parts.overlays.set_properties(overlay, {"steered/to": "9"})
    await parts.overlays.set_properties(overlay, {"steered/to": "5"})
    assert overlay.instance.causes == ()


async def test_what_is_removed_leaves_nothing(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    await parts.overlays.remove(overlay)
    assert parts.overlays.all() == []
    assert parts.datapath.links == {}
    assert parts.runner.instances == {}
    with pytest.raises(ControlError) as caught:
        await parts.overlays.remove(overlay)
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_links_that_cannot_be_removed_leave_it_stopped_to_be_tried_again(
    parts: Parts,
) -> None:
    overlay = await parts.overlays.create(request())
    parts.datapath.failing["close"] = REFUSAL
    with pytest.raises(ControlError) as caught:
        await parts.overlays.remove(overlay)
    assert caught.value.message == REFUSAL.message
    assert overlay.stopped is not None
    with pytest.raises(ControlError, match="can only be deleted"):
        await parts.overlays.set_properties(overlay, {"mtu": "1400"})

    parts.datapath.failing.clear()
    await parts.overlays.remove(overlay)
    assert parts.overlays.all() == []


class Told(GoodProbe):
    """Keeps what it was told, for all its instances."""

    api_version = 1
    name = "told"
    told: list[str]

    async def reload(self) -> None:
        type(self).told.append(f"reload {self.host.overlay}")
        if self.host.overlay == "blue":
            raise RuntimeError("file is gone")

    async def stop(self, reason: StopReason) -> None:
        type(self).told.append(f"stop {self.host.overlay} {reason.value}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(support, "PLUGINS", (*support.PLUGINS, Told))
    Told.told = []
    return Told.told


async def test_every_plugin_is_told_to_reload_also_if_one_fails(told: list[str]) -> None:
    async with support.parts() as parts:
        blue = await parts.overlays.create(request("blue", "told"))
        await parts.overlays.create(request("red", "told", vnetid=8))
        await parts.overlays.reload()
        assert sorted(told) == ["reload blue", "reload red"]
        assert [cause.cause for cause in blue.instance.causes] == [CauseKind.FAULT]


async def test_a_reload_that_fails_in_varpd_itself_stops_no_other(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def reload(name: str) -> None:
        told.append(name)
        raise LookupError(name)

    for number, name in enumerate(("blue", "red")):
        overlay = await parts.overlays.create(request(name, vnetid=number))
        monkeypatch.setattr(overlay.instance, "reload", partial(reload, name))
    await parts.overlays.reload()
    assert sorted(told) == ["blue", "red"]


async def test_a_reload_that_nobody_waits_for_any_more_is_not_in_the_way_of_the_end(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    async def reload(name: str) -> None:
        begun.append(name)
        await asyncio.Event().wait()

    for number, name in enumerate(("blue", "red")):
        overlay = await parts.overlays.create(request(name, vnetid=number))
        monkeypatch.setattr(overlay.instance, "reload", partial(reload, name))
    reloading = parts.tasks.start(parts.overlays.reload(), "reload")
    await until(lambda: len(begun) == 2)
    reloading.cancel()
    await asyncio.wait({reloading})
    async with asyncio.timeout(CHANGE_TIMEOUT / 2):
        await parts.overlays.end()
    assert parts.overlays.all() == []


async def test_at_the_end_plugins_are_stopped_for_another_time_and_links_stay(
    told: list[str],
) -> None:
    async with support.parts() as parts:
        await parts.overlays.create(request("blue", "told"))
        await parts.overlays.create(request("red", "told", vnetid=8))
        await parts.overlays.end()
        assert sorted(told) == ["stop blue shutdown", "stop red shutdown"]
        assert sorted(parts.datapath.links) == ["blue", "red"]
        assert not [item for item in parts.datapath.commands if isinstance(item, ROWS_GO)]
        assert parts.overlays.all() == []
        assert [item.phase for item in await parts.store.load()] == [Phase.MADE, Phase.MADE]


async def test_a_plugin_whose_links_cannot_be_made_is_stopped_for_good(told: list[str]) -> None:
    async with support.parts() as parts:
        parts.datapath.failing["open"] = REFUSAL
        with pytest.raises(ControlError):
            await parts.overlays.create(request("blue", "told"))
        assert told == ["stop blue deleted"]


async def test_a_target_is_kept_when_its_overlays_neighbour_goes(parts: Parts) -> None:
    await parts.overlays.create(request("blue", "point"))
    red = await parts.overlays.create(request("red", "point", vnetid=8))
    await parts.overlays.remove(red)
    assert parts.engine.default_target("blue") == ONE
    assert parts.engine.default_target("red") is None


async def test_an_overlay_is_stored_as_it_was_made(parts: Parts) -> None:
    parts.overlays.set_defaults({"mtu": 1300})
    await parts.overlays.create(request(limit_targets="5"))
    (stored,) = await parts.store.load()
    assert (stored.phase, stored.boot, stored.number) == (Phase.MADE, None, 1)
    assert stored.properties == {
        "vxlan/listen_ip": "192.0.2.100",
        "limit_targets": 5,
        "probe/site": "north",
        "probe/shard": 7,
    }
    assert stored.defaults == {"mtu": 1300}
    assert stored.state == {"probe/site": "north", "probe/shard": 7}


async def test_a_temporary_overlay_is_stored_for_this_boot(parts: Parts) -> None:
    await parts.overlays.create(structs.replace(request(), temporary=True))
    assert [item.boot for item in await parts.store.load()] == [support.BOOT]
    (info,) = await parts.service.overlays([])
    assert info.temporary


async def test_an_overlay_that_cannot_be_stored_is_not_made(parts: Parts) -> None:
    parts.store.failure = FULL
    with pytest.raises(ControlError, match="is full; nothing was changed"):
        await parts.overlays.create(request())
    assert parts.datapath.links == {}
    assert parts.overlays.defined() == []
    parts.store.failure = None
    await parts.overlays.create(request())


async def test_an_overlay_of_which_it_cannot_be_stored_that_it_is_made_is_undone(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(name: str, phase: Phase) -> None:
        raise FULL

    monkeypatch.setattr(parts.store, "set_phase", full)
    with pytest.raises(ControlError, match="is full"):
        await parts.overlays.create(request())
    assert (parts.datapath.links, parts.runner.instances) == ({}, {})
    assert await parts.store.load() == []


async def test_what_cannot_be_made_leaves_nothing_in_the_store(parts: Parts) -> None:
    parts.datapath.failing["open"] = REFUSAL
    with pytest.raises(ControlError):
        await parts.overlays.create(request())
    assert await parts.store.load() == []


async def test_properties_that_cannot_be_stored_are_not_set(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    parts.store.failure = FULL
    with pytest.raises(ControlError, match="is full; nothing was changed"):
        await parts.overlays.set_properties(
            overlay, {"mtu": "1400", "probe/weight": "7", "limit_targets": "5"}
        )
    assert parts.datapath.links["blue"].mtu is None
    assert overlay.instance.get_property("probe/weight") == 1
    assert "limit_targets" not in overlay.plan.values
    parts.store.failure = None
    await parts.overlays.set_properties(overlay, {"mtu": "1400", "probe/site": "south"})
    (stored,) = await parts.store.load()
    assert (stored.properties["mtu"], stored.properties["probe/site"]) == (1400, "south")
    await parts.overlays.set_properties(overlay, {"mtu": None})
    (stored,) = await parts.store.load()
    assert "mtu" not in stored.properties


async def test_a_deletion_that_cannot_be_stored_does_not_begin(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    parts.store.failure = FULL
    with pytest.raises(ControlError, match="is full; nothing was changed"):
        await parts.overlays.remove(overlay)
    assert overlay.stopped is None
    assert "blue" in parts.datapath.links
    parts.store.failure = None
    await parts.overlays.remove(overlay)
    assert await parts.store.load() == []


async def test_a_deletion_that_is_half_done_is_stored_as_such(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    parts.datapath.failing["close"] = REFUSAL
    with pytest.raises(ControlError):
        await parts.overlays.remove(overlay)
    assert [item.phase for item in await parts.store.load()] == [Phase.DELETING]
    parts.datapath.failing.clear()
    await parts.overlays.remove(overlay)
    assert await parts.store.load() == []


async def test_every_property_that_can_change_while_the_overlay_works_is_changed_and_stored(
    parts: Parts,
) -> None:
    overlay = await parts.overlays.create(request())
    fixed = []
    for item in overlay.plan.outer:
        if item.protection is Protection.R:
            continue
        text = OTHER.get(item.name) or str(item.possible[0] if item.possible else "")
        text = text.split("-")[0] if item.type is PropertyType.UINT else text
        if not item.live:
            fixed.append(item.name)
            with pytest.raises(ControlError, match="delete it and create it anew"):
                await parts.overlays.set_properties(overlay, {item.name: text})
            continue
        await parts.overlays.set_properties(overlay, {item.name: text})
        (stored,) = await parts.store.load()
        assert str(stored.properties[item.name]) == text
        assert str(overlay.plan.effective()[item.name]) == text
    assert fixed == ["vxlan/listen_ip", "vxlan/listen_port"]
