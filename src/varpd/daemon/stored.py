"""What is stored of an overlay, made from its plan and the other way round."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, structs

from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon import catalogue, creation, entries, properties
from varpd.daemon.creation import Surroundings
from varpd.daemon.overlay import Plan
from varpd.daemon.refusals import refusal
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.engine.events import EntrySet
from varpd.engine.settings import Mode
from varpd.provider.errors import PropertyInvalid, PropertyUnknown
from varpd.provider.properties import Property, Value, dump, load
from varpd.store.base import Phase, StoredOverlay, StoredValue

_GIVEN = frozenset(
    {
        catalogue.VNETID,
        catalogue.ENCAP,
        catalogue.SEARCH,
        catalogue.NUMBER,
        catalogue.DATAPATH,
    }
)
"""What a plan's values hold beside what was set."""


class Claim(Struct, frozen=True):
    """What an overlay has for itself on this host, at work or not."""

    name: str
    number: int
    vnetid: int
    encapsulation: str
    port: StoredValue | None
    """The listen port."""


def record_of(plan: Plan, boot: str | None) -> StoredOverlay:
    """Return what is stored of an overlay that is about to be made.

    Args:
        plan: what it is to be.
        boot: the boot of the host that it lives in, if it is temporary.
    """
    set_ = {name: value for name, value in plan.values.items() if name not in _GIVEN}
    return StoredOverlay(
        name=plan.name,
        vnetid=plan.vnetid,
        number=plan.number,
        encapsulation=plan.encapsulation.name,
        search=plan.plugin.name,
        mode="point" if plan.mode is Mode.POINT else "dynamic",
        boot=boot,
        phase=Phase.MAKING,
        properties=dumped({**set_, **plan.plugin_values}),
        defaults=dumped(plan.defaults),
        ports=plan.ports,
    )


def dumped(values: Mapping[str, Value]) -> dict[str, StoredValue]:
    """Return values of properties as they are stored."""
    return {name: dump(value) for name, value in values.items()}


def changed(values: Mapping[str, Value | None]) -> dict[str, StoredValue | None]:
    """Return changes of properties as they are stored; None: it is not set."""
    return {name: None if value is None else dump(value) for name, value in values.items()}


def plan_of(record: StoredOverlay, here: Surroundings) -> Plan:
    """Return what a stored overlay is to be.

    Raises:
        ControlError: it cannot be here and now, such as for want of its plugin.
    """
    encapsulation = creation.find_encapsulation(record.encapsulation, here)
    plugin = creation.find_plugin(record.search, here)
    declared = {item.name: item for item in declared_of(record, here)}
    try:
        values = {n: _loaded(declared, n, value) for n, value in record.properties.items()}
        defaults = {
            name: _loaded(declared, name, value)
            for name, value in record.defaults.items()
            if name in declared
        }
    except (PropertyUnknown, PropertyInvalid) as exc:
        raise refusal(exc) from exc
    plan = creation.assemble(
        record.name, record.vnetid, record.number, encapsulation, plugin, values, defaults, here
    )
    return structs.replace(plan, ports=record.ports)


def declared_of(record: StoredOverlay, here: Surroundings) -> tuple[Property, ...]:
    """Return the properties that a stored overlay has, without the plugin's if that is not there.

    Raises:
        ControlError: the plugin fails.
    """
    encapsulation = ENCAPSULATIONS.get(record.encapsulation)
    if encapsulation is None:
        return here.own
    outer = (*here.own, *encapsulation.properties)
    loaded = here.plugins.get(record.search)
    if loaded is None:
        return outer
    return (*outer, *properties.of_plugin(loaded.plugin, encapsulation.kinds))


def changed_record(
    record: StoredOverlay, texts: Mapping[str, str | None], here: Surroundings
) -> StoredOverlay:
    """Return what is stored of an overlay that is not at work, with some properties changed.

    What is set and not known, such as properties of a plugin that is not there, can only be set
    back to the default.

    Args:
        record: what is stored.
        texts: what the operator wrote, by name; None or nothing: back to the default.
        here: what overlays can be made of.

    Raises:
        ControlError: some cannot be set, or not with each other.
    """
    declared = declared_of(record, here)
    names = {item.name for item in declared}
    unset = {
        name
        for name, text in texts.items()
        if not text and name in record.properties and name not in names
    }
    others = {name: text for name, text in texts.items() if name not in unset}
    parsed = properties.parse(declared, others, running=False)
    merged = {**record.properties, **dict.fromkeys(unset), **changed(parsed)}
    result = structs.replace(
        record, properties={name: value for name, value in merged.items() if value is not None}
    )
    if _could_be(record, here):
        plan_of(result, here)  # for all that is wrong with it
    return result


def _could_be(record: StoredOverlay, here: Surroundings) -> bool:
    try:
        plan_of(record, here)
    except ControlError:
        return False
    return True


def entries_of(record: StoredOverlay, plan: Plan) -> Iterator[EntrySet]:
    """Give the administrator's entries as events for the engine.

    Raises:
        ControlError: one means nothing for the overlay as it is.
    """
    settings = plan.settings()
    for mac, text in record.entries.items():
        target = entries.parse_target(text, settings.kinds, settings.family)
        yield EntrySet(record.name, bytes(entries.parse_mac(mac)), target)


def claim_of(record: StoredOverlay) -> Claim:
    """Return what a stored overlay has for itself."""
    name = f"{record.encapsulation}/listen_port"
    known = ENCAPSULATIONS.get(record.encapsulation)
    declared = {} if known is None else {item.name: item.default for item in known.properties}
    default = declared.get(name)
    usual = default if isinstance(default, int) else None
    port = record.properties.get(name, record.defaults.get(name, usual))
    return Claim(record.name, record.number, record.vnetid, record.encapsulation, port)


def check_claim(new: Claim, others: Iterable[Claim]) -> None:
    """Check that no other overlay has the vnetid with that encapsulation and listen port.

    Raises:
        ControlError: one has, and which.
    """
    for other in others:
        if other.name != new.name and (other.vnetid, other.encapsulation, other.port) == (
            new.vnetid,
            new.encapsulation,
            new.port,
        ):
            where = "" if new.port is None else f" on port {new.port}"
            message = (
                f"vnetid {new.vnetid} of {new.encapsulation}{where} belongs to overlay {other.name}"
            )
            raise ControlError(ErrorCode.CONFLICT, message, "vnetid")


def given_of(record: StoredOverlay, here: Surroundings) -> dict[str, StoredValue]:
    """Return the properties of a stored overlay that nobody sets."""
    return {
        catalogue.VNETID: record.vnetid,
        catalogue.ENCAP: record.encapsulation,
        catalogue.SEARCH: record.search,
        catalogue.NUMBER: record.number,
        catalogue.DATAPATH: here.datapath,
    }


def loaded(item: Property, value: StoredValue | None) -> Value | None:
    """Return a stored value as its declaration has it, or None if that does not allow it."""
    try:
        return None if value is None else load(item, value)
    except PropertyInvalid:
        return None


def _loaded(declared: Mapping[str, Property], name: str, value: StoredValue) -> Value:
    if name not in declared:
        raise PropertyUnknown(name, tuple(declared))
    return load(declared[name], value)
