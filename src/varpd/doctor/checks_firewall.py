"""Does a firewall stand in the way?"""

from ipaddress import ip_address
from typing import Final

from varpd.control.diagnosis import OverlayDiagnosis
from varpd.doctor.facts import Facts
from varpd.doctor.findings import Finding, ok, problem, warning
from varpd.doctor.ruleset import Packet, Ruleset

PUNT_PORT: Final = 789
"""Port that the kernel hands frames over to."""

_SUSPECT_WORDS: Final = ("127.0.0.0", "127.0.0.1", "127.86.0.0", "lo", "::1")
_SUSPECTS_MAX: Final = 3


def check(facts: Facts) -> list[Finding]:
    """Return what there is to say about the firewall."""
    found: list[Finding] = []
    for item in facts.overlays:
        found += punt(facts, item)
    return [*found, *listen_ports(facts), *bridged(facts), *unseen(facts)]


def punt(facts: Facts, item: OverlayDiagnosis) -> list[Finding]:
    """Do frames get from the kernel to varpd? One was sent."""
    if item.punt is None:
        return []
    name = item.overlay.name
    if item.punt.closed is None:
        return [ok("punt-path", "frames get from the kernel to varpd: one was sent", name)]
    rules = facts.ruleset if facts.same_namespace else None
    where = suspects(rules, item.listen_ip)
    return [
        problem(
            "punt-path",
            item.punt.closed.removeprefix(f"{name}: "),
            f"allow UDP from {item.listen_ip} to port {PUNT_PORT} on lo before such rules"
            + (f"; look at {where}" if where else ": nft list ruleset, iptables-save"),
            name,
        )
    ]


def suspects(rules: Ruleset | None, listen_ip: str | None) -> str:
    """Return which rules may drop what is handed to varpd, in words; empty: none is known."""
    if rules is None or listen_ip is None:
        return ""
    packet = Packet(_family(listen_ip), PUNT_PORT, "lo")
    found: list[str] = []
    for hook in ("prerouting", "input", "output", "postrouting"):
        found += [str(rule) for rule in rules.dropping_rules(hook, packet)]
        found += [str(rule) for rule in rules.suspects(hook, _SUSPECT_WORDS)]
        found += [f"the policy of {chain}" for chain in rules.closed_chains(hook, packet)]
    return ", ".join(list(dict.fromkeys(found))[:_SUSPECTS_MAX])


def listen_ports(facts: Facts) -> list[Finding]:
    """Are wrapped frames of other hosts let in, as far as the rules tell?"""
    rules = facts.ruleset
    if rules is None or not facts.same_namespace:
        return []
    found: list[Finding] = []
    wanted = {
        (item.listen_ip, item.listen_port)
        for item in facts.overlays
        if item.listen_ip is not None and item.listen_port is not None
    }
    for address, port in sorted(wanted):
        found += _listen_port(rules, address, port)
    if not found and wanted:
        return [ok("firewall", "no rule that is known keeps out wrapped frames of other hosts")]
    return found


def _listen_port(rules: Ruleset, address: str, port: int) -> list[Finding]:
    packet = Packet(_family(address), port)
    inward = Packet(packet.family, port, "lo")
    hooks = ("prerouting", "input")
    dropping = [rule for hook in hooks for rule in rules.dropping_rules(hook, packet)]
    closed = [chain for hook in hooks for chain in rules.closed_chains(hook, packet)]
    shut = [chain for hook in hooks for chain in rules.closed_chains(hook, inward)]
    if dropping:
        return [
            problem(
                "firewall",
                f"{dropping[0]} drops UDP to port {port}, so no wrapped frame of another host "
                "comes in",
                f"allow UDP port {port} to {address} from the other hosts before that rule",
            )
        ]
    if closed:
        chain = closed[0]
        return [
            warning(
                "firewall",
                f"{chain} has the policy drop, and none of its rules seems to let in UDP to port "
                f"{port}: wrapped frames of other hosts may be lost",
                f"nft insert rule {chain.family} {chain.table} {chain.name} udp dport {port} "
                "accept",
            )
        ]
    if shut:
        chain = shut[0]
        return [
            warning(
                "firewall",
                f"{chain} has the policy drop, and none of its rules seems to let in UDP to port "
                f"{port} on lo: what varpd hands to guests, such as ARP replies, may be lost",
                f"nft insert rule {chain.family} {chain.table} {chain.name} iif lo udp dport "
                f"{port} accept",
            )
        ]
    return []


def bridged(facts: Facts) -> list[Finding]:
    """Does br_netfilter send frames between guests through the host's firewall?"""
    filters = facts.system.bridge_filters
    if not filters or not facts.same_namespace:
        return []
    cure = " ".join(f"net.bridge.bridge-nf-call-{name}=0" for name in filters)
    cures = (
        f"sysctl -w {cure}, if nothing on this host needs it (Kubernetes and some uses of Docker "
        "do); else let bridged frames through: "
        + "; ".join(f"{n} -I FORWARD -m physdev --physdev-is-bridged -j ACCEPT" for n in filters)
    )
    families = {"iptables": "ip", "ip6tables": "ip6"}
    chains = [
        chain
        for chain in (facts.ruleset.chains if facts.ruleset is not None else ())
        if chain.hook == "forward"
        and chain.policy == "drop"
        and chain.family in ("inet", *(families[name] for name in filters))
    ]
    bridges = [item.bridge for item in facts.overlays if item.bridge is not None]
    closed = [
        chain
        for chain in chains
        if facts.ruleset is not None and not facts.ruleset.mentions(chain, ("physdev", *bridges))
    ]
    if closed:
        return [
            problem(
                "br-netfilter",
                "br_netfilter is active, so frames between guests go through the host's firewall, "
                f"and {closed[0]} drops them by its policy",
                cures,
            )
        ]
    if chains:
        return [
            ok("br-netfilter", "br_netfilter is active, and a rule lets bridged frames through")
        ]
    return [
        warning(
            "br-netfilter",
            "br_netfilter is active: frames between guests go through the host's firewall, and any "
            "rule for forwarded packets meets them",
            cures,
        )
    ]


def unseen(facts: Facts) -> list[Finding]:
    """Which rules could not be looked at?"""
    found: list[Finding] = []
    if facts.ruleset is None:
        why = facts.ruleset_error or "it was not looked at"
        found.append(
            warning(
                "firewall",
                f"the rules of nftables are not known: {why}",
                "run this command as root, with nft installed, to have them looked at",
            )
        )
    if facts.system.legacy_tables:
        tables = ", ".join(sorted(set(facts.system.legacy_tables)))
        found.append(
            warning(
                "firewall",
                f"there are rules of the old iptables ({tables}), which were not looked at",
                "look yourself: iptables-legacy-save",
            )
        )
    return found


def _family(address: str) -> str:
    return "ip" if ip_address(address).version == 4 else "ip6"
