"""The properties that varpd itself gives to every overlay, and what their values mean.

The encapsulation and the plugin add theirs. An overlay's value of a property is the first of:
what was set on the overlay, the default in the configuration when the overlay was made, the
default declared here.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final, Literal

from varpd.datapath.base import Antispoof, IpNetwork
from varpd.datapath.encapsulation import Encapsulation
from varpd.engine.settings import KIB, MIB, Limits, Mode, Settings, rate
from varpd.net.addresses import IpAddress, parse_ip
from varpd.provider.errors import PropertyInvalid, TargetInvalid
from varpd.provider.properties import Property, PropertyType, Protection, Range, Value
from varpd.provider.targets import check_address

Values = Mapping[str, Value]
"""Values of properties by name; a name without a value is not there."""

MTU: Final = "mtu"
GUEST_MTU: Final = "guest_mtu"
VNETID: Final = "vnetid"
ENCAP: Final = "encap"
SEARCH: Final = "search"
NUMBER: Final = "varpd/id"
DATAPATH: Final = "datapath"
LOOKUP_TIMEOUT: Final = "lookup_timeout"
NEGATIVE_TTL: Final = "negative_ttl"
TARGET_TTL: Final = "target_ttl"
MAX_LOOKUPS: Final = "max_lookups"
PRELOAD: Final = "preload"
DRIFT: Final = "drift"
HOST_ACCESS: Final = "host_access"
ALLOW_FROM: Final = "allow_from"
ANTISPOOF: Final = "antispoof"
LIMIT_WAITING_MAC: Final = "limit_waiting_mac"
LIMIT_WAITING: Final = "limit_waiting"
LIMIT_TARGETS: Final = "limit_targets"

ANYBODY: Final = "any"
"""Of `ALLOW_FROM`: every address."""

TARGETS: Final = "targets"
"""Of `ALLOW_FROM`: the addresses of the overlay's known targets."""

INTERFACE_MAX: Final = 15
"""Bytes of an interface's name (IFNAMSIZ)."""

NUMBER_MAX: Final = 65535
"""The largest `NUMBER`; addresses for punted frames are made from 16 bits of it."""

DEFAULT_MTU: Final = 1500
"""MTU of an overlay's links unless one is set, bytes."""

OLD_KERNEL_TARGETS: Final = 16_384
"""Targets of an overlay by default on kernels whose vxlan table has only 256 chains."""

_LONG_TABLES_SINCE: Final = (6, 16)
"""The version of Linux since which that table grows."""

_MTU: Final = Range(576, 8900)
_RATE: Final = Range(0, 10_000_000)
_DEFAULTS: Final = Limits()

_RATES: Final = {
    "unicast": "Punted unicast frames of the overlay",
    "arp": "Punted ARP frames of the overlay",
    "nd": "Punted neighbour discovery frames of the overlay",
    "dhcp": "Punted DHCP frames of the overlay",
    "multicast": "Punted frames of the overlay to other group addresses",
    "source_unicast": "Punted unicast frames of one source MAC",
    "source_arp": "Punted ARP frames of one source MAC",
    "source_nd": "Punted neighbour discovery frames of one source MAC",
    "source_dhcp": "Punted DHCP frames of one source MAC",
    "source_multicast": "Punted frames of one source MAC to other group addresses",
}
"""The fields of `Limits` that are rates, and what each bounds."""


def _uint(name: str, default: int | None, possible: Range, doc: str) -> Property:
    return Property(name, PropertyType.UINT, default=default, possible=(possible,), doc=doc)


def _told(name: str, kind: PropertyType, doc: str) -> Property:
    return Property(name, kind, Protection.R, live=False, doc=doc)


def declarations(targets: int = _DEFAULTS.targets) -> tuple[Property, ...]:
    """Return varpd's own properties, always in this order.

    Args:
        targets: the default of `LIMIT_TARGETS`, see `default_targets`.
    """
    return (
        _uint(
            MTU,
            None,
            _MTU,
            f"MTU of the overlay's links, bytes; {DEFAULT_MTU} unless set. IPv6 needs 1280.",
        ),
        _told(
            GUEST_MTU,
            PropertyType.UINT,
            "MTU with which guests' packets reach all known targets whole; 4 less with VLAN tags.",
        ),
        _told(VNETID, PropertyType.UINT, "Virtual network identifier."),
        _told(ENCAP, PropertyType.STRING, "How frames are wrapped."),
        _told(SEARCH, PropertyType.STRING, "The plugin that says where frames go."),
        _told(NUMBER, PropertyType.UINT, "Number of the overlay on this host."),
        _told(DATAPATH, PropertyType.STRING, "What carries the frames."),
        Property(
            DRIFT,
            PropertyType.STRING,
            default="repair",
            possible=("repair", "report"),
            doc="Whether rows and links that somebody else changed are put right or only reported.",
        ),
        *_questions(),
        *_guard(),
        *_bounds(targets),
    )


