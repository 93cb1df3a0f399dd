"""Which targets an encapsulation can use: one check for plugins, operators and files alike."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target
from varpd.provider.arguments import is_station
from varpd.provider.errors import TargetInvalid
from varpd.provider.kinds import DestinationKind

PORT_MAX: Final = 65535

_BROADCAST: Final = IPv4Address("255.255.255.255")
_V4_COMPATIBLE: Final = IPv6Network("::/96")
"""RFC 4291, section 2.5.5.1; deprecated."""
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
"""RFC 3056, section 2; deprecated by RFC 7526."""


def check_address(address: IpAddress) -> IpAddress:
    """Return the underlay address that wrapped frames can be sent to.

    An IPv4-mapped address (RFC 4291, section 2.5.5.2) is taken as IPv4.

    Raises:
        TargetInvalid: it is unspecified, loopback, multicast, IPv4 broadcast, link-local,
            IPv4-compatible, 6to4, or has a zone.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    why = _unusable(address)
    if why:
        raise TargetInvalid(f"{address} is {why}, not the address of one host")
    return address


def check_target(target: object, kinds: DestinationKind, family: int | None = None) -> Target:
    """Return `target` in its normal form if an encapsulation that needs `kinds` can use it.

    Args:
        target: what a plugin, an operator or a file gave.
        kinds: what the encapsulation needs.
        family: 4 or 6, the address family of the overlay's listen address; None for either.

    Raises:
        TargetInvalid: it is no `Target`, has more or fewer parts than `kinds`, or one of them
            is not usable.
    """
    if not isinstance(target, Target):
        raise TargetInvalid(f"not a Target but {type(target).__name__}")
    given = (
        (DestinationKind.ETHERNET, target.mac),
        (DestinationKind.IP, target.ip),
        (DestinationKind.PORT, target.port),
    )
    for kind, part in given:
        if (part is None) == (kind in kinds):
            word = "lacks" if part is None else "has"
            raise TargetInvalid(
                f"{str(target) or 'the target'} {word} {kind}; exactly {kinds} is needed"
            )
    if target.mac is not None and not is_station(target.mac):
        raise TargetInvalid(f"{target.mac!r} is not the MAC address of one host")
    port = target.port
    if port is not None and (type(port) is not int or not 1 <= port <= PORT_MAX):
        raise TargetInvalid(f"port {port!r} is not 1 to {PORT_MAX}")
    if target.ip is None:
        return target
    if not isinstance(target.ip, IPv4Address | IPv6Address):
        raise TargetInvalid(f"{target.ip!r} is not an IP address")
    ip = check_address(target.ip)
    if family is not None and ip.version != family:
        raise TargetInvalid(f"{ip} is IPv{ip.version}, the overlay's underlay is IPv{family}")
    return target if ip is target.ip else Target(ip=ip, port=port, mac=target.mac)


def _unusable(address: IpAddress) -> str | None:
    """Return what makes `address` unusable as a target, or None."""
    if address.is_unspecified:
        return "unspecified"
    if address.is_loopback:
        return "a loopback address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_link_local:
        return "a link-local address"
    if address == _BROADCAST:
        return "the broadcast address"
    if isinstance(address, IPv6Address):
        if address in _V4_COMPATIBLE:
            return "an IPv4-compatible address"
        if address in _SIX_TO_FOUR:
            return "a 6to4 address"
        if address.scope_id is not None:
            return "an address with a zone"
    return None
