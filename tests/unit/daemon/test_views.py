"""Overlays and plugins as they are shown."""

from collections.abc import AsyncIterator

import pytest

from support import overlays as support
from support.overlays import REFUSAL, Parts, request
from varpd.control.messages import ControlError
from varpd.daemon import views
from varpd.daemon.degradation import CauseKind
from varpd.daemon.loader import RefusedPlugin
from varpd.provider.registration import Refusal


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    async with support.parts() as made:
        yield made


async def test_every_property_has_its_value(parts: Parts) -> None:
    overlay = await parts.overlays.create(request(vxlan__listen_port="8472"))
    values = views.overlay_info(overlay, None).properties
    assert values["mtu"] == 1500
    assert values["varpd/id"] == 1
    assert values["datapath"] == "remembering"
    assert values["target_ttl"] is None
    assert values["vxlan/listen_ip"] == "192.0.2.100"
    assert values["vxlan/listen_port"] == 8472
    assert values["probe/site"] == "north"
    assert values["probe/weight"] == 1


async def test_the_mtu_shown_is_that_of_the_links(parts: Parts) -> None:
    overlay = await parts.overlays.create(request(mtu="1400"))
    (mtu,) = [item for item in views.property_infos(overlay, None) if item.name == "mtu"]
    assert (mtu.value, mtu.default) == (1400, 1500)


async def test_the_mtu_of_guests_is_shown_once_it_is_known(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    assert views.overlay_info(overlay, None).properties["guest_mtu"] is None
    assert views.overlay_info(overlay, 1450).properties["guest_mtu"] == 1450
    (mtu,) = [item for item in views.property_infos(overlay, 1450) if item.name == "guest_mtu"]
    assert (mtu.value, mtu.permission) == (1450, "r-")


async def test_the_default_of_the_configuration_is_the_default_shown(parts: Parts) -> None:
    parts.overlays.set_defaults({"negative_ttl": 9})
    overlay = await parts.overlays.create(request())
    (ttl,) = [item for item in views.property_infos(overlay, None) if item.name == "negative_ttl"]
    assert (ttl.value, ttl.default) == (9, 9)


async def test_a_degraded_overlay_shows_its_causes_the_gravest_first(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    overlay.instance.fault("no answer")
    overlay.instance.degrade(CauseKind.DATAPATH, "the kernel's table is full")
    info = views.overlay_info(overlay, None)
    assert (info.state, info.detail) == ("degraded", "the kernel's table is full")
    assert [cause.cause for cause in info.causes] == ["datapath", "fault"]
    assert info.causes[0].since.endswith("Z")
    assert "T" in info.causes[0].since


async def test_what_is_left_of_a_deletion_is_shown_as_stopped(parts: Parts) -> None:
    overlay = await parts.overlays.create(request())
    parts.datapath.failing["close"] = REFUSAL
    with pytest.raises(ControlError):
        await parts.service.delete("blue")
    info = views.overlay_info(overlay, None)
    assert info.state == "stopped"
    assert info.detail is not None
    assert REFUSAL.message in info.detail


async def test_plugins_refusals_and_encapsulations_are_shown(parts: Parts) -> None:
    registry = support.registry()
    registry.refused.append(RefusedPlugin("/x.py", Refusal.BAD_NAME, "no name"))
    info = views.plugins_info(registry, parts.datapath)
    probe = info.plugins[0]
    assert (probe.name, probe.mode, probe.api_version) == ("probe", "dynamic", 1)
    assert probe.origin == "probe (GoodProbe)"
    assert [item.name for item in probe.properties] == ["probe/site", "probe/shard", "probe/weight"]
    assert all(item.value is None for item in probe.properties)
    assert info.plugins[1].mode == "point"
    assert [(item.origin, item.reason) for item in info.refused] == [("/x.py", "bad-name")]
    (vxlan,) = info.encapsulations
    assert (vxlan.name, vxlan.kinds) == ("vxlan", ("ip", "port"))
    assert vxlan.datapaths == ("remembering",)
