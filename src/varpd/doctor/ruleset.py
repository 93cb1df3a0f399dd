"""A firewall of nftables as its JSON tells it, asked only what can be answered without guessing.

Whether a rule lets a packet through cannot be told in general: it may depend on sets, marks and
connections. So the questions here are cautious: `closed_chains` are the chains of a hook that drop
by policy and hold no rule that may accept the packet; `dropping_rules` drop it whatever else it is.
The rules of iptables-nft are among those that nft lists; those of the old iptables are not.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

Json = Mapping[str, Any]

IP_FAMILIES: Final = ("ip", "ip6", "inet")

_VERDICTS: Final = ("accept", "drop", "reject", "jump", "goto", "return", "queue")
_REFUSALS: Final = ("drop", "reject")
_UDP: Final = 17
# States of a connection that a first packet has.
_FRESH: Final = frozenset({"new", "untracked"})


class Packet(Struct, frozen=True):
    """A UDP packet that rules are asked about."""

    family: str
    """``ip`` or ``ip6``."""

    dport: int
    interface: str | None = None
    """Name of the one that it comes in by; None: any."""


class Rule(Struct, frozen=True):
    """One rule."""

    family: str
    table: str
    chain: str
    handle: int
    expressions: Sequence[Json]

    def __str__(self) -> str:
        return f"rule {self.handle} of chain {self.chain} in table {self.family} {self.table}"


class Chain(Struct, frozen=True):
    """One chain that the kernel goes through by itself."""

    family: str
    table: str
    name: str
    hook: str
    policy: str

    def __str__(self) -> str:
        return f"chain {self.name} in table {self.family} {self.table}"


class Ruleset(Struct, frozen=True):
    """All chains with a hook, and all rules."""

    chains: tuple[Chain, ...] = ()
    rules: tuple[Rule, ...] = ()

    def closed_chains(self, hook: str, packet: Packet) -> list[Chain]:
        """Return the chains of a hook that drop the packet unless a rule that is not there accepts.

        They have the policy drop, and no rule in their table may accept it.
        """
        return [
            chain
            for chain in self._chains(hook, packet)
            if chain.policy == "drop"
            and not any(may_accept(rule, packet) for rule in self._of_table(chain))
        ]

    def dropping_rules(self, hook: str, packet: Packet) -> list[Rule]:
        """Return the rules of a hook's chains that drop the packet by its UDP port."""
        return [
            rule
            for chain in self._chains(hook, packet)
            for rule in self._of_table(chain)
            if rule.chain == chain.name and drops_port(rule, packet)
        ]

    def suspects(self, hook: str, words: Iterable[str]) -> list[Rule]:
        """Return rules that drop something, in the tables of a hook, and name one of `words`."""
        wanted = tuple(f'"{word}"' for word in words)
        return [
            rule
            for chain in self.chains
            if chain.hook == hook
            for rule in self._of_table(chain)
            if _verdict(rule) in _REFUSALS
            and any(word in json.dumps(list(rule.expressions)) for word in wanted)
        ]

    def mentions(self, chain: Chain, words: Iterable[str]) -> bool:
        """Return whether an accepting rule in a chain's table names one of `words`."""
        wanted = tuple(f'"{word}"' for word in words)
        return any(
            any(word in json.dumps(list(rule.expressions)) for word in wanted)
            for rule in self._of_table(chain)
            if _verdict(rule) == "accept"
        )

    def _chains(self, hook: str, packet: Packet) -> Iterator[Chain]:
        for chain in self.chains:
            if chain.hook == hook and chain.family in ("inet", packet.family):
                yield chain

    def _of_table(self, chain: Chain) -> Iterator[Rule]:
        for rule in self.rules:
            if (rule.family, rule.table) == (chain.family, chain.table):
                yield rule


