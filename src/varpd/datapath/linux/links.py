"""The two links of an overlay: the bridge that guests are attached to, and the tunnel device in it.

A link is the overlay's if it has the overlay's alias, or has none yet but the MAC that we make
links with: the kernel sets no alias when it makes a link, and varpd may be killed in between.

Everything here blocks: it is for the thread of the `Kernel`.
"""

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Final

from msgspec import Struct

from varpd.datapath.base import Link, LinkState
from varpd.datapath.linux import names, punt, refusals, tables
from varpd.datapath.linux.kernel import Kernel, LinkInfo
from varpd.datapath.linux.pmtu import IPV6_MTU_MIN
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

MTU: Final = 1500
"""MTU of the guests where none is set (RFC 894)."""

FDB_MAX_LEARNED: Final = 4096
"""MACs that a bridge learns by itself: more than it has guests, fewer than one guest can invent."""

_BRIDGE: Final = "bridge"
_VXLAN: Final = "vxlan"

BRIDGE_FORWARDS: Final = 0xFFF8
"""The reserved addresses 01:80:c2:00:00:03 to 0f, whose frames a bridge forwards like any other.

Otherwise they go to the host itself, not by the bridge but by the port that they came by.
"""

PORT_FORWARDS: Final = 0x4
"""Likewise 01:80:c2:00:00:02, which the kernel lets only ports be told.

Of the other two, the first is forwarded where there is no spanning tree, and the second, of pause
frames, always dropped.
"""

# No spanning tree, which would need the guests' patience; no multicast snooping, because one
# forged query would end neighbour discovery.
BRIDGE_SETTINGS: Final = {
    "br_group_fwd_mask": BRIDGE_FORWARDS,
    "br_stp_state": 0,
    "br_mcast_snooping": 0,
    "br_fdb_max_learned": FDB_MAX_LEARNED,
}


class Pair(Struct, frozen=True):
    """The links of an overlay."""

    bridge: int
    """Index of the bridge."""

    device: int
    """Index of the tunnel device."""

    adopted: bool
    """Whether the tunnel device was there already, so that it may have rows."""


Protect = Callable[[Kernel, Link, Pair], None]
"""Guards an overlay's links before frames can flow over them."""


def unprotected(kernel: Kernel, link: Link, pair: Pair) -> None:
    """Guard nothing."""


def check(kernel: Kernel, link: Link) -> None:
    """Refuse a name that cannot be had.

    Raises:
        DatapathError: `NAME_TAKEN`.
    """
    names.check_name(link.name)
    _own(kernel, link, link.name)
    _own(kernel, link, names.device_name(link.name))


def make(
    kernel: Kernel,
    link: Link,
    default: Target | None,
    undo: ExitStack,
    protect: Callable[[Pair], None] = lambda pair: None,
) -> Pair:
    """Make both links, or take over those that are there, and bring them up.

    Nothing is written that is right already, so that traffic flows on over links that are taken
    over. `default` is where the tunnel device sends what it has no row for; `protect` is called
    before any frame can flow. What was made is put on `undo`, to be removed if the caller fails.

    Raises:
        DatapathError: the kernel refuses.
        OSError: likewise, in its own words.
    """
    bridge = _make_bridge(kernel, link, undo)
    device, adopted = _make_device(kernel, link, undo)
    _set_mtu(kernel, (bridge, device), link.mtu or MTU)
    found = _present(kernel, bridge), _present(kernel, device)
    for item in found:
        if item.alias != names.alias(link.name):
            kernel.set_alias(item.index, names.alias(link.name))
        if item.own_address:
            kernel.set_no_own_address(item.index)
    # In DYNAMIC mode only the control plane says where remote MACs are. With one target for
    # everything the bridge learns them, or each frame would be copied to every guest.
    learning = link.mode is Mode.POINT
    if (found[1].master, found[1].learning) != (bridge, learning):
        kernel.set_master(device, bridge, learning=learning)
    if default is not None:
        # One that is there already stays as it is.
        kernel.append_default(device, default)
    pair = Pair(bridge, device, adopted)
    protect(pair)
    try:
        if not found[1].up:
            kernel.set_up(device)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise refusals.port_in_use(link) from error
        raise
    if not found[0].up:
        kernel.set_up(bridge)
    return pair


def _present(kernel: Kernel, index: int) -> LinkInfo:
    """Return a link that was there a moment ago.

    Raises:
        OSError: somebody has deleted it.
    """
    found = kernel.link_at(index)
    if found is None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    return found


def _own(kernel: Kernel, link: Link, name: str) -> LinkInfo | None:
    """Return the overlay's link of that name, if it exists.

    Raises:
        DatapathError: there is one, but it is not ours.
    """
    found = kernel.link(name)
    if found is None:
        return None
    half_made = not found.alias and found.mac == str(names.link_mac(link, name))
    if found.alias == names.alias(link.name) or half_made:
        return found
    raise refusals.foreign_link(link.name, name, found.kind, found.alias)


def _make_bridge(kernel: Kernel, link: Link, undo: ExitStack) -> int:
    found = _own(kernel, link, link.name)
    if found is not None and found.kind == _BRIDGE:
        wrong = {
            name: value
            for name, value in BRIDGE_SETTINGS.items()
            if found.settings.get(name) != value
        }
        if wrong:
            kernel.set_data(found.index, kind=_BRIDGE, **wrong)
        return found.index
    if found is not None:
        kernel.delete_link(found.index)
    mac = names.link_mac(link, link.name)
    index = kernel.add_link(link.name, _BRIDGE, mac, link.mtu or MTU, **BRIDGE_SETTINGS)
    undo.callback(kernel.delete_link, index)
    return index


