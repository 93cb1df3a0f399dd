"""Overlays, plugins and encapsulations as the control socket shows them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from varpd.control.messages import (
    CauseInfo,
    ControlError,
    EncapsulationInfo,
    JsonValue,
    OverlayInfo,
    PluginInfo,
    PluginsInfo,
    PropertyInfo,
    RefusalInfo,
)
from varpd.daemon import catalogue, properties, stored
from varpd.daemon.creation import Surroundings
from varpd.daemon.definitions import Defined
from varpd.daemon.degradation import Cause
from varpd.daemon.loader import LoadedPlugin, Registry
from varpd.daemon.overlay import Overlay
from varpd.daemon.waiting import Waiting
from varpd.datapath.base import Datapath
from varpd.datapath.encapsulation import ENCAPSULATIONS, Encapsulation
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import PointPlugin
from varpd.provider.properties import HIDDEN


def state_of(overlay: Defined) -> Literal["online", "degraded", "stopped"]:
    """Return in one word how an overlay is."""
    if isinstance(overlay, Waiting):
        return "stopped" if overlay.deleting else "degraded"
    if overlay.stopped is not None:
        return "stopped"
    return "degraded" if overlay.instance.causes else "online"


def summary(overlays: Sequence[Defined]) -> str:
    """Return in one line how the overlays are, for the service manager."""
    bad = sum(state_of(overlay) != "online" for overlay in overlays)
    return f"{len(overlays)} overlays" + (f", {bad} of them not well" if bad else "")


def overlay_info(overlay: Overlay, guest_mtu: int | None) -> OverlayInfo:
    """Return an overlay with the values of all its properties.

    Args:
        overlay: the overlay.
        guest_mtu: the MTU that guests may have, if it is known.
    """
    plan = overlay.plan
    causes = tuple(_cause(cause) for cause in overlay.instance.causes)
    detail = causes[0].message if causes else None
    infos = property_infos(overlay, guest_mtu)
    values: dict[str, JsonValue] = {item.name: item.value for item in infos}
    return OverlayInfo(
        name=plan.name,
        vnetid=plan.vnetid,
        encap=plan.encapsulation.name,
        search=plan.plugin.name,
        mode=plan.mode.value,
        state=state_of(overlay),
        detail=detail if overlay.stopped is None else overlay.stopped,
        causes=causes,
        properties=values,
        temporary=overlay.boot is not None,
    )


def waiting_info(waiting: Waiting, here: Surroundings) -> OverlayInfo:
    """Return an overlay that is not at work, as far as it is known."""
    record = waiting.record
    return OverlayInfo(
        name=record.name,
        vnetid=record.vnetid,
        encap=record.encapsulation,
        search=record.search,
        mode=record.mode,
        state=state_of(waiting),
        detail=waiting.why,
        causes=(_cause(waiting.cause),),
        properties={item.name: item.value for item in waiting_infos(waiting, here)},
        temporary=record.boot is not None,
    )


def waiting_infos(waiting: Waiting, here: Surroundings) -> list[PropertyInfo]:
    """Return the properties of an overlay that is not at work.

    What is set of a plugin that is not there is named, but not shown: it may be secret.
    """
    record = waiting.record
    try:
        declared = stored.declared_of(record, here)
    except ControlError:  # its plugin fails even at that
        declared = here.own
    given = {**record.properties, **stored.given_of(record, here)}
    shown = []
    for item in declared:
        value = stored.loaded(item, given.get(item.name))
        default = stored.loaded(item, record.defaults.get(item.name))
        usual = item.default if default is None else default
        shown.append(properties.info(item, usual if value is None else value, default))
    known = {item.name for item in declared}
    shown += [_unknown(name) for name in sorted(given) if name not in known]
    return shown


def _unknown(name: str) -> PropertyInfo:
    return PropertyInfo(
        name=name,
        type="string",
        permission="rw",
        required=False,
        value=HIDDEN,
        default=None,
        possible="",
        live=False,
        doc="What declares it is not there.",
    )


def property_infos(overlay: Overlay, guest_mtu: int | None) -> list[PropertyInfo]:
    """Return the properties of an overlay: varpd's own, the encapsulation's, the plugin's.

    Args:
        overlay: the overlay.
        guest_mtu: the MTU that guests may have, if it is known.
    """
    plan = overlay.plan
    values = plan.effective()
    mtu = None if overlay.links is None else overlay.links.mtu
    if mtu is not None:
        values[catalogue.MTU] = mtu  # what the links have, be it set or not
    if guest_mtu is not None:
        values[catalogue.GUEST_MTU] = guest_mtu
    shown = [
        properties.info(
            item,
            values.get(item.name),
            plan.defaults.get(item.name),
            fallback=catalogue.DEFAULT_MTU if item.name == catalogue.MTU else None,
        )
        for item in plan.outer
    ]
    shown += [
        properties.info(item, overlay.instance.get_property(item.name), None) for item in plan.inner
    ]
    return shown


def plugins_info(registry: Registry, datapath: Datapath) -> PluginsInfo:
    """Return what overlays can be made of."""
    return PluginsInfo(
        plugins=tuple(_plugin(loaded) for loaded in registry.plugins.values()),
        refused=tuple(
            RefusalInfo(item.origin, item.reason.value, item.message) for item in registry.refused
        ),
        encapsulations=tuple(_encapsulation(item, datapath) for item in ENCAPSULATIONS.values()),
    )


def _plugin(loaded: LoadedPlugin) -> PluginInfo:
    plugin = loaded.plugin
    kinds = next(iter(ENCAPSULATIONS.values())).kinds
    return PluginInfo(
        name=plugin.name,
        mode="point" if issubclass(plugin, PointPlugin) else "dynamic",
        api_version=vars(plugin)["api_version"],
        origin=loaded.origin,
        properties=tuple(
            properties.info(item, None, None) for item in properties.of_plugin(plugin, kinds)
        ),
    )


def _encapsulation(item: Encapsulation, datapath: Datapath) -> EncapsulationInfo:
    return EncapsulationInfo(
        name=item.name,
        kinds=tuple((kind.name or "").lower() for kind in DestinationKind if kind in item.kinds),
        vnetid_max=item.vnetid_max,
        datapaths=(datapath.name,) if item.name in datapath.encapsulations else (),
    )


def _cause(cause: Cause) -> CauseInfo:
    since = datetime.fromtimestamp(cause.since, UTC)
    return CauseInfo(
        cause=cause.cause.value,
        message=cause.message,
        since=since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
