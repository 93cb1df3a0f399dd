"""What goes over the control socket, as types.

The JSON of these is what scripts rely on. Fields are added, never changed or removed, within one
version of the API. What does not apply is null.
"""

import enum
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

API_VERSION: Final = 1
"""The version in every path: ``/v1/...``."""

MAX_REQUEST: Final = 1 << 20
"""Bytes of a request's body; protects the daemon's memory from its own users."""

DEFAULT_SOCKET: Final = "/run/varpd/varpd.sock"
"""Where the daemon listens unless it is told otherwise."""

GROUP: Final = "varpd"
"""The group whose members may use the control socket, if there is such a group."""

JsonValue = int | str | None
"""The value of a property in JSON: numbers are numbers, addresses and texts are texts."""


TargetState = Literal["valid", "refreshing", "stale", "blocked", "negative", "pending"]
"""How it stands with an entry."""

TargetOrigin = Literal["plugin", "administrator", "adopted"]
"""Who said it; ``adopted``: it was found in the kernel."""


class ErrorCode(enum.Enum):
    """What kind of error an answer is about."""

    BAD_REQUEST = "bad-request"
    """The request cannot be understood."""

    NOT_FOUND = "not-found"
    """There is no such thing."""

    EXISTS = "exists"
    """There is one already."""

    INVALID = "invalid"
    """A value is not possible."""

    MISSING = "missing"
    """Required values are not there."""

    NOT_LIVE = "not-live"
    """It cannot change while the overlay exists."""

    UNSUPPORTED = "unsupported"
    """The plugin, the encapsulation, the mode or the kernel cannot do it."""

    FORBIDDEN = "forbidden"
    """The caller may not do it."""

    CONFLICT = "conflict"
    """Another overlay, link or program is in the way."""

    FAILED = "failed"
    """It was tried and did not work."""

    BUSY = "busy"
    """The overlay is being changed by somebody else, or the daemon starts or stops."""

    UNREACHABLE = "unreachable"
    """No daemon answers. The daemon never says this; the client does."""


class ErrorInfo(Struct, frozen=True):
    """An error as JSON."""

    code: ErrorCode
    message: str
    """One sentence for the operator."""

    field: str | None = None
    """The name of the property or field that is wrong."""


class ControlError(Exception):
    """A request was refused or failed."""

    def __init__(self, code: ErrorCode, message: str, field: str | None = None) -> None:
        """Take the kind of error, one sentence, and the property or field that is wrong."""
        self.code = code
        self.message = message
        self.field = field
        super().__init__(code, message, field)

    def __str__(self) -> str:
        return self.message


class CreateOverlay(Struct, frozen=True, forbid_unknown_fields=True):
    """Make an overlay. ``POST /v1/overlays``."""

    name: str
    """Name of the overlay and its bridge: 1 to 12 characters."""

    vnetid: Annotated[int, Meta(ge=0)]
    """Virtual network identifier; the encapsulation gives the upper limit."""

    search: str
    """Name of the search plugin."""

    encap: str = "vxlan"
    """Name of the encapsulation."""

    properties: dict[str, str | None] = {}
    """Values as an operator writes them, by name; null is the default."""

    temporary: bool = False
    """Whether the overlay is forgotten when the host restarts."""


class SetProperties(Struct, frozen=True, forbid_unknown_fields=True):
    """Set properties, all or none. ``PATCH /v1/overlays/NAME/properties``."""

    properties: dict[str, str | None]
    """Values as an operator writes them; null goes back to the default."""


class SetEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Say where a MAC is. ``PUT /v1/overlays/NAME/entries/MAC``."""

    target: str
    """``IP:PORT``, ``[IPV6]:PORT``, or ``drop``."""


AntispoofValue = Literal["off", "mac", "mac+ip"]
"""Values of the property ``antispoof``."""


class SetPort(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a guest's port; what is left out stays as it is."""

    mac: str | UnsetType | None = UNSET
    """The guest's MAC; null: not known."""

    addresses: tuple[str, ...] | UnsetType = UNSET
    """The guest's overlay addresses, all of them."""

    antispoof: AntispoofValue | UnsetType | None = UNSET
    """As the property of that name; null: as the overlay has it."""

    takeover: bool = False
    """Whether the guest has moved to this port from another host, which has to give it up."""


PortState = Literal["present", "absent", "blocked", "conflict"]


class PortInfo(Struct, frozen=True):
    """A guest's port of an overlay's bridge."""

    overlay: str
    port: str
    """Name of the link."""

    mac: str | None
    addresses: tuple[str, ...]
    antispoof: str
    """What holds for it, be it said of the port or of the overlay."""

    own: bool
    """Whether it was said of the port."""

    state: PortState
    """Whether the link is on the bridge; ``blocked``: it is, and may send nothing for want of a
    MAC; ``conflict``: it is, and the plugin does not publish it, since its MAC or an address is
    somebody else's."""

    refused: int
    """Frames that antispoof refused since it was last set."""

    conflict: str | None = None
    """Who has the MAC or an address in place of this port."""


