"""What would happen to a frame, as types of the API."""

from typing import Final, Literal

from msgspec import Struct

FIELDS: Final = ("kind", "src", "dst", "ethertype", "vlan", "address", "size", "ask")
"""What a question may say, see `TraceRequest`."""

FrameKind = Literal["frame", "arp", "nd", "dhcp"]
"""Any frame, an ARP request, a neighbour solicitation, or a DHCP client's discovery."""


class TraceRequest(Struct, frozen=True):
    """The frame that is traced. ``GET /v1/overlays/NAME/trace?kind=...``."""

    kind: FrameKind = "frame"
    src: str | None = None
    """The guest's MAC; some other unless given."""

    dst: str | None = None
    """Destination MAC of a frame; the others have theirs."""

    ethertype: int = 0x0800
    """Of a frame, 1536 to 65535."""

    vlan: int | None = None
    """802.1Q VLAN, 1 to 4094."""

    address: str | None = None
    """Overlay address that ``arp`` or ``nd`` asks for."""

    size: int = 60
    """Bytes of a frame, 14 to 9000."""

    ask: bool = False
    """Whether the plugin is asked."""


class StepInfo(Struct, frozen=True):
    """One step on the way of a frame."""

    place: Literal["frame", "kernel", "engine", "entry", "plugin", "outcome", "mtu"]
    """Who does it, or what is looked at."""

    text: str


class TraceInfo(Struct, frozen=True):
    """The way of a frame, step by step. ``GET /v1/overlays/NAME/trace``."""

    overlay: str
    vnetid: int
    verdict: str
    """One sentence: what becomes of the frame."""

    steps: tuple[StepInfo, ...]
