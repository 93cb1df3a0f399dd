"""Whether an overlay's links are as varpd made them, and making them so again.

Everything here blocks: it is for the thread of the `Kernel`, where nothing else that varpd does to
links can come between.
"""

import errno
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from ipaddress import IPv4Address

from msgspec import Struct

from varpd.datapath.base import Link
from varpd.datapath.linux import links, lookups, names, netlink, tables
from varpd.datapath.linux.kernel import LOOPBACK, Kernel, LinkInfo
from varpd.datapath.linux.links import Pair, Protect, unprotected
from varpd.datapath.linux.netlink import FdbRow
from varpd.engine.settings import Mode
from varpd.net.addresses import ZERO
from varpd.provider.answers import Target

_LOCALHOST = IPv4Address("127.0.0.1")
_LOCALHOST_PREFIX = 8
_DEFAULTS_MAX = 16


class Port(Struct, frozen=True):
    """A guest's port of a bridge."""

    name: str
    index: int


class Examined(Struct):
    """What an overlay's links are."""

    differences: list[str]
    """What is not as it should be and can be put right, in words."""

    lasting: str | None = None
    """What varpd leaves to the operator, in words."""

    lost: bool = False
    """Whether rows went with something."""

    rebuild: bool = False
    """Whether a link has to be made anew."""

    open: frozenset[int] = frozenset()
    """Ports that give frames to the host, by index; the kernel makes all ports so."""

    ports: list[Port] | None = None
    """The guests' ports that the bridge has; None: there is no bridge."""


def examine(
    kernel: Kernel, link: Link, pair: Pair, default: Target | None, strange: Sequence[FdbRow]
) -> Examined:
    """Compare an overlay's links with what they should be.

    Args:
        kernel: the kernel.
        link: what they should be.
        pair: their indices.
        default: where the tunnel device should send what it has no row for.
        strange: default rows that somebody else is known to have written.

    Raises:
        OSError: the kernel refuses to tell.
    """
    bridge, device = kernel.link_at(pair.bridge), kernel.link_at(pair.device)
    found = Examined([])
    if bridge is None:
        found.differences.append(f"the bridge {link.name} was gone")
    if device is None:
        found.differences.append(f"the device {names.device_name(link.name)} was gone")
    if bridge is not None:
        there = tables.ports(bridge.index).items()
        found.ports = [Port(name, index) for name, index in there if index != pair.device]
        found.open = frozenset(tables.open_ports(bridge.index, links.PORT_FORWARDS))
    if bridge is None or device is None:
        found.lost = found.rebuild = True
    else:
        least = _least_mtu(kernel, link, bridge, found.ports or ())
        found.differences += of_bridge(link, bridge, least) + of_device(link, device, bridge.index)
        found.lost = device.master != bridge.index
        if default is not None:
            found.differences += _of_default(link, device.index, default, strange)
    _examine_loopback(kernel, link, found)
    return found


def of_bridge(link: Link, bridge: LinkInfo, least: int | None) -> list[str]:
    """Return in what a bridge is not as it should be; `least` is the least MTU of its ports.

    The kernel lowers a bridge's MTU to that by itself, which harms nobody.
    """
    wanted = link.mtu or links.MTU
    found = _of_link(link, bridge, link.name)
    if bridge.mtu != wanted and not (bridge.mtu < wanted and bridge.mtu == least):
        found.append(f"the MTU of {link.name} was {bridge.mtu}, not {wanted}")
    for name, value in links.BRIDGE_SETTINGS.items():
        there = bridge.settings.get(name, value)
        if there != value:
            setting = name.removeprefix("br_")
            found.append(f"{setting} of {link.name} was {there}, not {value}")
    return found


def of_device(link: Link, device: LinkInfo, bridge: int) -> list[str]:
    """Return in what a tunnel device is not as it should be, given the index of its bridge."""
    wanted = link.mtu or links.MTU
    name = names.device_name(link.name)
    found = _of_link(link, device, name)
    if device.mtu != wanted:
        found.append(f"the MTU of {name} was {device.mtu}, not {wanted}")
    learning = link.mode is Mode.POINT
    if device.master != bridge:
        found.append(f"{name} was no port of {link.name}")
    elif device.learning is not learning:
        state = "on" if device.learning else "off"
        found.append(f"learning of the port {name} was {state}")
    tunnel = device.tunnel
    if tunnel is not None and tunnel.learning:
        found.append(f"learning of {name} was on")
    if tunnel is not None and tunnel.localbypass is not False:
        found.append(f"localbypass of {name} was on")
    return found