def parse(text: str) -> Ruleset:
    """Return what ``nft --json list ruleset`` printed.

    Raises:
        ValueError: it is something else.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("nftables"), list):
        raise ValueError("not a ruleset")  # noqa: TRY004 - one class for all that it is not
    chains: list[Chain] = []
    rules: list[Rule] = []
    for item in content["nftables"]:
        if not isinstance(item, dict):
            continue
        chain, rule = item.get("chain"), item.get("rule")
        if isinstance(chain, dict) and "hook" in chain:
            chains.append(
                Chain(
                    str(chain.get("family")),
                    str(chain.get("table")),
                    str(chain.get("name")),
                    str(chain["hook"]),
                    str(chain.get("policy", "accept")),
                )
            )
        elif isinstance(rule, dict):
            expressions = rule.get("expr")
            handle = rule.get("handle")
            rules.append(
                Rule(
                    str(rule.get("family")),
                    str(rule.get("table")),
                    str(rule.get("chain")),
                    handle if isinstance(handle, int) else 0,
                    [each for each in expressions if isinstance(each, dict)]
                    if isinstance(expressions, list)
                    else [],
                )
            )
    return Ruleset(tuple(chains), tuple(rules))


def may_accept(rule: Rule, packet: Packet) -> bool:
    """Return whether a rule accepts and nothing in it says that it is not about the packet."""
    accepts = _verdict(rule) in ("accept", "queue") or _decides_by_map(rule)
    return accepts and not _excludes(rule, packet)


def drops_port(rule: Rule, packet: Packet) -> bool:
    """Return whether a rule drops all that goes to the packet's UDP port."""
    named = [_covers_port(match, packet) for match in _matches(rule)]
    return _verdict(rule) in _REFUSALS and bool(named) and all(named)


def _verdict(rule: Rule) -> str | None:
    for expression in rule.expressions:
        for verdict in _VERDICTS:
            if verdict in expression:
                return verdict
        # A target of iptables that nft knows no words of its own for.
        foreign = expression.get("xt")
        if isinstance(foreign, dict) and foreign.get("type") == "target":
            return str(foreign.get("name", "")).lower()
    return None


def _decides_by_map(rule: Rule) -> bool:
    """Return whether a map of verdicts decides, but for one by the state of the connection."""
    for expression in rule.expressions:
        decision = expression.get("vmap")
        if isinstance(decision, dict):
            key = decision.get("key")
            ct = key.get("ct") if isinstance(key, dict) else None
            return not (isinstance(ct, dict) and ct.get("key") == "state")
    return False


def _matches(rule: Rule) -> Iterator[Json]:
    for expression in rule.expressions:
        match = expression.get("match")
        if isinstance(match, dict):
            yield match


def _excludes(rule: Rule, packet: Packet) -> bool:
    return any(_is_about_another(match, packet) for match in _matches(rule))


def _is_about_another(match: Json, packet: Packet) -> bool:
    """Return whether a match fails for the packet for certain."""
    left, right = match.get("left"), match.get("right")
    equal = match.get("op", "==") in ("==", "in")
    if not isinstance(left, dict) or not equal:
        return False
    meta, payload, ct = left.get("meta"), left.get("payload"), left.get("ct")
    if isinstance(payload, dict):
        protocol, field = payload.get("protocol"), payload.get("field")
        if protocol in ("tcp", "icmp", "icmpv6", "sctp", "dccp"):
            return True
        if field == "dport":
            return not _contains(right, packet.dport)
        if field in ("protocol", "nexthdr"):
            return not (_contains(right, _UDP) or _contains(right, "udp"))
    if isinstance(meta, dict):
        key = meta.get("key")
        if key == "l4proto":
            return not (_contains(right, _UDP) or _contains(right, "udp"))
        if key in ("iif", "iifname"):
            if packet.interface is None:
                return _contains(right, "lo") and isinstance(right, str)
            return not _contains(right, packet.interface) and not str(right).endswith("*")
    if isinstance(ct, dict) and ct.get("key") == "state":
        return not any(_contains(right, state) for state in _FRESH)
    return False


def _covers_port(match: Json, packet: Packet) -> bool:
    """Return whether a match is one for the packet's protocol or destination port."""
    left = match.get("left")
    if not isinstance(left, dict) or match.get("op", "==") not in ("==", "in"):
        return False
    payload, meta = left.get("payload"), left.get("meta")
    right = match.get("right")
    if isinstance(payload, dict) and payload.get("field") == "dport":
        return payload.get("protocol") in ("udp", "th") and _contains(right, packet.dport)
    if isinstance(meta, dict) and meta.get("key") == "l4proto":
        return _contains(right, "udp") or _contains(right, _UDP)
    return False


def _contains(right: object, value: int | str) -> bool:
    """Return whether the right side of a match holds a value; of a named set nobody knows."""
    if isinstance(right, str) and right.startswith("@"):
        return True
    if isinstance(right, list):
        return any(_contains(item, value) for item in right)
    if isinstance(right, dict):
        if isinstance(right.get("set"), list):
            return any(_contains(item, value) for item in right["set"])
        bounds = right.get("range")
        if isinstance(bounds, list) and len(bounds) == 2 and isinstance(value, int):
            low, high = bounds
            return isinstance(low, int) and isinstance(high, int) and low <= value <= high
        return "set" in right or "elem" in right
    return right == value
