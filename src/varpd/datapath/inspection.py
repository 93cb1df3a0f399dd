"""What a datapath has for one MAC, for those who explain it."""

from msgspec import Struct

from varpd.provider.answers import Target


class DeviceRow(Struct, frozen=True):
    """The row in the table of the tunnel device: where frames are sent."""

    targets: tuple[Target, ...]
    """One for a unicast MAC, any number for a group MAC."""

    flags: tuple[str, ...] = ()
    """What makes the row as it is, in the kernel's words: ``static``, ``sticky`` ..."""

    used_s: float | None = None
    """Seconds since it carried a frame."""

    updated_s: float | None = None
    """Seconds since it was written."""


class BridgeRow(Struct, frozen=True):
    """The row in the table of the bridge: behind which port the MAC is."""

    port: str
    """Name of the link."""

    is_tunnel: bool
    """Whether that is the tunnel device; else it is a guest's port, or the bridge itself."""

    flags: tuple[str, ...] = ()
    """Likewise; a row without ``static`` or ``permanent`` was learned."""

    used_s: float | None = None
    updated_s: float | None = None


class MacRows(Struct, frozen=True):
    """All that decides where a frame to a MAC goes."""

    device: DeviceRow | None
    bridge: BridgeRow | None
    """None: the bridge copies frames to all guests and to the tunnel device."""

    default: Target | None
    """Where the tunnel device sends what it has no row for; None: nowhere, unless it punts."""

    punts: bool
    """Whether it hands that to varpd."""
