"""What is proved before an overlay is said to work, and can be tried again while it does.

Everything here blocks, but for `try_punt_path`: it is for the thread of the `Kernel`.
"""

import asyncio
import errno
import os
import socket
import time
from typing import Final

from varpd.datapath.base import Link
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.datapath.linux import names, refusals, tables
from varpd.datapath.linux.kernel import Kernel
from varpd.datapath.linux.punt import PuntSocket
from varpd.net.addresses import IpAddress

PATIENCE: Final = 1.0
"""Seconds that a datagram may take to a socket of the same host."""

INTERVAL: Final = 0.1
"""Seconds after which another is sent, because the first may have met a full buffer."""

OTHERS: Final = 4096
"""Datagrams that are not forgotten while waiting for the own one: what a buffer holds."""

_TOKEN_SIZE: Final = 8
_RECEIVE_SIZE: Final = 1 << 16
_VRF: Final = "vrf"
# A frame that no guest sends: both MACs all zero, and the ethertype for local experiments
# (IEEE 802, 9.2.3).
_FRAME: Final = bytes(12) + b"\x88\xb5"


def check_listen_address(kernel: Kernel, link: Link) -> None:
    """Refuse a listen address that is not this host's.

    Raises:
        DatapathError: `NO_SUCH_ADDRESS`, or `UNSUPPORTED` if it is in a VRF.
    """
    if kernel.is_local(link.listen_ip):
        return
    links = {item.index: item for item in kernel.links()}
    for address in tables.local_addresses():
        holder = links.get(address.ifindex)
        if holder is None or address.address != link.listen_ip.packed:
            continue
        master = links.get(holder.master)
        if master is not None and master.kind == _VRF:
            raise refusals.address_in_vrf(link, holder.name, master.name)
    raise refusals.no_such_address(link)


def prove_punt_path(
    punt: socket.socket, address: IpAddress, link: Link, port: int | None = None
) -> list[bytes]:
    """Send a datagram the way that punted frames go, and wait until it has come to `punt`.

    They go to `port` of `address`, the usual one unless given.

    Returns:
        What else has come to `punt` by then, at most `OTHERS` datagrams.

    Raises:
        DatapathError: `PUNT_PATH_CLOSED`.
    """
    datagram = _datagram(link)
    family = socket.AF_INET if link.listen_ip.version == 4 else socket.AF_INET6
    deadline = time.monotonic() + PATIENCE
    why = ""
    others: list[bytes] = []
    timeout = punt.gettimeout()
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.bind((str(link.listen_ip), 0))
            while time.monotonic() < deadline:
                try:
                    sender.sendto(datagram, (str(address), port or names.PUNT_PORT))
                except OSError as error:
                    # A firewall on the way out says so; one on the way in says nothing.
                    why = error.strerror or str(error)
                if _arrived(punt, datagram, others):
                    return others
    except OSError as error:
        why = error.strerror or errno.errorcode.get(error.errno or 0, "")
    finally:
        punt.settimeout(timeout)
    raise refusals.punt_path_closed(link, address, why)


async def try_punt_path(
    punt: PuntSocket, address: IpAddress, link: Link, port: int | None = None
) -> str | None:
    """Try the same while the event loop reads `punt`; return why it is closed, or None.

    What comes only after this has given up reaches the engine, as a frame that nobody answers.
    """
    datagram = _datagram(link)
    family = socket.AF_INET if link.listen_ip.version == 4 else socket.AF_INET6
    arrived = asyncio.Semaphore(0)
    sent, why = 0, ""
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        with punt.expecting(datagram, arrived.release):
            for _ in range(round(PATIENCE / INTERVAL)):
                try:
                    if sender.getsockname()[1] == 0:
                        sender.bind((str(link.listen_ip), 0))
                    sender.sendto(datagram, (str(address), port or names.PUNT_PORT))
                    sent += 1
                except OSError as error:
                    why = error.strerror or str(error)
                if await _within_interval(arrived):
                    # Those sent before are on their way, too.
                    while sent > 1 and await _within_interval(arrived):
                        sent -= 1
                    return None
    # The event loop may have come to both only now, to the datagram and to the end of the time.
    if not arrived.locked():
        return None
    return refusals.punt_path_closed(link, address, why).message


async def _within_interval(arrived: asyncio.Semaphore) -> bool:
    try:
        async with asyncio.timeout(INTERVAL):
            return await arrived.acquire()
    except TimeoutError:
        return False


def _datagram(link: Link) -> bytes:
    """Return a punted frame that is like no other."""
    header = ENCAPSULATIONS[link.encapsulation].pack_header(link.vnetid)
    return header + _FRAME + os.urandom(_TOKEN_SIZE)


def _arrived(punt: socket.socket, datagram: bytes, others: list[bytes]) -> bool:
    """Whether `datagram` comes before it is time to send another; what else comes is `others`."""
    deadline = time.monotonic() + INTERVAL
    while (left := deadline - time.monotonic()) > 0:
        punt.settimeout(left)
        try:
            received = punt.recv(_RECEIVE_SIZE)
            if received == datagram:
                return True
            if len(others) < OTHERS:
                others.append(received)
        except TimeoutError:
            return False
    return False
