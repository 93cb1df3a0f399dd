"""What a plugin answers to a query.

Returning an answer is replying; every query is answered exactly once, by construction.
"""

import enum
from typing import Final, Self

from msgspec import Struct

from varpd.net.addresses import IpAddress, MacAddress


class Target(Struct, frozen=True, cache_hash=True, gc=False):
    """One destination in the underlay.

    Exactly the fields for the kinds that the encapsulation needs are set (`DestinationKind`).
    """

    ip: IpAddress | None = None
    """Underlay address."""

    port: int | None = None
    """Underlay port, 1 to 65535."""

    mac: MacAddress | None = None
    """Underlay MAC address."""

    def __str__(self) -> str:
        """Return the target as operators write it: ``192.0.2.1:4789``, ``[2001:db8::1]:4789``."""
        ip = "" if self.ip is None else str(self.ip)
        if self.port is not None:
            ip = f"[{ip}]:{self.port}" if ":" in ip else f"{ip}:{self.port}"
        return ",".join(part for part in ("" if self.mac is None else str(self.mac), ip) if part)


class Drop(Struct, frozen=True, gc=False):
    """The frame goes nowhere."""

    hold: float | None = None
    """For how many seconds frames alike (MAC, ethertype, VLAN) are dropped without asking.

    None: the overlay's ``negative_ttl``. 0: this frame alone.
    """


DROP: Final = Drop()
"""Drop, and hold off frames alike for the overlay's ``negative_ttl``."""


class Proxy(enum.Enum):
    """varpd answers the frame itself, asking the plugin only for the address that it needs."""

    ARP = "arp"
    NDP = "ndp"
    DHCP = "dhcp"


PROXY_ARP: Final = Proxy.ARP
"""The frame is an ARP request: answer it with what `DynamicPlugin.arp` says."""

PROXY_NDP: Final = Proxy.NDP
"""The frame is a neighbour solicitation: answer it with what `DynamicPlugin.arp` says."""

PROXY_DHCP: Final = Proxy.DHCP
"""The frame is DHCP: send it to the server that `DynamicPlugin.dhcp` names."""


class Replicate(Struct, frozen=True):
    """A copy of the frame goes to each of several targets, but not to this host."""

    targets: tuple[Target, ...]
    """The targets; repeated ones count once."""

    @classmethod
    def to(cls, *targets: Target) -> Self:
        """Return the answer that replicates to `targets`."""
        return cls(targets)


class Neighbour(Struct, frozen=True, gc=False):
    """Who has an overlay address."""

    mac: MacAddress
    """Overlay MAC address of the holder."""

    router: bool = False
    """Whether it is an IPv6 router.

    It sets the router flag of the advertisement (RFC 4861, section 4.4). A router that is
    advertised without it loses its place in its neighbours' default router lists
    (section 7.2.5).
    """


Answer = Target | Drop | Proxy | Replicate
"""What `DynamicPlugin.lookup` may answer."""

NeighbourAnswer = MacAddress | Neighbour | Drop
"""What `DynamicPlugin.arp` may answer."""

DhcpAnswer = MacAddress | Drop
"""What `DynamicPlugin.dhcp` may answer."""