def _questions() -> tuple[Property, ...]:
    """Return the properties of how plugins are asked and how long their answers hold."""
    return (
        _uint(
            LOOKUP_TIMEOUT, 5, Range(1, 30), "Seconds that a frame waits for the plugin's answer."
        ),
        _uint(
            NEGATIVE_TTL,
            1,
            Range(0, 3600),
            "Seconds for which frames like one that the plugin dropped are dropped unasked.",
        ),
        _uint(
            TARGET_TTL,
            None,
            Range(1, 604_800),
            "Seconds that answers hold; unless set what the plugin says, or until invalidated.",
        ),
        _uint(MAX_LOOKUPS, _DEFAULTS.lookups, Range(1, 65_536), "Questions in progress."),
        Property(
            PRELOAD,
            PropertyType.STRING,
            default="off",
            possible=("on", "off"),
            doc="Whether all that the plugin knows goes into the kernel at its start and reload.",
        ),
    )


def _guard() -> tuple[Property, ...]:
    """Return the properties of what keeps guests, host and underlay apart."""
    return (
        Property(
            HOST_ACCESS,
            PropertyType.STRING,
            default="off",
            possible=("on", "off"),
            doc="Whether guests may speak with this host itself.",
        ),
        Property(
            ALLOW_FROM,
            PropertyType.STRING,
            default=ANYBODY,
            doc="Underlay addresses that wrapped frames may come from: any, targets (those that are"
            " known as targets), or addresses and networks, comma-separated.",
        ),
        Property(
            ANTISPOOF,
            PropertyType.STRING,
            default=Antispoof.OFF.value,
            possible=tuple(each.value for each in Antispoof),
            doc="Whether guests may send only from their own MAC, and IP addresses, which"
            " `overlayadm port` says; a port whose MAC is not known may then send nothing.",
        ),
    )


def _bounds(targets: int) -> tuple[Property, ...]:
    """Return the properties that bound what guests can make varpd do."""
    rates = (
        _uint(
            f"limit_{field}",
            int(getattr(_DEFAULTS, field).rate),
            _RATE,
            f"{what} a second, twice that at once; 0 for no limit.",
        )
        for field, what in _RATES.items()
    )
    return (
        *rates,
        _uint(
            LIMIT_WAITING_MAC,
            _DEFAULTS.waiting_mac,
            Range(9 * KIB, 16 * MIB),
            "Bytes of frames that wait for the answer about one MAC.",
        ),
        _uint(
            LIMIT_WAITING,
            _DEFAULTS.waiting,
            Range(9 * KIB, 1024 * MIB),
            "Bytes of frames that wait for answers in the overlay.",
        ),
        _uint(LIMIT_TARGETS, targets, Range(1, 16_777_216), "Entries of the overlay's table."),
    )


def default_targets(release: str) -> int:
    """Return how many targets an overlay has by default on a kernel, given ``uname -r``."""
    numbers = release.split("-")[0].split(".")[:2]
    try:
        version = tuple(int(number) for number in numbers)
    except ValueError:
        return _DEFAULTS.targets
    return _DEFAULTS.targets if version >= _LONG_TABLES_SINCE else OLD_KERNEL_TARGETS


def limits_of(values: Values) -> Limits:
    """Return the bounds that `values` set; they hold a value for each bound."""
    return Limits(
        **{field: rate(_number(values, f"limit_{field}")) for field in _RATES},
        waiting_mac=_number(values, LIMIT_WAITING_MAC),
        waiting=_number(values, LIMIT_WAITING),
        targets=_number(values, LIMIT_TARGETS),
        lookups=_number(values, MAX_LOOKUPS),
    )


