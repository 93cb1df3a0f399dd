"""What the engine is told of an overlay, and the bounds that keep its guests apart."""

import enum
from typing import Final

from msgspec import Struct

from varpd.net.addresses import IpAddress
from varpd.provider.kinds import DestinationKind

KIB: Final = 1024
MIB: Final = 1024 * KIB


class Mode(enum.Enum):
    """How an overlay finds its destinations."""

    POINT = "point"
    """One target for everything."""

    DYNAMIC = "dynamic"
    """A target for each destination MAC."""


class Rate(Struct, frozen=True):
    """A token bucket: `rate` frames a second, `burst` at once."""

    rate: float
    """Frames a second; 0 for no limit."""

    burst: float
    """Frames that may come at once."""


def rate(frames: float) -> Rate:
    """Return the bucket of `frames` a second with twice that as its burst."""
    return Rate(frames, 2 * frames)


class Limits(Struct, frozen=True):
    """Bounds on what guests can make varpd do for an overlay; each overflow is counted."""

    unicast: Rate = rate(20_000)
    """Punted unicast frames of the overlay."""

    arp: Rate = rate(5_000)
    """Punted ARP frames of the overlay."""

    nd: Rate = rate(5_000)
    """Punted neighbour discovery frames of the overlay."""

    dhcp: Rate = rate(200)
    """Punted DHCP frames of the overlay."""

    multicast: Rate = rate(1_000)
    """Punted frames to other group addresses."""

    source_unicast: Rate = rate(0)
    """Punted unicast frames of one source MAC; by default only the overlay's limit holds."""

    source_arp: Rate = rate(500)
    """Punted ARP frames of one source MAC."""

    source_nd: Rate = rate(500)
    """Punted neighbour discovery frames of one source MAC."""

    source_dhcp: Rate = rate(20)
    """Punted DHCP frames of one source MAC."""

    source_multicast: Rate = rate(200)
    """Punted frames of one source MAC to other group addresses."""

    waiting_mac: int = 128 * KIB
    """Bytes of frames that wait for the answer about one MAC."""

    waiting: int = 16 * MIB
    """Bytes of frames that wait for answers in the overlay."""

    targets: int = 262_144
    """Entries of the overlay's table."""

    lookups: int = 4_096
    """Questions in progress."""


class Totals(Struct, frozen=True):
    """Bounds over all overlays; each overlay has a reserved share of them."""

    waiting: int = 64 * MIB
    """Bytes of frames that wait."""

    targets: int = 1_048_576
    """Entries of all tables."""

    lookups: int = 65_536
    """Questions in progress."""


class Settings(Struct, frozen=True):
    """One overlay, as far as the engine must know it."""

    vnetid: int
    """Virtual network identifier."""

    mode: Mode
    """How destinations are found."""

    kinds: DestinationKind
    """What the encapsulation needs of a destination."""

    headroom: int
    """Bytes of encapsulation header in front of each punted frame."""

    listen_ip: IpAddress | None = None
    """Where this host receives wrapped frames; its family is the underlay's."""

    listen_port: int | None = None
    """The port it receives them on."""

    local_ips: frozenset[IpAddress] = frozenset()
    """More addresses that lead to this host, such as those in front of a NAT."""

    lookup_timeout: float = 5.0
    """Seconds after which a frame that waits for an answer is dropped."""

    negative_ttl: float = 1.0
    """Seconds for which frames like a dropped one are dropped without asking."""

    ttl: float | None = None
    """Seconds that targets hold, or None: until invalidated."""

    limits: Limits = Limits()
    """Bounds of the overlay."""

    repair: bool = True
    """Whether rows that are not as they should be are put right, or only reported."""

    @property
    def family(self) -> int | None:
        """4 or 6, the address family of the underlay, or None while it is not known."""
        return None if self.listen_ip is None else self.listen_ip.version
