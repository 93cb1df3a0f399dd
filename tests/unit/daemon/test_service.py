"""What the control socket asks for, done: changes and views."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest
from structlog.testing import capture_logs

from support import overlays as support
from support.overlays import REFUSAL, Parts, request
from varpd.control.messages import ControlError, ErrorCode
from varpd.engine import commands
from varpd.engine.events import TargetSet
from varpd.provider.answers import Target

MAC = "02:00:00:00:00:01"
OTHER = "02:00:00:00:00:02"


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


def rows(parts: Parts) -> list[tuple[str, tuple[str, ...]]]:
    """Return what the datapath was asked to write and remove, in short."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for item in parts.datapath.commands:
        if isinstance(item, commands.Install):
            found.append((str(item.target), tuple(mac.hex(":") for mac in item.macs)))
        elif isinstance(item, commands.RemoveRows):
            found.append(("removed", tuple(mac.hex(":") for mac in item.macs)))
    return found


async def test_a_new_overlay_is_shown_as_it_is(parts: Parts) -> None:
    info = await parts.service.create(request())
    assert (info.name, info.vnetid, info.encap, info.search) == ("blue", 7, "vxlan", "probe")
    assert (info.mode, info.state, info.causes) == ("dynamic", "online", ())
    assert await parts.service.overlays([]) == [info]
    assert await parts.service.overlays(["blue"]) == [info]


async def test_guests_are_told_the_smallest_mtu_on_the_way_to_known_targets(parts: Parts) -> None:
    info = await parts.service.create(request(mtu="8000"))
    assert info.properties["guest_mtu"] is None
    parts.datapath.paths = {IPv4Address("192.0.2.8"): 9000, IPv4Address("192.0.2.9"): 1400}
    await parts.service.set_entry("blue", MAC, "192.0.2.8:4789")
    await parts.service.set_entry("blue", OTHER, "192.0.2.9:4789")
    (info,) = await parts.service.overlays(["blue"])
    assert info.properties["guest_mtu"] == 1350
    await parts.service.delete_entry("blue", OTHER)
    shown = {item.name: item.value for item in await parts.service.properties("blue")}
    assert shown["guest_mtu"] == 8000


async def test_a_point_overlay_has_an_mtu_for_guests_from_the_first(parts: Parts) -> None:
    info = await parts.service.create(request(search="point"))
    assert info.properties["guest_mtu"] == 1450


