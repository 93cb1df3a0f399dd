"""Where the kernel sends what goes to a host: the route, not who answers there."""

import socket
from typing import Final

from msgspec import Struct
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from varpd.net.addresses import IpAddress

_LOCAL: Final = 2  # RTN_LOCAL of linux/rtnetlink.h
_SILENT: Final = 0x01 | 0x20  # NUD_INCOMPLETE, NUD_FAILED of linux/neighbour.h


class Route(Struct, frozen=True):
    """One route as the kernel would use it now."""

    device: int
    """Index of the interface that it leads out by."""

    gateway: str | None
    """The next host on the way; None: the target itself is."""

    local: bool
    """Whether the target is this host."""


def find(source: IpAddress, target: IpAddress) -> Route:
    """Return the route from an address of this host to another; all rules of policy heeded.

    Raises:
        OSError: there is none.
    """
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    with IPRoute() as kernel:
        try:
            found = kernel.route(
                "get",
                family=family,
                dst=str(target),
                dst_len=target.max_prefixlen,
                src=str(source),
                src_len=source.max_prefixlen,
            )
        except NetlinkError as error:
            raise OSError(error.code, str(error.args[-1])) from error
    message = found[0]
    via = message.get_attr("RTA_GATEWAY")
    return Route(
        device=message.get_attr("RTA_OIF") or 0,
        gateway=None if via is None else str(via),
        local=message["type"] == _LOCAL,
    )


def is_silent(device: int, neighbour: IpAddress) -> bool:
    """Return whether a neighbour was asked for and does not answer (ARP, neighbour discovery)."""
    family = socket.AF_INET if neighbour.version == 4 else socket.AF_INET6
    with IPRoute() as kernel:
        try:
            found = kernel.neigh("get", family=family, dst=str(neighbour), ifindex=device)
            return any(item["state"] & _SILENT for item in found)
        except NetlinkError:
            return False  # nobody has asked for it
