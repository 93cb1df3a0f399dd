"""Why punted frames are dropped, in words for operators; the names are those of the counters."""

from typing import Final

_LIMIT: Final = "more {} frames than `limit_{}` allows the overlay"
_SOURCE: Final = "more {} frames from one MAC than `limit_source_{}` allows"

_KINDS: Final = {
    "unicast": "unicast",
    "arp": "ARP",
    "nd": "neighbour discovery",
    "dhcp": "DHCP",
    "multicast": "multicast",
}

REASONS: Final[dict[str, str]] = {
    "plugin": "the plugin answered that there is no destination",
    "negative": "the plugin said so a moment ago, or did not answer in time",
    "failed": "the plugin failed; see `show -f` and the log",
    "timeout": "the plugin did not answer within `lookup_timeout`",
    "no-instance": "the plugin was not at work; see `show -f`",
    "local": "the destination is on this host, where the bridge has delivered it already",
    "blocked": "an entry of the administrator drops them",
    "neighbour-unknown": "the plugin knows nobody with the address asked for",
    "dhcp-no-server": "the plugin names no DHCP server",
    "probe-own": "a guest made sure that its own address is free; nobody answers that",
    "waiting-mac": "too many bytes wait for the answer about one MAC",
    "waiting-overlay": "too many bytes wait in the overlay: `limit_waiting`",
    "table-full": "there is no room for another MAC: `limit_targets`",
    "lookups": "too many questions are in progress: `max_lookups`",
    **{f"limit-{kind}": _LIMIT.format(name, kind) for kind, name in _KINDS.items()},
    **{f"limit-source-{kind}": _SOURCE.format(name, kind) for kind, name in _KINDS.items()},
    "truncated": "they end before their headers do",
}
"""By reason. What is not here is a frame that a proxy could not answer: see `explain`."""

_PROXIES: Final = {
    "arp": "an ARP frame that is not answered",
    "ndp": "a neighbour discovery frame that is not answered",
    "dhcp": "a DHCP frame that is not passed on",
    "ethernet": "a frame that cannot be read",
    "ipv4": "an IPv4 packet that cannot be read",
    "ipv6": "an IPv6 packet that cannot be read",
    "udp": "a UDP datagram that cannot be read",
}


def explain(reason: str) -> str:
    """Return in words why frames are dropped that are counted by `reason`."""
    known = REASONS.get(reason)
    if known is not None:
        return known
    protocol, _, what = reason.partition("-")
    of = _PROXIES.get(protocol)
    return "" if of is None else f"{of}: {what.replace('-', ' ')}"
