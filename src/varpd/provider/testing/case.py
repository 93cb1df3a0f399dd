"""What the conformance suite has to know of a plugin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from varpd.net.addresses import IpAddress
from varpd.provider.answers import Answer, DhcpAnswer, Drop, NeighbourAnswer, Target
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import Plugin, PointPlugin
from varpd.provider.properties import Value
from varpd.provider.query import Query
from varpd.provider.testing.host import VXLAN_KINDS, FakeHost

Question = str | bytes | Query
"""A MAC address, for a guest's IPv4 frame to it, or a whole query."""

UNKNOWN: Final = "02:00:5e:ff:ff:fe"
"""A MAC address that no plugin knows unless the author says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A plugin, how to set it up, and a few questions with their answers."""

    plugin: type[Plugin]
    """The class."""

    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Values for its properties, at least for the required ones."""

    refused: Sequence[tuple[str, Value]] = ()
    """Properties with values that their declaration allows and the plugin refuses."""

    destination: DestinationKind = VXLAN_KINDS
    """What the encapsulation needs for the answers below."""

    default: Target | Drop | None = None
    """The answer of a `PointPlugin`."""

    answers: Sequence[tuple[Question, Answer]] = ()
    """Questions for `lookup`, each with its answer."""

    neighbours: Sequence[tuple[IpAddress, NeighbourAnswer]] = ()
    """Questions for `arp`, each with its answer."""

    dhcp: Sequence[tuple[Question, DhcpAnswer]] = ()
    """Questions for `dhcp`, each with its answer."""

    unknown: Sequence[Question] = (UNKNOWN,)
    """Questions that the plugin answers with DROP."""

    local: Target | None = None
    """Where the host of the test receives wrapped frames."""

    def make_host(self, destination: DestinationKind | None = None) -> FakeHost:
        """Return a new host for an instance."""
        kinds = self.destination if destination is None else destination
        point = issubclass(self.plugin, PointPlugin)
        return FakeHost(destination=kinds, local=self.local, point=point)
