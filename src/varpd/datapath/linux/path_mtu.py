"""How large a packet may be on its way to a target.

It is the route's MTU that counts, with what routers on the way have said: the address that is sent
from may be on a quite different interface, such as `lo`. A connected UDP socket knows it (IP_MTU of
ip(7), IPV6_MTU of ipv6(7)); asking so takes no lock of the kernel, so the event loop may.
"""

import socket
from collections.abc import Callable
from typing import Final

from varpd.net.addresses import IpAddress

HOLD: Final = 5.0
"""Seconds for which a path's MTU is not asked for anew."""

PATHS_MAX: Final = 4096
"""Paths remembered; with more, all are asked for anew."""

UNKNOWN: Final = 65_535
"""For a target that there is no route to: sending there fails with its own error."""

# Numbers that Python's socket module does not have (linux/in.h, linux/in6.h).
_IP_MTU: Final = 14
_IPV6_MTU: Final = 24

_DISCARD_PORT: Final = 9
"""Nothing is sent; connecting needs some port (RFC 863)."""


def measure(source: IpAddress, target: IpAddress) -> int:
    """Return the MTU of the path from `source` to `target`, in bytes.

    Raises:
        OSError: there is no route, or `source` is not an address of this host.
    """
    four = source.version == 4
    family = socket.AF_INET if four else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as path:
        path.setblocking(False)
        path.bind((str(source), 0))
        path.connect((str(target), _DISCARD_PORT))
        if four:
            return path.getsockopt(socket.IPPROTO_IP, _IP_MTU)
        return path.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)


class PathMtus:
    """The MTUs of the paths from one address, each held for `HOLD` seconds."""

    def __init__(
        self,
        source: IpAddress,
        clock: Callable[[], float],
        measured: Callable[[IpAddress, IpAddress], int] = measure,
    ) -> None:
        """`clock` returns seconds from any beginning."""
        self._source = source
        self._clock = clock
        self._measured = measured
        self._known: dict[IpAddress, tuple[float, int]] = {}

    def __call__(self, target: IpAddress) -> int:
        """Return the MTU of the path to `target`, `UNKNOWN` if there is none."""
        now = self._clock()
        known = self._known.get(target)
        if known is not None and now < known[0]:
            return known[1]
        try:
            mtu = self._measured(self._source, target)
        except OSError:
            mtu = UNKNOWN
        if len(self._known) >= PATHS_MAX:
            self._known.clear()
        self._known[target] = (now + HOLD, mtu)
        return mtu