def settings_of(
    values: Values, encapsulation: Encapsulation, mode: Mode, ttl: float | None
) -> Settings:
    """Return what the engine must know of an overlay.

    Args:
        values: a value for each property of varpd and of `encapsulation` that has one.
        encapsulation: how frames are wrapped.
        mode: how destinations are found.
        ttl: seconds that the plugin says its answers hold, or None.
    """
    underlay_of(values, encapsulation)
    listen_ip, listen_port = listen_of(values, encapsulation)
    _check_sources(values, listen_ip)
    return Settings(
        vnetid=_number(values, VNETID),
        mode=mode,
        kinds=encapsulation.kinds,
        headroom=encapsulation.header_size,
        listen_ip=listen_ip,
        listen_port=listen_port,
        local_ips=local_ips_of(values, encapsulation),
        lookup_timeout=float(_number(values, LOOKUP_TIMEOUT)),
        negative_ttl=float(_number(values, NEGATIVE_TTL)),
        ttl=float(_number(values, TARGET_TTL)) if TARGET_TTL in values else ttl,
        limits=limits_of(values),
        repair=values.get(DRIFT) != "report",
    )


def listen_of(values: Values, encapsulation: Encapsulation) -> tuple[IpAddress | None, int | None]:
    """Return where this host receives wrapped frames, as far as `values` say.

    An IPv4-mapped address (RFC 4291, section 2.5.5.2) is taken as IPv4.

    Raises:
        PropertyInvalid: no other host could send to the address.
    """
    name = f"{encapsulation.name}/listen_ip"
    address = values.get(name)
    port = values.get(f"{encapsulation.name}/listen_port")
    listen_ip = None
    if isinstance(address, IPv4Address | IPv6Address):
        try:
            listen_ip = check_address(address)
        except TargetInvalid as exc:
            raise PropertyInvalid(name, address, str(exc)) from exc
    return listen_ip, port if isinstance(port, int) else None


def local_ips_of(values: Values, encapsulation: Encapsulation) -> frozenset[IpAddress]:
    """Return the further addresses of this host that `values` name.

    Raises:
        PropertyInvalid: one of them is no IP address of one host.
    """
    name = f"{encapsulation.name}/local_ips"
    text = values.get(name)
    if text is None:
        return frozenset()
    try:
        return frozenset(check_address(parse_ip(part.strip())) for part in str(text).split(","))
    except ValueError as exc:
        raise PropertyInvalid(name, text, str(exc)) from exc


def underlay_of(values: Values, encapsulation: Encapsulation) -> tuple[str, ...]:
    """Return the interfaces that may bring wrapped frames; empty: all.

    Raises:
        PropertyInvalid: one of them cannot be the name of an interface.
    """
    name = f"{encapsulation.name}/underlay"
    text = values.get(name)
    if text is None:
        return ()
    found = tuple(dict.fromkeys(part.strip() for part in str(text).split(",")))
    for each in found:
        if not is_interface(each):
            raise PropertyInvalid(name, text, f"{each!r} cannot be the name of an interface")
    return found


def is_interface(name: str) -> bool:
    """Return whether a link can have this name."""
    fits = 0 < len(name.encode(errors="replace")) <= INTERFACE_MAX and name not in (".", "..")
    return fits and not any(c.isspace() or c in "/:" or not c.isprintable() for c in name)


def sources_of(values: Values) -> tuple[IpNetwork, ...] | Literal["targets"] | None:
    """Return where wrapped frames may come from; None: from anywhere.

    Raises:
        PropertyInvalid: something in the list is no address and no network.
    """
    text = str(values[ALLOW_FROM])
    if text == ANYBODY:
        return None
    if text == TARGETS:
        return TARGETS
    try:
        found = [ip_network(part.strip()) for part in text.split(",")]
    except ValueError as exc:
        raise PropertyInvalid(ALLOW_FROM, text, f"{exc}; possible: any, targets, a list") from exc
    return tuple(dict.fromkeys(found))


def _check_sources(values: Values, listen_ip: IpAddress | None) -> None:
    """Refuse a list from which nobody could send to the listen address."""
    found = sources_of(values)
    if listen_ip is None or not isinstance(found, tuple):
        return
    if not any(network.version == listen_ip.version for network in found):
        message = f"there is no IPv{listen_ip.version} address in it, as the listen address is"
        raise PropertyInvalid(ALLOW_FROM, values[ALLOW_FROM], message)


def _number(values: Values, name: str) -> int:
    value = values[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}, not a number")
    return value
