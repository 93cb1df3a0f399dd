"""Making an overlay in the kernel, and taking it away, in steps for the threads that may block."""

import errno
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial

from msgspec import Struct

from varpd.datapath.base import DatapathError, Link
from varpd.datapath.encapsulation import ENCAPSULATIONS
from varpd.datapath.linux import detours, links, names, proofs, refusals, tables
from varpd.datapath.linux.detours import Detour
from varpd.datapath.linux.keeping import Keeper
from varpd.datapath.linux.kernel import LOOPBACK, Kernel
from varpd.datapath.linux.links import Pair, Protect, unprotected
from varpd.datapath.linux.punt import PuntSocket
from varpd.engine.settings import Mode
from varpd.provider.answers import Target


class Made(Struct):
    """What was made for an overlay."""

    pair: Pair
    punt: PuntSocket | None
    """Of a DYNAMIC overlay."""

    default: Target | None
    """Where the tunnel device sends what it has no row for."""

    detour: Detour | None = None
    """In the place of `punt`, while a firewall is in the way there."""


def make(
    kernel: Kernel,
    link: Link,
    deliver: Callable[[list[bytes], float], None],
    keeper: Keeper,
    undo: ExitStack,
    protect: Protect = unprotected,
) -> Made:
    """Make the links of an overlay, or take them over, and prove that they work.

    What is made is put on `undo`, which has to run in the kernel's thread too. `deliver` takes the
    frames of the punt socket, which `keeper` keeps, or had kept; `protect` is called with the links
    before frames can flow over them.

    Raises:
        DatapathError: it cannot be made.
    """
    try:
        links.check(kernel, link)
        proofs.check_listen_address(kernel, link)
        punt, detour, default = None, None, link.default
        if link.mode is Mode.DYNAMIC:
            # Before there is any link: a frame that is punted finds somebody who listens.
            punt = _open_punt_path(kernel, link, deliver, keeper, undo)
            default = Target(ip=names.punt_address(link), port=names.PUNT_PORT)
            detour = _prove(link, punt, deliver, undo)
            if detour is not None:
                default = detour.target
        pair = links.make(kernel, link, default, undo, partial(protect, kernel, link))
        return Made(pair, punt, default, detour)
    except OSError as error:
        raise refusals.refused(link.name, "make its links", error) from error


def _open_punt_path(
    kernel: Kernel,
    link: Link,
    deliver: Callable[[list[bytes], float], None],
    keeper: Keeper,
    undo: ExitStack,
) -> PuntSocket:
    address = names.punt_address(link)
    loopback = kernel.link_at(LOOPBACK)
    if loopback is None or not loopback.up:
        raise refusals.no_loopback(link, address)
    if address.version != 4 and kernel.add_loopback(address):
        undo.callback(kernel.delete_loopback, address)
    encapsulation = ENCAPSULATIONS[link.encapsulation]
    kept = keeper.take(link.name, address, names.PUNT_PORT)
    # A copy elsewhere would keep the port, and the next try could not have it.
    undo.callback(keeper.forget, link.name)
    try:
        punt = PuntSocket(
            address, names.PUNT_PORT, link.vnetid, encapsulation, link.listen_ip, deliver, kept
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise refusals.punt_port_in_use(link, address) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise refusals.no_loopback(link, address) from error
        raise
    undo.callback(punt.close)
    keeper.keep(link.name, punt.socket)
    return punt


def _prove(
    link: Link,
    punt: PuntSocket,
    deliver: Callable[[list[bytes], float], None],
    undo: ExitStack,
) -> Detour | None:
    """Prove that frames get to the punt socket, or make a detour.

    Raises:
        DatapathError: neither works.
    """
    try:
        punt.wait(proofs.prove_punt_path(punt.socket, names.punt_address(link), link))
    except DatapathError as error:
        detour = detours.make(link, deliver)
        if detour is None:
            raise error from None
        undo.callback(detour.punt.close)
        return detour
    return None


def tidy(kernel: Kernel, link: Link, made: Made, defaults: Iterable[Target]) -> None:
    """Remove the default destinations of an earlier life among those that there are.

    Raises:
        DatapathError: the kernel refuses.
    """
    try:
        old = links.keep_one_default(kernel, made.pair.device, defaults, made.default)
        links.delete_punt_addresses(kernel, old)
    except OSError as error:
        raise refusals.refused(link.name, "take over its links", error) from error


def set_default(kernel: Kernel, device: int, listen_port: int, target: Target) -> None:
    """Make `target` the one destination of a POINT overlay: the new one first, then no other.

    Raises:
        OSError: the kernel refuses.
    """
    kernel.append_default(device, target)
    found = tables.default_targets(device, listen_port)
    links.keep_one_default(kernel, device, found, target)


def remove(kernel: Kernel, overlay: str, listen_port: int) -> None:
    """Remove the links that carry an overlay's alias, and addresses on `lo` that they need.

    Raises:
        DatapathError: the kernel refuses.
    """
    try:
        bridge, device = links.find(kernel, overlay)
        if device is not None:
            links.delete_device(kernel, device.index, listen_port)
        if bridge is not None:
            kernel.delete_link(bridge.index)
    except OSError as error:
        raise refusals.refused(overlay, "remove its links", error) from error
