"""The question that a plugin is asked: where does this frame go?"""

import enum
from typing import Final

from msgspec import Struct

from varpd.net import ethernet
from varpd.net.addresses import MacAddress


class Cause(enum.Enum):
    """Why a plugin is asked."""

    FRAME = "frame"
    """A guest's frame waits for the answer."""

    REFRESH = "refresh"
    """varpd itself wants to know about a MAC; only a Target or DROP answers it."""


FRAME: Final = Cause.FRAME
REFRESH: Final = Cause.REFRESH


class Query(Struct, frozen=True, gc=False, eq=False):
    """Where does this frame go, or, for `REFRESH`, where is this MAC?

    Two queries are never equal: the object itself is what an answer belongs to. The headers are
    read when they are asked for.
    """

    key: bytes
    """Destination MAC as six plain bytes: equal to `dst`, and cheaper to look up by."""

    vnetid: int
    """Virtual network identifier of the overlay."""

    packet: bytes | None = None
    """The frame with `headroom` bytes in front of it, or None for `REFRESH`."""

    headroom: int = 0
    """Bytes in `packet` that stand before the frame."""

    cause: Cause = FRAME
    """Why this is asked."""

    @property
    def dst(self) -> MacAddress:
        """Destination MAC address."""
        return MacAddress(self.key)

    @property
    def src(self) -> MacAddress | None:
        """Source MAC address, or None for `REFRESH`."""
        if self.packet is None:
            return None
        start = self.headroom + 6
        return MacAddress(self.packet[start : start + 6])

    @property
    def frame(self) -> bytes | None:
        """The whole Ethernet frame, which the plugin may keep, or None for `REFRESH`."""
        return None if self.packet is None else self.packet[self.headroom :]

    @property
    def size(self) -> int:
        """Length of the frame in bytes, 0 for `REFRESH`."""
        return 0 if self.packet is None else len(self.packet) - self.headroom

    @property
    def ethertype(self) -> int | None:
        """Ethertype behind at most one 802.1Q tag, None for 802.3 length frames.

        It is 0x0800 for `REFRESH`.
        """
        if self.packet is None:
            return ethernet.EtherType.IPV4
        return ethernet.ethertype_of(self.packet[self.headroom : self.headroom + 18])

    @property
    def vlan(self) -> int | None:
        """802.1Q VLAN of the frame, 1 to 4094, or None."""
        if self.packet is None:
            return None
        return ethernet.vlan_of(self.packet[self.headroom : self.headroom + 18])
