"""Why frames go where they go, as types of the API. What does not apply is null."""

from typing import Literal

from msgspec import Struct

from varpd.control.messages import EventInfo, TargetOrigin


class WantedInfo(Struct, frozen=True):
    """What varpd wants of one MAC, and why."""

    state: Literal[
        "valid", "refreshing", "stale", "blocked", "negative", "pending", "absent", "point"
    ]
    """As in `TargetInfo`; ``absent``: nothing is known; ``point``: one target for everything."""

    origin: TargetOrigin | None
    targets: tuple[str, ...]
    """Where its frames go, such as ``192.0.2.1:4789``."""

    local: bool
    """Whether that is this host, so that there are no rows."""

    age_s: float | None
    """Seconds since the target was learnt."""

    expires_s: float | None
    """Seconds until it ends unless it is used; null: it holds until further notice."""

    asked: bool
    """Whether the plugin is being asked at this moment."""


class HoldInfo(Struct, frozen=True):
    """Frames alike are dropped without asking, since the plugin said so a moment ago."""

    ethertype: int | None
    vlan: int | None
    ends_s: float
    """Seconds until the plugin is asked again."""


class RowInfo(Struct, frozen=True):
    """A row that the kernel has for one MAC."""

    table: Literal["device", "bridge", "default"]
    """That of the tunnel device, that of the bridge, or the row for all other MACs."""

    destinations: tuple[str, ...]
    """Where the tunnel device sends frames."""

    port: str | None
    """Behind which port the bridge has the MAC."""

    flags: tuple[str, ...]
    """In the kernel's words, such as ``static`` and ``sticky``."""

    used_s: float | None
    """Seconds since it carried a frame."""

    updated_s: float | None
    """Seconds since it was written."""


class MacExplanation(Struct, frozen=True):
    """One MAC explained."""

    mac: str | None
    """None: everything (a POINT overlay)."""

    summary: str
    """One sentence: where its frames go, why, and whether the kernel agrees."""

    agrees: bool
    """Whether the kernel's rows are as varpd wants them."""

    problems: tuple[str, ...]
    """How they are not."""

    wanted: WantedInfo
    learned: bool
    """Whether a guest here sends from it."""

    waiting_frames: int
    waiting_bytes: int
    holds: tuple[HoldInfo, ...]
    rows: tuple[RowInfo, ...]
    events: tuple[EventInfo, ...]
    """What is remembered of it, the latest first."""


class KnownAddressInfo(Struct, frozen=True):
    """Who has an overlay address, and how that is known."""

    mac: str | None
    """None: nobody."""

    source: Literal["answered", "announced", "asked"]
    """The plugin answered it when a guest asked, said it unasked, or was asked for this."""

    age_s: float
    text: str
    """It in words."""


class Explanation(Struct, frozen=True):
    """Why frames to a MAC or an overlay address go where they go.

    ``GET /v1/overlays/NAME/explain/ADDRESS``.
    """

    overlay: str
    asked: str
    """The address that was asked about."""

    search: str
    summary: str
    """One sentence that answers it."""

    addresses: tuple[KnownAddressInfo, ...]
    """Who has the overlay address, if one was asked about."""

    macs: tuple[MacExplanation, ...]
