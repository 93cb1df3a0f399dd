"""The datapath: what carries frames, as the rest of varpd sees it."""

import enum
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from msgspec import Struct

from varpd.datapath.counters import HostCounters, OverlayCounters
from varpd.datapath.inspection import MacRows
from varpd.engine.commands import DatapathCommand
from varpd.engine.events import Event
from varpd.engine.settings import Mode
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target


class DatapathErrorCode(enum.Enum):
    """What stops an overlay from being made."""

    UNSUPPORTED = "unsupported"
    """The kernel lacks something that is needed."""

    PERMISSION = "permission"
    """The kernel does not let us."""

    NAME_TAKEN = "name-taken"
    """A link of that name is not ours, or the name cannot be a link's."""

    VNETID_TAKEN = "vnetid-taken"
    """Another link has the vnetid on that port."""

    PORT_IN_USE = "port-in-use"
    """Something else listens on the port."""

    NO_SUCH_ADDRESS = "no-such-address"
    """The listen address is not one of this host's."""

    PUNT_PATH_CLOSED = "punt-path-closed"
    """Frames do not get from the kernel to varpd."""

    FAILED = "failed"
    """Anything else; the message holds what the kernel said."""


class DatapathError(Exception):
    """The datapath could not do something; nothing of it is left behind."""

    def __init__(self, code: DatapathErrorCode, message: str) -> None:
        """Take what kind of error it is, and a sentence with what to do."""
        self.code = code
        self.message = message
        super().__init__(code, message)

    def __str__(self) -> str:
        return self.message


IpNetwork = IPv4Network | IPv6Network


class Antispoof(enum.Enum):
    """What a guest may say about who it is."""

    OFF = "off"
    """Anything."""

    MAC = "mac"
    """It sends from its own MAC."""

    MAC_AND_IP = "mac+ip"
    """And ARP, neighbour discovery and IP only from its own addresses."""


class GuestPort(Struct, frozen=True):
    """A guest's port on an overlay's bridge, whether the link is there or not."""

    name: str
    """Name of the link."""

    mac: bytes | None = None
    """The guest's MAC; None: not known."""

    addresses: tuple[IpAddress, ...] = ()
    """The guest's overlay addresses."""

    antispoof: Antispoof = Antispoof.OFF


class Link(Struct, frozen=True):
    """One overlay, as far as the datapath must know it."""

    name: str
    """Name of the overlay and of its bridge."""

    vnetid: int
    """Virtual network identifier."""

    encapsulation: str
    """Name of the encapsulation, see `varpd.datapath.encapsulation`."""

    mode: Mode
    """Whether unknown frames are punted (DYNAMIC) or all go to `default` (POINT)."""

    number: int
    """A small number, unique on the host, that addresses are made from; 1 to 65535."""

    listen_ip: IpAddress
    """Underlay address that wrapped frames come from and to."""

    listen_port: int
    """Underlay port, 1 to 65535."""

    mtu: int | None = None
    """MTU of the guests; None: 1500."""

    default: Target | None = None
    """The target of a POINT overlay."""

    repair: bool = True
    """Whether links that somebody else changed are put right, or only reported."""

    host_access: bool = False
    """Whether guests may speak with the host itself."""

    underlay: tuple[str, ...] = ()
    """Interfaces that may bring wrapped frames; empty: all but overlays' links."""

    sources: tuple[IpNetwork, ...] | None = None
    """Underlay networks that wrapped frames may come from; None: all."""

    only_targets: bool = False
    """Whether they may come only from where frames are sent to; then `sources` says nothing."""

    antispoof: Antispoof = Antispoof.OFF
    """What holds for guests' ports that are not among `ports`: they have no MAC that is known, so
    but with OFF nothing that they send is let through."""

    ports: tuple[GuestPort, ...] = ()
    """What is known of guests' ports."""


class Row(Struct, frozen=True):
    """Where the kernel sends frames for a MAC."""

    mac: bytes
    """Destination MAC; all zero for the default row of a POINT overlay."""

    targets: tuple[Target, ...]
    """One for unicast, any number for a group MAC."""


class LinkState(Struct, frozen=True):
    """What there is of an overlay in the kernel."""

    bridge: str
    """Name of the bridge that guests are attached to."""

    device: str
    """Name of the tunnel device."""

    mtu: int
    """MTU of the tunnel device: nothing larger goes through."""

    ports: tuple[str, ...]
    """Names of the guests' ports."""


