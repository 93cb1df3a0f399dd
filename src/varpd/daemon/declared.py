"""Checks values against a plugin's declarations before the plugin sees them."""

from collections.abc import Mapping

from varpd.provider.errors import NotLive, PropertyMissing, PropertyUnknown
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import Plugin
from varpd.provider.properties import Property, Value


class Declared:
    """The properties that a plugin declares for the kinds of an encapsulation."""

    def __init__(self, plugin: type[Plugin], kinds: DestinationKind) -> None:
        """Take the plugin and the kinds."""
        self._properties = {item.name: item for item in plugin.properties(kinds)}

    def find(self, name: str) -> Property:
        """Return the declaration of `name`.

        Raises:
            PropertyUnknown: there is none.
        """
        if name not in self._properties:
            raise PropertyUnknown(name, list(self._properties))
        return self._properties[name]

    def check(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return `values` in the order and the form in which the plugin gets them.

        Raises:
            PropertyUnknown: one is not declared.
            PropertyInvalid: one is not possible.
        """
        for name in values:
            self.find(name)
        return {
            name: item.check(values[name])
            for name, item in self._properties.items()
            if name in values
        }

    def check_changes(self, old: Mapping[str, Value], changes: Mapping[str, Value | None]) -> None:
        """See that an instance that was started may change so; None goes back to the default.

        Raises:
            PropertyUnknown: one is not declared.
            NotLive: one would change that cannot change any more.
            PropertyMissing: required ones would have no value.
        """
        missing: list[str] = []
        for name, value in changes.items():
            item = self.find(name)
            new = item.default if value is None else value
            if not item.live and new != old.get(name, item.default):
                raise NotLive(name)
            if item.required and new is None:
                missing.append(name)
        if missing:
            raise PropertyMissing(missing)