def _make_device(kernel: Kernel, link: Link, undo: ExitStack) -> tuple[int, bool]:
    """Return the index of the tunnel device, and whether it was there already."""
    name = names.device_name(link.name)
    found = _own(kernel, link, name)
    if found is not None:
        if _fits(found, link):
            return found.index, True
        delete_device(kernel, found.index, link.listen_port)
    local = "vxlan_local" if link.listen_ip.version == 4 else "vxlan_local6"
    try:
        index = kernel.add_link(
            name,
            _VXLAN,
            names.link_mac(link, name),
            link.mtu or MTU,
            vxlan_id=link.vnetid,
            vxlan_port=link.listen_port,
            vxlan_learning=0,
            vxlan_localbypass=0,
            vxlan_udp_zero_csum6_tx=0,
            **{local: str(link.listen_ip)},
        )
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise refusals.vnetid_taken(link, _holder(kernel, link)) from error
        raise
    undo.callback(kernel.delete_link, index)
    made = kernel.link(name)
    if made is None or made.tunnel is None or made.tunnel.localbypass is not False:
        raise refusals.no_localbypass()
    return index, False


def _fits(found: LinkInfo, link: Link) -> bool:
    """Whether a tunnel device is as we would make it; what it is cannot be changed."""
    tunnel = found.tunnel
    return (
        tunnel is not None
        and tunnel.vnetid == link.vnetid
        and tunnel.local == link.listen_ip
        and tunnel.port == link.listen_port
        and not tunnel.learning
        and tunnel.localbypass is False
    )


def _holder(kernel: Kernel, link: Link) -> str | None:
    """Return the name of the device that has the vnetid, if it is in this namespace."""
    for other in kernel.links():
        tunnel = other.tunnel
        if tunnel and (tunnel.vnetid, tunnel.port) == (link.vnetid, link.listen_port):
            return other.name
    return None


def keep_one_default(
    kernel: Kernel, device: int, found: Iterable[Target], wanted: Target | None
) -> list[Target]:
    """Remove each default destination that was `found` but `wanted`; return what went.

    The kernel can replace none: the new one is there before an old one goes.
    """
    old = [target for target in found if target != wanted]
    for target in old:
        kernel.delete_default(device, target)
    return old


def change_mtu(kernel: Kernel, pair: Pair, mtu: int) -> None:
    """Set the MTU of both links.

    Raises:
        OSError: the kernel refuses; both are as before.
    """
    before = kernel.link_at(pair.device)
    try:
        _set_mtu(kernel, (pair.device, pair.bridge), mtu)
    except OSError:
        if before is not None:
            _set_mtu(kernel, (pair.device,), before.mtu)
        raise


def _set_mtu(kernel: Kernel, indices: Sequence[int], mtu: int) -> None:
    """Set the MTU of links.

    Below the least MTU of IPv6 the kernel takes IPv6 away from a link; when it gives it back, it
    has forgotten that the link is to have no address of its own, and gives it one.

    Raises:
        OSError: the kernel refuses.
    """
    before = [kernel.link_at(index) for index in indices]
    for index, link in zip(indices, before, strict=True):
        if link is None or link.mtu != mtu:
            kernel.set_mtu(index, mtu)
    for link in before:
        if link is not None and link.mtu < IPV6_MTU_MIN <= mtu:
            kernel.set_no_own_address(link.index)
            kernel.delete_ipv6_addresses(link.index)


def find(kernel: Kernel, overlay: str) -> tuple[LinkInfo | None, LinkInfo | None]:
    """Return the bridge and the tunnel device that carry an overlay's alias, or none yet."""
    alias = names.alias(overlay)
    found = (kernel.link(overlay), kernel.link(names.device_name(overlay)))
    bridge, device = (item if item and _is_of(item, alias) else None for item in found)
    return bridge, device


def overlays(kernel: Kernel) -> list[str]:
    """Return the names of the overlays that links belong to."""
    found = {names.overlay_of(link.alias) for link in kernel.links()}
    return sorted(name for name in found if name is not None)


def _is_of(link: LinkInfo, alias: str) -> bool:
    """Whether a link has an alias, or was made by us and left before it got one."""
    return link.alias == alias or (not link.alias and link.group == names.GROUP)


def delete_device(kernel: Kernel, device: int, listen_port: int) -> None:
    """Delete a tunnel device, its rows first: the kernel's lock is held while a full one goes.

    The address on `lo` that it punted to goes too.
    """
    while tables.delete_slice(device):
        pass
    old = tables.default_targets(device, listen_port)
    kernel.delete_link(device)
    delete_punt_addresses(kernel, old)


def delete_punt_addresses(kernel: Kernel, targets: Iterable[Target]) -> None:
    """Take from `lo` what was put there and nobody listens on; 127.0.0.0/8 is there by itself.

    In an earlier life of varpd the address may have been another overlay's than it is now.
    """
    for target in targets:
        address = target.ip
        if address is None or address.version == 4 or not names.is_punt_address(address):
            continue
        if not punt.is_bound(address, names.PUNT_PORT):
            kernel.delete_loopback(address)


def state(kernel: Kernel, overlay: str) -> LinkState | None:
    """Return what there is of an overlay in the kernel, or None."""
    bridge, device = find(kernel, overlay)
    if bridge is None or device is None:
        return None
    ports = sorted(name for name in tables.ports(bridge.index) if name != device.name)
    # Not the bridge's MTU: the kernel may lower it to that of a guest's port, which harms nobody.
    return LinkState(bridge.name, device.name, device.mtu, tuple(ports))
