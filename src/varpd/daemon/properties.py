"""An overlay's properties taken together: varpd's own, the encapsulation's, the plugin's."""

from collections.abc import Iterable, Mapping, Sequence

from varpd.control.messages import ControlError, ErrorCode, PropertyInfo
from varpd.daemon.refusals import refusal
from varpd.provider import properties
from varpd.provider.errors import (
    NotLive,
    PropertyError,
    PropertyInvalid,
    PropertyMissing,
    PropertyUnknown,
)
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import Plugin
from varpd.provider.properties import Property, Protection, Value


def of_plugin(plugin: type[Plugin], kinds: DestinationKind) -> tuple[Property, ...]:
    """Return the properties that a plugin declares for an encapsulation that needs `kinds`.

    Raises:
        ControlError: the plugin fails.
    """
    try:
        return plugin.properties(kinds)
    except Exception as exc:
        message = f"plugin {plugin.name} cannot say its properties: {type(exc).__name__}: {exc}"
        raise ControlError(ErrorCode.FAILED, message) from exc


def parse(
    declared: Sequence[Property], texts: Mapping[str, str | None], *, running: bool
) -> dict[str, Value | None]:
    """Return the values that an operator wrote; None: back to the default.

    An empty text means the default, too.

    Args:
        declared: all properties that there are.
        texts: what the operator wrote, by name.
        running: whether the overlay exists, so that only live properties can change.

    Raises:
        ControlError: some cannot be set; the message says all that is wrong.
    """
    known = {item.name: item for item in declared}
    values: dict[str, Value | None] = {}
    faults: list[PropertyError] = []
    for name, text in texts.items():
        try:
            values[name] = _parse_one(known, name, text or None, running=running)
        except PropertyError as exc:
            faults.append(exc)
    if faults:
        first = refusal(faults[0])
        raise ControlError(first.code, "; ".join(str(item) for item in faults), first.field)
    return values


def _parse_one(
    known: Mapping[str, Property], name: str, text: str | None, *, running: bool
) -> Value | None:
    item = known.get(name)
    if item is None:
        raise PropertyUnknown(name, list(known))
    if item.protection is Protection.R:
        raise PropertyInvalid(name, text, "it can only be read")
    if running and not item.live:
        raise NotLive(name)
    return None if text is None else item.parse(text)


def effective(
    declared: Iterable[Property], values: Mapping[str, Value], defaults: Mapping[str, Value]
) -> dict[str, Value]:
    """Return the value of each property that has one.

    Args:
        declared: the properties.
        values: those that are set on the overlay.
        defaults: those of the configuration.
    """
    found: dict[str, Value] = {}
    for item in declared:
        for value in (values.get(item.name), defaults.get(item.name), item.default):
            if value is not None:
                found[item.name] = value
                break
    return found


def check_required(declared: Iterable[Property], values: Mapping[str, Value]) -> None:
    """Check that all required properties have a value.

    Raises:
        ControlError: some have none; the message names every one.
    """
    missing = [item.name for item in declared if item.required and item.name not in values]
    if missing:
        raise ControlError(ErrorCode.MISSING, str(PropertyMissing(missing)), missing[0])


def info(
    item: Property, value: Value | None, default: Value | None, *, fallback: Value | None = None
) -> PropertyInfo:
    """Return a property as the control socket shows it.

    Args:
        item: its declaration.
        value: its value, or None.
        default: the default of the configuration, if that has one.
        fallback: a default that is computed, if neither has one.
    """
    default = next((each for each in (default, item.default, fallback) if each is not None), None)
    return PropertyInfo(
        name=item.name,
        type=item.type.value,
        permission=item.protection.value,
        required=item.required,
        value=None if value is None else _shown(item, value),
        default=None if default is None else properties.dump(default),
        possible=item.possible_text(),
        live=item.live,
        doc=item.doc,
        secret=item.secret,
    )


def _shown(item: Property, value: Value) -> int | str:
    return properties.HIDDEN if item.secret else properties.dump(value)
