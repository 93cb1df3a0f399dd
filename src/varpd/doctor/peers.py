"""What can be known of another host without its help: the route, and what a few datagrams meet.

Datagrams go from the listen address to the peer's listen port and must not be cut up on the way.
They are no VXLAN, so a peer that listens drops them in silence. What comes back is bad news only:
that nobody listens, that a router has no way, that they are too big for a part of the path. Silence
says that none of these was told in time; that they have arrived, it does not say.
"""

import errno
import os
import socket
import time
from ipaddress import ip_address
from typing import Final

from msgspec import structs

from varpd.datapath.linux import path_mtu, routes
from varpd.doctor.facts import PeerFact, ProbeFact
from varpd.net import vxlan
from varpd.net.addresses import IpAddress

PATIENCE: Final = 1.0
"""Seconds that the network has to say no."""

PROBES: Final = 3
"""Datagrams of each size: a router may send bad news for one in many."""

SMALL: Final = 64
"""Bytes of the smallest datagram, which fits through any path."""

# Numbers that Python's socket module does not have (linux/in.h, linux/in6.h).
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_DO: Final = 2
_UDP_HEADER: Final = 8
_IP_HEADERS: Final = {4: 20, 6: 40}
_PAUSE: Final = 0.05


def route_of(
    fact: PeerFact, source: IpAddress, target: IpAddress, names: dict[int, str]
) -> PeerFact:
    """Return `fact` with the route to the peer; `names` are those of interfaces by index."""
    try:
        route = routes.find(source, target)
        mtu = path_mtu.measure(source, target)
    except OSError as error:
        return structs.replace(fact, error=error.strerror or os.strerror(error.errno or 0))
    return structs.replace(
        fact,
        is_local=route.local,
        device=names.get(route.device, str(route.device)),
        ifindex=route.device,
        gateway=route.gateway,
        mtu=mtu,
    )


def source_for(target: IpAddress) -> IpAddress | None:
    """Return the address that the kernel would send from by itself; None: there is no route."""
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as path:
        try:
            path.connect((str(target), vxlan.PORT))
        except OSError:
            return None
        return ip_address(path.getsockname()[0])


def probe(source: IpAddress, target: IpAddress, port: int, mtu: int) -> ProbeFact:
    """Return what became of datagrams as large as `mtu` allows, and of small ones."""
    four = source.version == 4
    family = socket.AF_INET if four else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        level, option = (
            (socket.IPPROTO_IP, _IP_MTU_DISCOVER)
            if four
            else (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER)
        )
        sender.setsockopt(level, option, _PMTUDISC_DO)
        sender.setblocking(False)
        refused, unreachable = False, None
        try:
            sender.bind((str(source), 0))
            sender.connect((str(target), port))
        except OSError as error:
            return ProbeFact(unreachable=error.strerror)
        largest = bytes(mtu - _IP_HEADERS[source.version] - _UDP_HEADER)
        deadline = time.monotonic() + PATIENCE
        sent = 0
        while time.monotonic() < deadline:
            errors = _send(sender, (bytes(SMALL), largest) if sent < PROBES else ())
            sent += 1
            if errno.ECONNREFUSED in errors:
                refused = True
                break
            for number in errors - {errno.EMSGSIZE}:
                unreachable = os.strerror(number)
            time.sleep(_PAUSE)
    measured = path_mtu.measure(source, target)
    return ProbeFact(refused, unreachable, measured if measured < mtu else None)


def _send(sender: socket.socket, datagrams: tuple[bytes, ...]) -> set[int]:
    """Send, and return the numbers of the errors that came of it or of what was sent before."""
    errors: set[int] = set()
    for datagram in datagrams:
        try:
            sender.send(datagram)
        except OSError as error:
            errors.add(error.errno or 0)
    errors.add(sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    return errors - {0, errno.EAGAIN}


def next_hop(fact: PeerFact) -> str | None:
    """Return the next host on the way if it was asked for and does not answer."""
    address = fact.gateway or fact.address
    return address if routes.is_silent(fact.ifindex, ip_address(address)) else None
