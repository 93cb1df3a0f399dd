"""The table of encapsulations: how a frame is wrapped.

Nothing else in varpd says the name of one.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from varpd.net import vxlan
from varpd.provider.kinds import DestinationKind
from varpd.provider.properties import Property, PropertyType, Range

_IPV4_HEADER: Final = 20
_IPV6_HEADER: Final = 40
_UDP_HEADER: Final = 8
_ETHERNET_HEADER: Final = 14


class Encapsulation(Struct, frozen=True):
    """One way to wrap a frame."""

    name: str
    """How operators call it; the owner of its properties."""

    kinds: DestinationKind
    """What it needs to know of a destination."""

    vnetid_max: int
    """The largest virtual network identifier; the smallest is 0."""

    header_size: int
    """Bytes of its own header, which stand in front of a punted frame."""

    pack_header: Callable[[int], bytes]
    """Makes that header for a vnetid."""

    vnetid_of: Callable[[bytes], int]
    """Reads the vnetid from a datagram; raises `DecodeError`."""

    properties: tuple[Property, ...]
    """The properties of an overlay that uses it."""

    def overhead(self, family: int) -> int:
        """Return how much smaller guests' MTU is than that of an underlay of `family` 4 or 6."""
        outer = _IPV4_HEADER if family == 4 else _IPV6_HEADER
        return outer + _UDP_HEADER + self.header_size + _ETHERNET_HEADER


VXLAN: Final = Encapsulation(
    name="vxlan",
    kinds=DestinationKind.IP | DestinationKind.PORT,
    vnetid_max=vxlan.VNI_MAX,
    header_size=vxlan.Header.SIZE,
    pack_header=vxlan.pack_header,
    vnetid_of=vxlan.vni_of,
    properties=(
        Property(
            "vxlan/listen_ip",
            PropertyType.IP,
            required=True,
            live=False,
            doc="Underlay address of this host that wrapped frames come from and go to.",
        ),
        Property(
            "vxlan/listen_port",
            PropertyType.UINT,
            default=vxlan.PORT,
            possible=(Range(1, 65535),),
            live=False,
            doc="UDP port that wrapped frames are received on.",
        ),
        Property(
            "vxlan/local_ips",
            PropertyType.STRING,
            doc="More addresses that lead to this host, such as elastic ones; comma-separated.",
        ),
        Property(
            "vxlan/underlay",
            PropertyType.STRING,
            doc="Interfaces that may bring wrapped frames, comma-separated; all unless set.",
        ),
    ),
)

ENCAPSULATIONS: Final = {item.name: item for item in (VXLAN,)}
"""All encapsulations by name."""

NAMES: Final = frozenset({*ENCAPSULATIONS, "nvgre", "geneve"})
"""What no plugin may be called: owners of properties, whether or not they can be used here."""
