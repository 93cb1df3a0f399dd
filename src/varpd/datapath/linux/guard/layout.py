"""The names of the guard's tables, and of what is in them."""

from typing import Final

from varpd.datapath.linux.nft.objects import Table
from varpd.datapath.linux.nft.wire import Family

NAME: Final = "varpd"
"""Name of all our tables."""

INET: Final = Table(Family.INET, NAME)
NETDEV: Final = Table(Family.NETDEV, NAME)

BRIDGE: Final = Table(Family.BRIDGE, NAME)
"""Is there only while antispoof is on somewhere: not every kernel has the family."""

TABLES: Final = (INET, NETDEV, BRIDGE)

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

GUESTS: Final = "guests"
"""The chain that sees what guests send, and the map from guests' ports to the chains of these."""

STRANGERS: Final = "strangers"
"""The map from ports that nothing is known of, where that matters, to their overlay's chain."""

MEMBERS: Final = "members"
"""The chain that sees what is bridged, and the set of tunnels and known ports of overlays in which
unknown ones may not speak."""

_WRAPPED_CHAIN, _UNDERLAY, _FROM, _HOST = "wrapped", "underlay", "from", "host"
_PORT, _IPV4, _IPV6 = "port", "ipv4", "ipv6"
_KINDS: Final = frozenset((_WRAPPED_CHAIN, _UNDERLAY, _FROM, _HOST, _PORT, _IPV4, _IPV6))
"""What the names of overlays' own chains and sets begin with, before a dash and the overlay."""

_OF_PORT: Final = "/"
"""What stands before the port in names of chains and sets of one port; no link's name has it."""

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


def port_chain(overlay: str, port: str) -> str:
    """Return the name of the chain that judges what comes by a guest's port."""
    return f"{_PORT}-{overlay}{_OF_PORT}{port}"


def address_set(overlay: str, port: str, family: int) -> str:
    """Return the name of the set of a guest's addresses of a family, 4 or 6."""
    return f"{_IPV4 if family == 4 else _IPV6}-{overlay}{_OF_PORT}{port}"


def port_of(chain: str) -> str | None:
    """Return the port whose frames a chain judges; None: it is another chain."""
    kind, _, rest = chain.partition("-")
    _, found, port = rest.partition(_OF_PORT)
    return port if kind == _PORT and found else None


def owner_of(name: str) -> str:
    """Return the overlay that a chain or a set belongs to; empty: to all."""
    kind, _, rest = name.partition("-")
    return rest.partition(_OF_PORT)[0] if kind in _KINDS else ""
