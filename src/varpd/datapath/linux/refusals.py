"""What stops an overlay from being made, in sentences that say what to do about it."""

import errno
from typing import Final

from varpd.datapath.base import DatapathError, DatapathErrorCode, Link
from varpd.datapath.linux import names
from varpd.net.addresses import IpAddress

_NOT_ALLOWED: Final = (errno.EPERM, errno.EACCES)


def foreign_link(overlay: str, name: str, kind: str, alias: str) -> DatapathError:
    """Return the refusal where a link of that name is not ours."""
    what = f"{kind or 'network'} interface"
    whose = f" with the alias {alias!r}" if alias else ""
    return DatapathError(
        DatapathErrorCode.NAME_TAKEN,
        f"{overlay}: there is already a {what} named {name}{whose} that is not this overlay's; "
        f"choose another name, or remove it: ip link delete {name}",
    )


def no_such_address(link: Link) -> DatapathError:
    """Return the refusal where the listen address is not here."""
    return DatapathError(
        DatapathErrorCode.NO_SUCH_ADDRESS,
        f"{link.name}: {link.listen_ip} is not an address of this host; "
        "see `ip address` for those that are",
    )


def address_in_vrf(link: Link, interface: str, vrf: str) -> DatapathError:
    """Return the refusal where the listen address belongs to a VRF."""
    return DatapathError(
        DatapathErrorCode.UNSUPPORTED,
        f"{link.name}: {link.listen_ip} is on {interface}, which is in the VRF {vrf}; "
        "an underlay in a VRF is not supported, use an address outside of it",
    )


def no_localbypass() -> DatapathError:
    """Return the refusal where the kernel is too old."""
    return DatapathError(
        DatapathErrorCode.UNSUPPORTED,
        "needs Linux 6.5 or newer: this kernel cannot keep a vxlan device from handling frames to "
        "its own host itself (nolocalbypass), so frames without a row would never reach varpd",
    )


def vnetid_taken(link: Link, other: str | None) -> DatapathError:
    """Return the refusal where another device has the vnetid; `other` is its name, if known."""
    whose = f"is used by {other}" if other else "is used by another device"
    return DatapathError(
        DatapathErrorCode.VNETID_TAKEN,
        f"{link.name}: vnetid {link.vnetid} on port {link.listen_port} {whose}; "
        "use another vnetid or listen port, or remove that device",
    )


def port_in_use(link: Link) -> DatapathError:
    """Return the refusal where something else receives on the listen port."""
    port = link.listen_port
    return DatapathError(
        DatapathErrorCode.PORT_IN_USE,
        f"{link.name}: UDP port {port} is in use; see who has it: ss -lunp 'sport = {port}' "
        "and `ip -d link show type vxlan` for a device with `external`; or use another listen port",
    )


def punt_port_in_use(link: Link, address: IpAddress) -> DatapathError:
    """Return the refusal where something else has the address that frames are punted to."""
    return DatapathError(
        DatapathErrorCode.PORT_IN_USE,
        f"{link.name}: another program has {address} UDP port {names.PUNT_PORT}, where the kernel "
        f"would give frames to varpd; see who: ss -lunp 'sport = {names.PUNT_PORT}'",
    )


def no_loopback(link: Link, address: IpAddress) -> DatapathError:
    """Return the refusal where the address for punted frames cannot be had."""
    return DatapathError(
        DatapathErrorCode.PUNT_PATH_CLOSED,
        f"{link.name}: {address}, where the kernel would give frames to varpd, cannot be used; "
        "is the loopback interface up? ip link set lo up",
    )


def punt_path_closed(link: Link, address: IpAddress, why: str = "") -> DatapathError:
    """Return the refusal where a datagram does not get to varpd; `why` is what the kernel said."""
    said = f" ({why})" if why else ""
    source, port = link.listen_ip, names.PUNT_PORT
    loopback = "127.0.0.0/8" if source.version == 4 else str(address)
    return DatapathError(
        DatapathErrorCode.PUNT_PATH_CLOSED,
        f"{link.name}: UDP from {source} to {address} port {port} does not get through{said}, so "
        "frames would not reach varpd: a firewall drops it; allow it on the interface lo (look "
        f"for rules about {loopback}, lo or source addresses in `nft list ruleset`)",
    )


def refused(overlay: str, doing: str, error: OSError) -> DatapathError:
    """Return the refusal for anything else that the kernel said."""
    words = error.strerror or str(error)
    if error.errno in _NOT_ALLOWED:
        return DatapathError(
            DatapathErrorCode.PERMISSION,
            f"{overlay}: not allowed to {doing} ({words}); varpd needs root, or the capabilities "
            "CAP_NET_ADMIN and CAP_NET_BIND_SERVICE, in this network namespace",
        )
    if error.errno in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
        return DatapathError(
            DatapathErrorCode.UNSUPPORTED,
            f"{overlay}: this kernel cannot {doing} ({words}); are the modules `bridge` and "
            "`vxlan` there?",
        )
    return DatapathError(DatapathErrorCode.FAILED, f"{overlay}: cannot {doing}: {words}")
