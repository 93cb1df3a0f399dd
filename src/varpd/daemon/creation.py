"""How a request becomes an overlay: it is checked whole, then built step by step or not at all.

Order of building, and of undoing from the bottom up::

    engine knows the overlay ─► instance runs ─► links exist ─► rows go to the kernel

Rows that links have from an earlier daemon are told while the links are taken over. What the plugin
has said by then is newer, and rows that are as it says are not written again (`held`).

So the first frame that the kernel punts meets an instance that answers, a POINT overlay's links
are made with their target, and rows that the plugin names at its start are not lost. Making the
links is the last step that can fail, and the datapath leaves nothing behind when it does.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

from msgspec import Struct

from varpd.control.messages import ControlError, CreateOverlay, ErrorCode
from varpd.daemon import catalogue, properties
from varpd.daemon.instance import Instance
from varpd.daemon.loader import LoadedPlugin
from varpd.daemon.overlay import Overlay, Plan
from varpd.daemon.refusals import REFUSALS, refusal
from varpd.daemon.runner import Runner
from varpd.datapath.encapsulation import ENCAPSULATIONS, Encapsulation
from varpd.engine.events import EntrySet, LinksReady, OverlayAdded, OverlayRemoved
from varpd.engine.settings import Mode
from varpd.provider.errors import Unsupported
from varpd.provider.plugin import Plugin, PointPlugin, State, StopReason
from varpd.provider.properties import Property, Value

RESERVED_NAMES: Final = frozenset({"all", "default", "lo"})
"""Names that mean something else to the kernel or to operators."""

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,11}")


class Surroundings(Struct, frozen=True):
    """What overlays can be made of here."""

    plugins: Mapping[str, LoadedPlugin]
    """The search plugins by name."""

    own: tuple[Property, ...]
    """varpd's own properties."""

    defaults: Mapping[str, Value]
    """The configuration's values for properties."""

    datapath: str
    """Name of the datapath."""

    encapsulations: Sequence[str]
    """Names of the encapsulations that the datapath can carry."""


def plan(request: CreateOverlay, here: Surroundings, number: int) -> Plan:
    """Return what is to be built, all of it checked that can be checked beforehand.

    Raises:
        ControlError: it cannot be; all missing properties are named at once.
    """
    check_name(request.name)
    encapsulation = find_encapsulation(request.encap, here)
    if not 0 <= request.vnetid <= encapsulation.vnetid_max:
        message = (
            f"vnetid {request.vnetid} is out of range; "
            f"possible for {encapsulation.name}: 0-{encapsulation.vnetid_max}"
        )
        raise ControlError(ErrorCode.INVALID, message, "vnetid")
    plugin = find_plugin(request.search, here)
    inner = properties.of_plugin(plugin, encapsulation.kinds)
    declared = (*here.own, *encapsulation.properties, *inner)
    given = properties.parse(declared, request.properties, running=False)
    values = {name: value for name, value in given.items() if value is not None}
    return assemble(
        request.name, request.vnetid, number, encapsulation, plugin, values, here.defaults, here
    )


def assemble(
    name: str,
    vnetid: int,
    number: int,
    encapsulation: Encapsulation,
    plugin: type[Plugin],
    values: Mapping[str, Value],
    defaults: Mapping[str, Value],
    here: Surroundings,
) -> Plan:
    """Return the plan of an overlay with these values, each of which fits its declaration.

    Raises:
        ControlError: they do not fit together; all missing properties are named at once.
    """
    outer = (*here.own, *encapsulation.properties)
    inner = properties.of_plugin(plugin, encapsulation.kinds)
    declared = (*outer, *inner)
    properties.check_required(declared, properties.effective(declared, values, defaults))
    outer_names = {item.name for item in outer}
    own: dict[str, Value] = {
        catalogue.VNETID: vnetid,
        catalogue.ENCAP: encapsulation.name,
        catalogue.SEARCH: plugin.name,
        catalogue.NUMBER: number,
        catalogue.DATAPATH: here.datapath,
    }
    result = Plan(
        name=name,
        vnetid=vnetid,
        number=number,
        encapsulation=encapsulation,
        plugin=plugin,
        mode=Mode.POINT if issubclass(plugin, PointPlugin) else Mode.DYNAMIC,
        outer=outer,
        inner=inner,
        defaults=defaults,
        values=own | {item: value for item, value in values.items() if item in outer_names},
        plugin_values={n: value for n, value in values.items() if n not in outer_names},
    )
    try:
        result.settings()
    except REFUSALS as exc:
        raise refusal(exc, encapsulation) from exc
    return result


