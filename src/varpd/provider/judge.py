"""Whether a plugin's answer keeps the contract: pure checks of what may be anything at all.

varpd judges by them, and so does `varpd.provider.testing`: what passes there passes here.
"""

import enum
from collections import Counter
from collections.abc import Callable
from typing import Final, assert_never

from varpd.net.addresses import MacAddress
from varpd.provider.answers import (
    DROP,
    Answer,
    DhcpAnswer,
    Drop,
    Neighbour,
    NeighbourAnswer,
    Proxy,
    Replicate,
    Target,
)
from varpd.provider.arguments import is_station
from varpd.provider.errors import TargetInvalid
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import DynamicPlugin, Plugin
from varpd.provider.targets import check_target

MAX_HOLD: Final = 3600.0
"""Longest `Drop.hold`, seconds; a slip in a plugin must not silence a MAC for good."""

MAX_REPLICAS: Final = 4_096
"""Most targets of one `Replicate`; each is a frame sent for one that came in."""

_MAX_INTERNED: Final = 65_536
"""Most targets that are interned; a plugin that makes up more pays with their validation."""

_MAX_NAMED: Final = 1_000
"""Most targets of the other address family that are named, each once."""


class Operation(enum.Enum):
    """The operations that answer questions of guests' frames, by their names."""

    LOOKUP = "lookup"
    ARP = "arp"
    DHCP = "dhcp"


class AnswerFault(Exception):  # noqa: N818 - it is what the contract calls it
    """An answer that breaks the contract; the message says how."""


class Judge:
    """Judges the answers of one instance."""

    def __init__(
        self,
        plugin: type[Plugin],
        kinds: DestinationKind,
        family: int | None,
        other_family: Callable[[Target], None],
        counts: Counter[str],
    ) -> None:
        """Take the rules.

        Args:
            plugin: whose optional operations decide which proxies it may ask for.
            kinds: what the encapsulation needs of a destination.
            family: 4 or 6, that of the overlay's listen address; None if it has none.
            other_family: is told each target that is good but for its address family, once.
            counts: gets ``other_family``, how often there was such a target.
        """
        self._counts = counts
        self.good: dict[Target, Target] = {}
        """Targets that were found to be good, as they are handed on: one object for each."""
        self._kinds = kinds
        self._family = family
        self._tell_other_family = other_family
        self._named: set[Target] = set()
        self._proxies: set[Proxy] = set()
        if issubclass(plugin, DynamicPlugin):
            if plugin.arp is not DynamicPlugin.arp:
                self._proxies |= {Proxy.ARP, Proxy.NDP}
            if plugin.dhcp is not DynamicPlugin.dhcp:
                self._proxies.add(Proxy.DHCP)

    def answer(
        self, operation: Operation, value: object, *, refresh: bool = False, group: bool = False
    ) -> Answer | NeighbourAnswer | DhcpAnswer:
        """Return `value` as the answer of an operation, in its normal form.

        Args:
            operation: what was asked.
            value: what it returned.
            refresh: whether it was a `lookup` with cause `REFRESH`.
            group: whether it was a `lookup` about a group MAC.

        Raises:
            AnswerFault: it is none.
        """
        match operation:
            case Operation.LOOKUP:
                return self.lookup(value, refresh=refresh, group=group)
            case Operation.ARP:
                return neighbour_answer(value)
            case Operation.DHCP:
                return dhcp_answer(value)
            case _:
                assert_never(operation)

    def lookup(self, value: object, *, refresh: bool = False, group: bool = False) -> Answer:
        """Return `value` as the answer of `lookup`.

        Raises:
            AnswerFault: it is none.
        """
        if type(value) is Drop:
            return _drop(value)
        if isinstance(value, Target):
            return self.target(value) or DROP
        if not isinstance(value, Proxy | Replicate):
            raise AnswerFault(f"lookup answered {_name(value)}, not a target, DROP, proxy ...")
        if refresh and not (group and isinstance(value, Replicate)):
            raise AnswerFault(f"lookup answered {_name(value)} to REFRESH, not a target or DROP")
        if isinstance(value, Replicate):
            return self._replicate(value)
        if value not in self._proxies:
            missing = "dhcp" if value is Proxy.DHCP else "arp"
            raise AnswerFault(f"lookup answered PROXY_{value.name} without defining {missing}()")
        return value

    def target(self, value: object) -> Target | None:
        """Return a target in its normal form, or None for one of the other address family.

        Raises:
            AnswerFault: the encapsulation cannot use it.
        """
        try:
            return self.good[value]  # type: ignore[index] # may be anything, or unhashable
        except (KeyError, TypeError):
            pass
        try:
            target = check_target(value, self._kinds)
        except TargetInvalid as exc:
            raise AnswerFault(f"bad target: {exc}") from exc
        ip = target.ip
        if ip is not None and self._family is not None and ip.version != self._family:
            self._counts["other_family"] += 1
            if target not in self._named and len(self._named) < _MAX_NAMED:
                self._named.add(target)
                self._tell_other_family(target)
            return None
        if type(target) is not Target:
            target = Target(ip=target.ip, port=target.port, mac=target.mac)
        if len(self.good) >= _MAX_INTERNED:
            self.good.clear()
        target = self.good.setdefault(target, target)
        if type(value) is Target:
            self.good[value] = target
        return target

    def _replicate(self, value: Replicate) -> Answer:
        if not isinstance(value.targets, tuple):
            raise AnswerFault(f"Replicate holds {_name(value.targets)}, not a tuple of targets")
        if len(value.targets) > MAX_REPLICAS:
            raise AnswerFault(f"Replicate to {len(value.targets)} targets, above {MAX_REPLICAS}")
        kept: dict[Target, None] = {}
        for item in value.targets:
            target = self.target(item)
            if target is not None:
                kept[target] = None
        if value.targets and not kept:
            return DROP
        return Replicate(tuple(kept))


def neighbour_answer(value: object) -> NeighbourAnswer:
    """Return `value` as the answer of `arp`.

    Raises:
        AnswerFault: it is none.
    """
    if type(value) is Drop:
        return _drop(value)
    if not isinstance(value, Neighbour):
        return _station(Operation.ARP, value)
    router: object = value.router
    if not isinstance(router, bool):
        raise AnswerFault(f"arp said router={router!r}")
    _station(Operation.ARP, value.mac)
    return value


def dhcp_answer(value: object) -> DhcpAnswer:
    """Return `value` as the answer of `dhcp`.

    Raises:
        AnswerFault: it is none.
    """
    return _drop(value) if type(value) is Drop else _station(Operation.DHCP, value)


def _drop(value: Drop) -> Drop:
    hold: object = value.hold
    if hold is None:
        return value
    # Comparisons with nan are false.
    if not isinstance(hold, int | float) or isinstance(hold, bool) or not 0 <= hold <= MAX_HOLD:
        raise AnswerFault(f"Drop(hold={hold!r}): not 0 to {MAX_HOLD:g} seconds")
    return value


def _station(operation: Operation, value: object) -> MacAddress:
    if not isinstance(value, MacAddress):
        raise AnswerFault(f"{operation.value} answered {_name(value)}, not a MacAddress or DROP")
    if not is_station(value):
        raise AnswerFault(f"{operation.value} answered {value}, which is no station's address")
    return value


def _name(value: object) -> str:
    return "None" if value is None else type(value).__name__
