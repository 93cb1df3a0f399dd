"""The names of the guard's tables, and of what is in them."""

from typing import Final

from varpd.datapath.linux.nft.objects import Table
from varpd.datapath.linux.nft.wire import Family

NAME: Final = "varpd"
"""Name of all our tables."""

INET: Final = Table(Family.INET, NAME)
NETDEV: Final = Table(Family.NETDEV, NAME)

TABLES: Final = (INET, NETDEV)

TUNNELS: Final = "tunnels"
"""The set of our tunnels, by port and vnetid: those of wrapped frames and of punts."""

WRAPPED: Final = "wrapped"
"""The map from port and vnetid to the chain that judges such datagrams."""

LINKS: Final = "links"
"""The set of all overlays' links."""

BRIDGED: Final = "bridged"
"""The set of pairs that bridged frames have where netfilter sees them: the bridge, twice."""

PORTS: Final = "listen-ports"
"""The set of listen ports."""

SEEN: Final = "bridged-seen"
"""The chain that counts bridged frames before other people's rules."""

PASSED: Final = "bridged-passed"
"""The chain that counts those that got past all rules."""

_WRAPPED_CHAIN, _UNDERLAY, _FROM, _HOST = "wrapped", "underlay", "from", "host"
_KINDS: Final = frozenset((_WRAPPED_CHAIN, _UNDERLAY, _FROM, _HOST))
"""What the names of overlays' own chains and sets begin with, before a dash and the overlay."""

FROM_HERE: Final = "sent-here"
"""The chain that judges what this host sends."""

PUNTED: Final = "punted"
"""The chain that judges frames on their way to varpd."""


def wrapped_chain(overlay: str) -> str:
    """Return the name of the chain that judges wrapped frames of an overlay."""
    return f"{_WRAPPED_CHAIN}-{overlay}"


def underlay_set(overlay: str) -> str:
    """Return the name of the set of interfaces that may bring them."""
    return f"{_UNDERLAY}-{overlay}"


def from_set(overlay: str) -> str:
    """Return the name of the set of addresses that they may come from."""
    return f"{_FROM}-{overlay}"


def host_chain(overlay: str) -> str:
    """Return the name of the chain at an overlay's bridge."""
    return f"{_HOST}-{overlay}"


def owner_of(name: str) -> str:
    """Return the overlay that a chain or a set belongs to; empty: to all."""
    kind, _, overlay = name.partition("-")
    return overlay if kind in _KINDS else ""