class CauseInfo(Struct, frozen=True):
    """One reason why an overlay works badly."""

    cause: str
    """``plugin``, ``fault``, ``start``, ``restore``, ``save``, ``datapath`` or ``panic``."""

    message: str
    since: str
    """When it began, RFC 3339 in UTC."""


class OverlayInfo(Struct, frozen=True):
    """An overlay. ``GET /v1/overlays``, ``GET /v1/overlays/NAME``."""

    name: str
    vnetid: int
    encap: str
    search: str
    mode: Literal["point", "dynamic"]
    state: Literal["online", "degraded", "stopped"]
    detail: str | None
    """The gravest cause's message."""

    causes: tuple[CauseInfo, ...]
    """The gravest first."""

    properties: dict[str, JsonValue]

    temporary: bool = False
    """Whether it is forgotten when the host restarts."""


class PropertyInfo(Struct, frozen=True):
    """One property of an overlay. ``GET /v1/overlays/NAME/properties``."""

    name: str
    type: Literal["uint", "int", "ip", "string"]
    permission: Literal["r-", "rw"]
    required: bool
    value: JsonValue
    default: JsonValue
    possible: str
    """Such as ``1-65535`` or ``on,off``; empty for all that the type holds."""

    live: bool
    """Whether it can change while the overlay exists."""

    doc: str
    secret: bool = False
    """Whether nobody is shown the value: it is ``***`` wherever it is set."""


class TargetInfo(Struct, frozen=True, gc=False):
    """One entry of an overlay's table. ``GET /v1/overlays/NAME/targets``."""

    overlay: str
    mac: str | None
    """None: everything (a POINT overlay)."""

    ip: str | None
    port: int | None
    state: TargetState
    origin: TargetOrigin
    age_s: float | None


class PluginInfo(Struct, frozen=True):
    """A plugin that is loaded."""

    name: str
    mode: Literal["point", "dynamic"]
    api_version: int
    origin: str
    """Where it comes from: a distribution with its version, or a file and line."""

    properties: tuple[PropertyInfo, ...]
    """As declared for the default encapsulation; `value` is null."""


class RefusalInfo(Struct, frozen=True):
    """A plugin that was refused."""

    origin: str
    reason: Literal[
        "import-error",
        "bad-version",
        "bad-name",
        "duplicate-name",
        "wrong-mode",
        "missing-operation",
        "bad-property",
    ]
    message: str


class EncapsulationInfo(Struct, frozen=True):
    """An encapsulation."""

    name: str
    kinds: tuple[str, ...]
    """What it needs of a destination: ``ethernet``, ``ip``, ``port``."""

    vnetid_max: int
    datapaths: tuple[str, ...]


class PluginsInfo(Struct, frozen=True):
    """All that overlays can be made of. ``GET /v1/plugins``."""

    plugins: tuple[PluginInfo, ...]
    refused: tuple[RefusalInfo, ...]
    encapsulations: tuple[EncapsulationInfo, ...]


EventKind = Literal[
    "answered",
    "neighbour",
    "dhcp",
    "target-set",
    "invalidated",
    "enumerated",
    "announced",
    "default-set",
    "entry-set",
    "entry-deleted",
    "flushed",
    "rows-written",
    "rows-removed",
    "rows-refused",
    "adopted",
    "torn",
    "learned",
    "forgotten",
    "fault",
    "note",
    "degraded",
    "recovered",
    "started",
    "stopped",
    "overlay-added",
    "overlay-changed",
    "overlay-removed",
    "lost",
]
"""What sort of thing happened; ``lost``: the reader was too slow for others."""


class EventInfo(Struct, frozen=True):
    """Something that happened. ``GET /v1/events``, ``GET /v1/overlays/NAME/events``."""

    time: str
    """When, RFC 3339 in UTC."""

    overlay: str | None
    """None: it is about the stream itself."""

    kind: EventKind
    text: str
    """It in words."""

    macs: tuple[str, ...]
    """MACs that it is about; none: the overlay."""

    more: int = 0
    """How many more MACs, or lost events, there were."""

    address: str | None = None
    """Overlay address that it is about."""

    target: str | None = None
    """The one target that it is about, such as ``192.0.2.1:4789``."""


class HealthInfo(Struct, frozen=True):
    """Whether the daemon is well. ``GET /healthz``, ``GET /readyz``."""

    ok: bool
    version: str
    overlays: int
    degraded: int
    detail: str | None = None
