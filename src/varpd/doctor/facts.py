"""What the checks look at. All of it can be made up, so a check can be told any story.

None stands for what could not be found out.
"""

from collections.abc import Mapping

from msgspec import Struct

from varpd.control.diagnosis import Diagnosis, OverlayDiagnosis
from varpd.control.messages import ErrorCode
from varpd.doctor.ruleset import Ruleset


class LinkFact(Struct, frozen=True):
    """One network interface."""

    index: int
    name: str
    kind: str = ""
    """Such as ``bridge``; empty for a real one."""

    alias: str = ""
    mtu: int = 1500
    master: int = 0
    """Index of what it is a port of, or 0."""

    up: bool = True
    localbypass: bool | None = None
    """Of a vxlan device; None: the kernel knows of no such thing."""

    addresses: tuple[str, ...] = ()
    manager: str | None = None
    """The program that manages it, such as ``NetworkManager``."""


class SystemFact(Struct, frozen=True):
    """What /proc and /sys say."""

    release: str = ""
    """Of the kernel."""

    namespace: str | None = None
    """The network namespace, such as ``net:[4026531840]``."""

    modules: Mapping[str, bool | None] = {}
    """Whether the kernel has a module, loaded, built in or to be loaded."""

    udp_segment: bool | None = None
    """Whether sockets can send several datagrams at once."""

    rmem_max: int | None = None
    """Bytes of a receive buffer that anybody may have."""

    udp_pages: tuple[int, int] | None = None
    """Pages that UDP takes on this host, and those that it may take."""

    conntrack: tuple[int, int] | None = None
    """Connections tracked, and how many there may be."""

    bridge_filters: tuple[str, ...] = ()
    """Firewalls that bridged frames go through, of ``iptables`` and ``ip6tables``."""

    legacy_tables: tuple[str, ...] = ()
    """Tables of the old iptables, into which nobody can look."""


class ProbeFact(Struct, frozen=True):
    """What became of datagrams to a peer's listen port."""

    refused: bool = False
    """The peer said that nobody listens there."""

    unreachable: str | None = None
    """What the kernel or a router said instead of carrying it."""

    mtu: int | None = None
    """The largest packet that a router on the way lets through, if one said so."""

    silent: str | None = None
    """The next host on the way, if it does not answer to ARP or neighbour discovery."""


class PeerFact(Struct, frozen=True):
    """What is known of one host that the operator asked about."""

    address: str
    source: str | None
    """The listen address that it would be reached from; None: no overlay has one of that family."""

    port: int = 4789
    overlay: str | None = None
    """The overlay whose listen address that is."""

    overhead: int = 50
    is_local: bool = False
    device: str | None = None
    """The interface that the route leads out by; None: there is no route."""

    ifindex: int = 0
    """Its index."""

    gateway: str | None = None
    """The next host on the way, if that is not the peer."""

    mtu: int | None = None
    """Of the route, bytes."""

    error: str | None = None
    """Why there is no route."""

    probe: ProbeFact | None = None


class Facts(Struct, frozen=True):
    """Everything that was found out."""

    version: str
    """Of this command."""

    system: SystemFact = SystemFact()
    links: tuple[LinkFact, ...] | None = ()
    """None: they could not be listed."""

    ruleset: Ruleset | None = None
    """The host's firewall, as far as nftables knows it."""

    ruleset_error: str | None = None
    """Why it is not known."""

    diagnosis: Diagnosis | None = None
    """What the daemon says; None: it does not answer."""

    daemon_error: str | None = None
    daemon_error_code: ErrorCode | None = None
    peers: tuple[PeerFact, ...] = ()

    @property
    def overlays(self) -> tuple[OverlayDiagnosis, ...]:
        """The overlays that the daemon told of."""
        return () if self.diagnosis is None else self.diagnosis.overlays

    @property
    def same_namespace(self) -> bool:
        """Whether what the host shows is about the same network namespace as the daemon's."""
        theirs = None if self.diagnosis is None else self.diagnosis.namespace
        return theirs is None or self.system.namespace in (None, theirs)

    def link(self, name: str | None) -> LinkFact | None:
        """Return the interface of that name, if there is one."""
        return next((item for item in self.links or () if item.name == name), None)