def check_name(name: str) -> None:
    """Check that an overlay can have this name.

    Raises:
        ControlError: it cannot.
    """
    if not _NAME.fullmatch(name) or name in RESERVED_NAMES:
        message = (
            f"{name!r} cannot be the name of an overlay: 1 to 12 letters, digits and '_', '.', "
            f"'-', the first a letter or digit, and none of {', '.join(sorted(RESERVED_NAMES))}"
        )
        raise ControlError(ErrorCode.INVALID, message, "name")


def free_number(taken: Iterable[int]) -> int:
    """Return the smallest number that no overlay has.

    Raises:
        ControlError: there is none left.
    """
    used = set(taken)
    for number in range(1, catalogue.NUMBER_MAX + 1):
        if number not in used:
            return number
    raise ControlError(ErrorCode.FAILED, f"there are {catalogue.NUMBER_MAX} overlays already")


def unsupported(
    plugin: type[Plugin], encapsulation: Encapsulation, exc: Unsupported
) -> ControlError:
    """Return the refusal of a plugin that cannot serve an encapsulation; it names both sides."""
    message = (
        f"plugin {plugin.name} cannot supply what encapsulation {encapsulation.name} needs "
        f"({encapsulation.kinds}): {exc}"
    )
    return ControlError(ErrorCode.UNSUPPORTED, message, "search")


async def build(
    overlay: Overlay,
    runner: Runner,
    state: State | None = None,
    entries: Sequence[EntrySet] = (),
    *,
    undone: StopReason = StopReason.DELETED,
) -> None:
    """Make the instance and the links of an overlay.

    Args:
        overlay: the overlay.
        runner: will serve it.
        state: what its plugin saved in an earlier life.
        entries: the administrator's.
        undone: what the instance is told if a later step fails.

    Raises:
        ControlError: a step failed; nothing is left behind.
    """
    name, instance = overlay.name, overlay.instance
    try:
        async with AsyncExitStack() as undo:
            runner.hold(name)
            undo.callback(runner.discard, name)
            instance.endpoints.register(overlay.plan.ports)
            runner.instances[name] = instance
            undo.callback(runner.instances.pop, name, None)
            runner.feed(OverlayAdded(name, overlay.plan.settings()))
            undo.callback(runner.feed, OverlayRemoved(name))
            for entry in entries:
                runner.feed(entry)
            await _start(instance, overlay.plan, state)
            undo.push_async_callback(instance.stop, undone)
            check_elsewhere(overlay, runner)
            overlay.links = await runner.datapath.open(overlay.link())
            runner.feed(LinksReady(name))
            runner.release(name)
            undo.pop_all()
    except REFUSALS as exc:
        raise refusal(exc, overlay.plan.encapsulation) from exc


def check_elsewhere(overlay: Overlay, runner: Runner) -> None:
    """Check that a POINT overlay's one target is not this host, which would drop every frame.

    Raises:
        ControlError: it is.
    """
    target = overlay.instance.default_target
    if target is not None and runner.is_here(overlay.name, target):
        message = f"{overlay.name}: the target {target} is this host itself, not another one"
        raise ControlError(ErrorCode.INVALID, message)


async def take_apart(overlay: Overlay, runner: Runner, reason: StopReason) -> None:
    """Undo what `build` has done.

    Raises:
        DatapathError: the links cannot be removed; all else is done.
    """
    if overlay.stopped is None:
        await overlay.instance.stop(reason)
        runner.instances.pop(overlay.name, None)
        runner.feed(OverlayRemoved(overlay.name))
    await runner.datapath.close(overlay.name)


async def _start(instance: Instance, wanted: Plan, state: State | None) -> None:
    try:
        await instance.start(wanted.plugin_values, state)
    except Unsupported as exc:
        raise unsupported(wanted.plugin, wanted.encapsulation, exc) from exc


def find_encapsulation(name: str, here: Surroundings) -> Encapsulation:
    """Return an encapsulation that can be had here.

    Raises:
        ControlError: there is none of that name; all are named.
    """
    if name not in here.encapsulations or name not in ENCAPSULATIONS:
        known = ", ".join(here.encapsulations) or "none"
        message = f"no encapsulation {name!r} with datapath {here.datapath}; there are: {known}"
        raise ControlError(ErrorCode.INVALID, message, "encap")
    return ENCAPSULATIONS[name]


def find_plugin(name: str, here: Surroundings) -> type[Plugin]:
    """Return a plugin.

    Raises:
        ControlError: there is none of that name; all are named.
    """
    if name not in here.plugins:
        known = ", ".join(sorted(here.plugins)) or "none"
        message = f"no search plugin {name!r}; there are: {known}"
        raise ControlError(ErrorCode.INVALID, message, "search")
    return here.plugins[name].plugin
