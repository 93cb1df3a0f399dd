"""What is in a table, and how to come from what is there to what is wanted."""

from collections.abc import Iterable, Iterator
from typing import Final, Self

from msgspec import Struct

from varpd.datapath.linux.nft import objects
from varpd.datapath.linux.nft.objects import Chain, Element, Rule, Set, Table
from varpd.datapath.linux.nft.wire import Message


class Content(Struct, frozen=True):
    """All that is in a table, or a part of it."""

    chains: tuple[Chain, ...] = ()
    sets: tuple[Set, ...] = ()
    rules: tuple[Rule, ...] = ()
    """In the order in which they stand in their chains."""

    elements: frozenset[Element] = frozenset()

    def __or__(self, other: Self) -> Self:
        """Return both together; the rules of `other` stand behind."""
        return type(self)(
            (*self.chains, *other.chains),
            (*self.sets, *other.sets),
            (*self.rules, *other.rules),
            self.elements | other.elements,
        )

    def without(self, elements: frozenset[Element]) -> Self:
        """Return this but for some elements."""
        return type(self)(self.chains, self.sets, self.rules, self.elements - elements)

    def rules_of(self, chain: str) -> tuple[Rule, ...]:
        """Return the rules of a chain."""
        return tuple(rule for rule in self.rules if rule.chain == chain)


EMPTY: Final = Content()


def merge(parts: Iterable[Content]) -> Content:
    """Return all parts together."""
    chains: list[Chain] = []
    sets: list[Set] = []
    rules: list[Rule] = []
    elements: set[Element] = set()
    for part in parts:
        chains += part.chains
        sets += part.sets
        rules += part.rules
        elements |= part.elements
    return Content(tuple(chains), tuple(sets), tuple(rules), frozenset(elements))


def difference(table: Table, there: Content, wanted: Content) -> list[Message]:
    """Return the messages that make `wanted` of `there`; none: nothing is amiss.

    What is as wanted is left alone, its counters too.
    """
    return [
        *_new_sets(table, there, wanted),
        *_chains(table, there, wanted),
        *_elements(table, there, wanted),
        *_gone(table, there, wanted),
    ]


def _new_sets(table: Table, there: Content, wanted: Content) -> Iterator[Message]:
    names = {item.name for item in there.sets}
    for identity, item in enumerate(wanted.sets, 1):
        if item.name not in names:
            yield objects.new_set(table, item, identity)


def _by_chain(content: Content) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {chain.name: [] for chain in content.chains}
    for rule in content.rules:
        found.setdefault(rule.chain, []).append(rule)
    return found


def _chains(table: Table, there: Content, wanted: Content) -> Iterator[Message]:
    """Make chains and their rules: all chains first, since rules name them."""
    old = {chain.name: chain for chain in there.chains}
    fresh = set()
    for chain in wanted.chains:
        found = old.get(chain.name)
        if found == chain:
            continue
        if found is not None and not _same_hook(found, chain):
            yield objects.flush_chain(table, chain.name)
            yield objects.delete_chain(table, chain.name)
            found = None
        if found is None:
            fresh.add(chain.name)
        yield objects.new_chain(table, chain)
    old_rules, new_rules = _by_chain(there), _by_chain(wanted)
    for chain in wanted.chains:
        rules, found_rules = new_rules[chain.name], old_rules.get(chain.name, [])
        if chain.name not in fresh:
            if _agree(rules, found_rules):
                continue
            if found_rules:
                yield objects.flush_chain(table, chain.name)
        for rule in rules:
            yield objects.new_rule(table, rule)


def _same_hook(one: Chain, other: Chain) -> bool:
    return (one.hook, one.priority, one.device) == (other.hook, other.priority, other.device)


def _agree(wanted: list[Rule], there: list[Rule]) -> bool:
    return len(wanted) == len(there) and all(
        one.agrees(other) for one, other in zip(wanted, there, strict=True)
    )


def _elements(table: Table, there: Content, wanted: Content) -> Iterator[Message]:
    # The elements of a set that goes go with it.
    whole = {item.name for item in there.sets} - {item.name for item in wanted.sets}
    for item in there.sets:
        if item.is_map and item.name in whole:
            # They lead to chains, which may go too, and before the set does.
            yield objects.flush_set(table, item.name)
    for item in wanted.sets:
        if item.is_interval and _of(there, item.name) != _of(wanted, item.name):
            whole.add(item.name)
            # Ranges may overlap those that go, so all of them go first.
            if _of(there, item.name):
                yield objects.flush_set(table, item.name)
            yield from objects.new_elements(table, *_sorted(_of(wanted, item.name)))
    for element in _sorted(there.elements - wanted.elements):
        if element.set not in whole:
            yield from objects.delete_elements(table, element)
    for element in _sorted(wanted.elements - there.elements):
        if element.set not in whole:
            yield from objects.new_elements(table, element)


def _of(content: Content, name: str) -> frozenset[Element]:
    return frozenset(element for element in content.elements if element.set == name)


def _sorted(elements: Iterable[Element]) -> list[Element]:
    return sorted(elements, key=lambda item: (item.set, item.key, not item.ends))


def _gone(table: Table, there: Content, wanted: Content) -> Iterator[Message]:
    chains = {chain.name for chain in wanted.chains}
    sets = {item.name for item in wanted.sets}
    old = [chain.name for chain in there.chains if chain.name not in chains]
    # All rules first: one may name another of these chains, or a set.
    for name in old:
        yield objects.flush_chain(table, name)
    for name in old:
        yield objects.delete_chain(table, name)
    for item in there.sets:
        if item.name not in sets:
            yield objects.delete_set(table, item.name)
