"""The detour of punted frames: to the listen address, where a firewall drops them on the usual way.

Some firewalls drop what goes to 127.0.0.0/8 from other addresses, on `lo` too (kubelet's rules do).
Frames may then be punted to the listen address itself; the socket there takes only what came by
`lo`, so that nobody outside can send to it.

Each overlay has a port of its own, as its punt socket has an address of its own. The port is a
privileged one, so that no local user can take it meanwhile; there are some 500 of them.
"""

import errno
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from varpd.datapath.base import DatapathError, Link
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.datapath.linux import names, proofs
from varpd.datapath.linux.punt import PuntSocket
from varpd.provider.answers import Target

FIRST_PORT: Final = 512
"""The lowest port taken: what is below belongs to well-known services."""

LAST_PORT: Final = 1023
"""The highest privileged port (net.ipv4.ip_unprivileged_port_start by default)."""


class Detour(Struct, frozen=True):
    """Where punted frames go for the time being."""

    punt: PuntSocket
    target: Target


def ports(number: int) -> Iterator[int]:
    """Yield the ports to be tried for an overlay with a `number`, each once."""
    count = LAST_PORT - FIRST_PORT + 1
    start = names.PUNT_PORT - FIRST_PORT + number
    for step in range(count):
        yield FIRST_PORT + (start + step) % count


def make(link: Link, deliver: Callable[[list[bytes], float], None]) -> Detour | None:
    """Return a detour that was proved to work, or None; blocks for up to a second."""
    punt = _bind(link, deliver)
    if punt is None:
        return None
    port = int(punt.socket.getsockname()[1])
    try:
        punt.wait(proofs.prove_punt_path(punt.socket, link.listen_ip, link, port))
    except (DatapathError, OSError):
        punt.close()
        return None
    return Detour(punt, Target(ip=link.listen_ip, port=port))


def _bind(link: Link, deliver: Callable[[list[bytes], float], None]) -> PuntSocket | None:
    encapsulation = ENCAPSULATIONS[link.encapsulation]
    for port in ports(link.number):
        try:
            return PuntSocket(
                link.listen_ip, port, link.vnetid, encapsulation, link.listen_ip, deliver
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return None
    return None