def _of_link(link: Link, there: LinkInfo, name: str) -> list[str]:
    found = []
    if there.name != name:
        found.append(f"{name} was renamed to {there.name}")
    if there.alias != names.alias(link.name):
        found.append(f"the alias of {name} was {there.alias!r}")
    if not there.up:
        found.append(f"{name} was down")
    if there.own_address:
        found.append(f"{name} would give itself an IPv6 address")
    return found


def repair(
    kernel: Kernel,
    link: Link,
    pair: Pair,
    default: Target | None,
    strange: Sequence[FdbRow],
    protect: Protect = unprotected,
) -> Pair:
    """Put an overlay's links right; return their indices, which are others if any was made anew.

    `protect` is called before frames can flow over what was made.

    Raises:
        DatapathError: it cannot be done.
        OSError: likewise, in the kernel's words.
    """
    _repair_loopback(kernel, link)
    for index, name in ((pair.bridge, link.name), (pair.device, names.device_name(link.name))):
        there = kernel.link_at(index)
        if there is None:
            continue
        if there.name != name:
            _rename(kernel, index, name)
        if there.alias != names.alias(link.name):
            kernel.set_alias(index, names.alias(link.name))
        if there.tunnel is not None and (there.tunnel.learning or there.tunnel.localbypass):
            kernel.set_data(index, kind="vxlan", vxlan_learning=0, vxlan_localbypass=0)
    with ExitStack() as undo:
        # Nothing is written that is right already.
        made = links.make(kernel, link, default, undo, partial(protect, kernel, link))
        undo.pop_all()
    if default is not None:
        _repair_default(link, made.device, default, strange)
    return made


def put_back(kernel: Kernel, bridge: int, ports: Iterable[Port]) -> list[str]:
    """Make ports of a bridge that was deleted ports of the new one; return their names.

    One that its owner has given to another bridge since, or another name, is left alone.
    """
    done = []
    for port in ports:
        there = kernel.link_at(port.index)
        if there is not None and there.name == port.name and there.master == 0:
            kernel.set_master(port.index, bridge)
            done.append(port.name)
    return done


def _rename(kernel: Kernel, index: int, name: str) -> None:
    try:
        kernel.set_data(index, ifname=name)
    except OSError as error:
        # Older kernels want a link down for that.
        if error.errno != errno.EBUSY:
            raise
        kernel.set_data(index, state="down")
        kernel.set_data(index, ifname=name)
        kernel.set_up(index)


def _least_mtu(kernel: Kernel, link: Link, bridge: LinkInfo, ports: Iterable[Port]) -> int | None:
    if bridge.mtu >= (link.mtu or links.MTU):
        return None
    found = (kernel.link_at(port.index) for port in ports)
    return min((port.mtu for port in found if port is not None), default=None)


def _of_default(link: Link, device: int, default: Target, strange: Sequence[FdbRow]) -> list[str]:
    row = lookups.row_of(device, ZERO)
    if row is None:
        return [f"the default row to {default} was missing"]
    found = []
    if not _leads_to(link, row, default):
        found.append(f"the default row led elsewhere than to {default}")
    if any(not _leads_to(link, other, default) for other in strange):
        found.append(f"there was another default row beside that to {default}")
    return found


def _leads_to(link: Link, row: FdbRow, default: Target) -> bool:
    return (
        bool(row.destination)
        and netlink.ip_of(row.destination) == default.ip
        and (row.port or link.listen_port) == default.port
        and row.vni is None
        and not row.via
    )


def _repair_default(link: Link, device: int, default: Target, strange: Sequence[FdbRow]) -> None:
    """Remove all default rows but one, which is there already."""
    wrong = [row for row in strange if row.ifindex == device and not _leads_to(link, row, default)]
    with closing(tables.open_netlink()) as opened:
        for _ in range(_DEFAULTS_MAX):
            first = lookups.row_of(device, ZERO)
            if first is not None and not _leads_to(link, first, default):
                wrong.append(first)
            if not wrong:
                return
            opened.send(netlink.destination_deletion(wrong.pop()))


def _examine_loopback(kernel: Kernel, link: Link, found: Examined) -> None:
    if link.mode is not Mode.DYNAMIC:
        return
    loopback = kernel.link_at(LOOPBACK)
    address = names.punt_address(link)
    if loopback is None or not loopback.up:
        found.lasting = "lo is down, so that no frame comes to varpd; bring it up"
    elif not kernel.is_local(address):
        found.differences.append(f"{address} was no longer an address of lo")


def _repair_loopback(kernel: Kernel, link: Link) -> None:
    address = names.punt_address(link)
    if link.mode is not Mode.DYNAMIC or kernel.is_local(address):
        return
    if address.version == 4:
        # All of 127.0.0.0/8 is there with this one.
        kernel.add_loopback(_LOCALHOST, _LOCALHOST_PREFIX)
    else:
        kernel.add_loopback(address)