class PuntState(Struct, frozen=True):
    """How it is with the way that frames come from the kernel to varpd."""

    closed: str | None = None
    """Why frames do not get through and what to do, or None: one that was tried did."""

    buffer: int = 0
    """Bytes of frames that may wait."""

    missing: int = 0
    """How many bytes less than wanted that is: the kernel does not let us have them."""

    lost: int = 0
    """Datagrams that the kernel dropped, see `varpd.datapath.linux.punt`."""


Sink = Callable[[Event], None]
"""Takes what the datapath saw; called from the event loop."""


class Datapath(Protocol):
    """Makes overlays' links, writes their rows, carries punted frames.

    One object serves all overlays. `open`, `close` and `apply` are idempotent. Events go to the
    `Sink` that the datapath was made with: `FramesPunted`, `RowsRefused`, `UsageReported`,
    `LocalAddressesChanged`, `MacsLearned`, `MacsForgotten`, `RowsAdopted`; and of what others do to
    rows and links: `RowsTouched`, `RowsFound`, `TableRead`, `TableLost`, `TablesDoubted`,
    `LinksDrifted`, `LinksWrong`; and `PortsSeen` when guests' ports come and go.
    """

    @property
    def name(self) -> str:
        """How operators call this datapath."""

    @property
    def encapsulations(self) -> tuple[str, ...]:
        """Names of the encapsulations that it can carry."""

    async def start(self) -> None:
        """Get ready; the first `LocalAddressesChanged` is given before this returns.

        Raises:
            DatapathError: it cannot work here.
        """

    async def stop(self) -> None:
        """Let go of everything but the links and rows, which carry traffic on."""

    async def open(self, link: Link) -> LinkState:
        """Make the links of an overlay, or take over those that are ours, and prove that they work.

        Links that are as they have to be are left alone, and so are their rows and the guests'
        ports: frames flow on. The rows are told as `RowsAdopted` before the first of the
        overlay's `FramesPunted`.

        Raises:
            DatapathError: it cannot be made; nothing is left behind.
        """

    async def close(self, overlay: str) -> None:
        """Remove the links of an overlay and all that belongs to them."""

    async def change(self, link: Link) -> LinkState:
        """Change an open overlay's MTU, `repair`, `ports`, or who may speak with it.

        Traffic flows on.

        Raises:
            DatapathError: the kernel refuses; all is as before.
        """

    def follow(self, overlay: str, targets: frozenset[IpAddress]) -> None:
        """Take note of the addresses of all targets of an overlay as they are now.

        Where `Link.only_targets` is set, no others may send wrapped frames; new ones that `apply`
        is given are let in at once. An overlay that is not open is ignored.
        """

    def apply(self, commands: Sequence[DatapathCommand]) -> None:
        """Do what the engine asks for, in order; refusals come as `RowsRefused`.

        Commands for an overlay that is not open are ignored.
        """

    async def settle(self) -> None:
        """Return when everything asked for so far has been done."""

    def counters(self, overlay: str) -> OverlayCounters:
        """Return what was counted for an overlay; zeros for one that is not open."""

    def totals(self) -> HostCounters:
        """Return what was counted for all overlays together."""

    async def dump(self, overlay: str) -> list[Row]:
        """Return the rows that the kernel has, without those that varpd needs for itself."""

    async def rows_of(self, overlay: str, mac: bytes) -> MacRows:
        """Return what decides where a frame to `mac` goes, quickly at any size of the tables.

        For a group MAC it may take as long as `dump`.

        Raises:
            DatapathError: there is no such overlay, or the kernel does not tell.
        """

    async def state(self, overlay: str) -> LinkState:
        """Return what there is of an overlay.

        Raises:
            DatapathError: there is no such overlay.
        """

    async def refused_at_ports(self) -> Mapping[str, Mapping[str, int]]:
        """Return how many frames of guests were refused by `Antispoof`, by overlay and port.

        Counts begin anew when what is known of a port changes.

        Raises:
            DatapathError: the kernel does not tell.
        """

    async def present(self) -> list[str]:
        """Return the names of the overlays that have links, open or left by an earlier daemon."""

    async def path_mtu(self, listen_ip: IpAddress, target: IpAddress) -> int:
        """Return the MTU of the route from `listen_ip` to `target`, in bytes.

        Raises:
            DatapathError: there is no route.
        """

    async def try_punt(self, overlay: str) -> PuntState | None:
        """Send something the way that punted frames go, and tell how that went.

        Takes up to a second where it does not arrive. None: the overlay punts no frames (POINT).

        Raises:
            DatapathError: there is no such overlay.
        """