async def test_a_deleted_overlay_is_gone(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.delete("blue")
    assert await parts.service.overlays([]) == []


async def test_set_properties_are_shown(parts: Parts) -> None:
    await parts.service.create(request())
    info = await parts.service.set_properties("blue", {"mtu": "1400", "probe/site": "south"})
    assert (info.properties["mtu"], info.properties["probe/site"]) == (1400, "south")


async def test_an_entry_becomes_a_row_and_is_shown(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.set_entry("blue", MAC, "192.0.2.9:4789")
    assert rows(parts) == [("192.0.2.9:4789", (MAC,))]
    (row,) = await parts.service.targets("blue")
    assert (row.mac, row.ip, row.port) == (MAC, "192.0.2.9", 4789)
    assert (row.state, row.origin) == ("valid", "administrator")


async def test_an_entry_that_drops_is_shown_as_blocked(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.set_entry("blue", MAC, "drop")
    (row,) = await parts.service.targets("blue")
    assert (row.mac, row.ip, row.state) == (MAC, None, "blocked")


@pytest.mark.parametrize(
    ("mac", "target", "field"),
    [
        ("ff:ff:ff:ff:ff:ff", "drop", "mac"),
        (MAC, "192.0.2.9", "target"),
        (MAC, "[2001:db8::1]:4789", "target"),
    ],
)
async def test_an_entry_that_cannot_be_is_refused(
    parts: Parts, mac: str, target: str, field: str
) -> None:
    await parts.service.create(request())
    with pytest.raises(ControlError) as caught:
        await parts.service.set_entry("blue", mac, target)
    assert (caught.value.code, caught.value.field) == (ErrorCode.INVALID, field)
    assert await parts.service.targets("blue") == []


async def test_a_deleted_entry_is_gone_with_its_row(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.set_entry("blue", MAC, "192.0.2.9:4789")
    await parts.service.delete_entry("blue", MAC)
    assert rows(parts)[-1] == ("removed", (MAC,))
    assert await parts.service.targets("blue") == []


async def test_an_entry_that_was_never_there_is_not_found(parts: Parts) -> None:
    await parts.service.create(request())
    with pytest.raises(ControlError) as caught:
        await parts.service.delete_entry("blue", MAC)
    assert (caught.value.code, caught.value.field) == (ErrorCode.NOT_FOUND, "mac")


async def test_a_flush_keeps_what_the_administrator_said(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.set_entry("blue", MAC, "192.0.2.9:4789")
    plugins = Target(ip=IPv4Address("192.0.2.8"), port=4789)
    parts.runner.feed(TargetSet("blue", bytes.fromhex(OTHER.replace(":", "")), plugins))
    assert len(await parts.service.targets("blue")) == 2

    await parts.service.flush("blue")

    assert [row.mac for row in await parts.service.targets("blue")] == [MAC]


async def test_a_point_overlay_has_one_target_and_no_table_to_change(parts: Parts) -> None:
    await parts.service.create(request(search="point"))
    (row,) = await parts.service.targets("blue")
    assert (row.mac, row.ip, row.port, row.age_s) == (None, "192.0.2.1", 4789, None)
    for change in (
        parts.service.set_entry("blue", MAC, "drop"),
        parts.service.delete_entry("blue", MAC),
        parts.service.flush("blue"),
    ):
        with pytest.raises(ControlError, match="one target for everything") as caught:
            await change
        assert caught.value.code is ErrorCode.UNSUPPORTED


async def test_an_overlay_that_is_not_there_is_not_found_by_anything(parts: Parts) -> None:
    service = parts.service
    for call in (
        service.delete("red"),
        service.set_properties("red", {}),
        service.set_entry("red", MAC, "drop"),
        service.delete_entry("red", MAC),
        service.flush("red"),
        service.overlays(["red"]),
        service.properties("red"),
        service.targets("red"),
    ):
        with pytest.raises(ControlError) as caught:
            await call
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_properties_come_in_the_order_of_their_owners(parts: Parts) -> None:
    await parts.service.create(request())
    names = [item.name for item in await parts.service.properties("blue")]
    assert names[0] == "mtu"
    assert names[-7:] == [
        "vxlan/listen_ip",
        "vxlan/listen_port",
        "vxlan/local_ips",
        "vxlan/underlay",
        "probe/site",
        "probe/shard",
        "probe/weight",
    ]


async def test_plugins_are_told_of(parts: Parts) -> None:
    info = await parts.service.plugins()
    assert [item.name for item in info.plugins] == list(support.registry().plugins)


async def test_while_the_daemon_starts_or_ends_nothing_can_be_changed(parts: Parts) -> None:
    await parts.service.create(request())
    parts.service.close()
    for call in (
        parts.service.create(request("red")),
        parts.service.delete("blue"),
        parts.service.set_properties("blue", {}),
        parts.service.flush("blue"),
    ):
        with pytest.raises(ControlError, match="varpd ends") as caught:
            await call
        assert caught.value.code is ErrorCode.BUSY
    assert len(await parts.service.overlays([])) == 1


async def test_readiness_is_said_once_changes_are_taken(parts: Parts) -> None:
    assert (await parts.service.ready()).ok
    parts.service.close()
    ready = await parts.service.ready()
    assert (ready.ok, ready.detail) == (False, "varpd ends")
    assert (await parts.service.health()).ok


async def test_health_counts_overlays_and_those_that_are_not_well(parts: Parts) -> None:
    await parts.service.create(request())
    await parts.service.create(request("red", vnetid=8))
    parts.datapath.failing["close"] = REFUSAL
    with pytest.raises(ControlError):
        await parts.service.delete("red")
    health = await parts.service.health()
    assert (health.overlays, health.degraded, health.detail) == (2, 1, None)


async def test_faults_of_varpd_itself_are_told(parts: Parts) -> None:
    parts.runner.faults["engine"] += 2
    assert (await parts.service.health()).detail == "2 internal errors"


async def test_a_table_larger_than_usual_is_accepted_with_a_warning(parts: Parts) -> None:
    with capture_logs() as lines:
        await parts.service.create(request(limit_targets="262144"))
        assert [line for line in lines if line["log_level"] == "warning"] == []
        await parts.service.set_properties("blue", {"limit_targets": "300000"})
        (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert (line["overlay"], line["targets"], line["usual"]) == ("blue", 300_000, 262_144)
