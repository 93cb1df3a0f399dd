"""Single requests to the kernel about links, addresses, routes and default rows, by pyroute2.

Everything here blocks, for up to half a second where somebody holds the kernel's lock. One `Kernel`
belongs to one thread. What the kernel refuses is raised as `OSError` with the kernel's number and
words.
"""

import errno
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final

from msgspec import Struct
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from varpd.datapath.linux import link_attributes, names, netlink
from varpd.net.addresses import ZERO, IpAddress, MacAddress
from varpd.provider.answers import Target

_UP: Final = 0x1
"""IFF_UP of linux/if.h."""

_ADDR_GEN_MODE_NONE: Final = 1
"""IN6_ADDR_GEN_MODE_NONE of linux/if_link.h: no link-local address by itself."""

_ROUTE_TYPE_LOCAL: Final = 2
"""RTN_LOCAL of linux/rtnetlink.h."""

_NODAD: Final = 0x02
"""IFA_F_NODAD of linux/if_addr.h: the address is usable at once."""

LOOPBACK: Final = 1
"""Index of `lo` in every network namespace."""

BRIDGE_SETTINGS: Final = (
    *("br_group_fwd_mask", "br_stp_state", "br_mcast_snooping", "br_fdb_max_learned"),
)
"""Settings of a bridge that are read, under pyroute2's names."""

Attributes = dict[str, Any]
"""Attributes of a link under pyroute2's names."""


class Tunnel(Struct, frozen=True):
    """What makes a vxlan device the one that it is."""

    vnetid: int
    local: IpAddress | None
    port: int
    learning: bool
    localbypass: bool | None
    """None: the kernel knows of no such thing."""


class LinkInfo(Struct, frozen=True):
    """A link as the kernel tells it."""

    index: int
    name: str
    kind: str
    """Such as `bridge`; empty for a real interface."""

    alias: str
    mac: str
    mtu: int
    master: int
    """Index of the bridge or other device that it is a port of, or 0."""

    up: bool
    tunnel: Tunnel | None
    """Of a vxlan device."""

    settings: Mapping[str, int] = {}
    """Of a bridge: those of `BRIDGE_SETTINGS` that the kernel knows."""

    learning: bool | None = None
    """Of a port of a bridge: whether the bridge learns from it."""

    own_address: bool = False
    """Whether it gives itself an IPv6 address when it comes up."""
    group: int = 0
    """IFLA_GROUP; `names.GROUP` for ours."""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        words = os.strerror(error.code)
        said = str(error.args[1]) if len(error.args) > 1 else ""
        raise OSError(error.code, words if said in ("", words) else f"{words} ({said})") from error


def _ignoring(number: int, call: Callable[[], Any]) -> None:
    """Call what may be refused with the error `number`, which is fine."""
    try:
        with _translated():
            call()
    except OSError as error:
        if error.errno != number:
            raise


class KernelReader:
    """A connection to the kernel, and what it tells."""

    def __init__(self) -> None:
        link_attributes.register()
        self._route = IPRoute(ext_ack=True)
        with socket.socket(fileno=os.dup(self._route.fileno())) as opened:
            netlink.hear_kernel_only(opened)

    def close(self) -> None:
        """End the connection."""
        self._route.close()

    def links(self) -> list[LinkInfo]:
        """Return all links."""
        with _translated():
            return [link_info(message) for message in self._route.link("dump")]

    def link(self, name: str) -> LinkInfo | None:
        """Return the link with that name, if there is one."""
        return self._link(ifname=name)

    def link_at(self, index: int) -> LinkInfo | None:
        """Return the link with that index, if there is one."""
        return self._link(index=index)

    def _link(self, **which: Any) -> LinkInfo | None:
        try:
            with _translated():
                for message in self._route.link("get", **which):
                    return link_info(message)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        return None

    def is_local(self, address: IpAddress) -> bool:
        """Return whether an address leads to this host, as routes without a VRF have it."""
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            with _translated():
                found = self._route.route(
                    "get", family=family, dst=str(address), dst_len=address.max_prefixlen
                )
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES, errno.ENOBUFS):
                raise
            return False
        return bool(found[0]["type"] == _ROUTE_TYPE_LOCAL)


class Kernel(KernelReader):
    """A connection to the kernel, and what it does when asked."""

    def add_link(self, name: str, kind: str, mac: MacAddress, mtu: int, **data: Any) -> int:
        """Make a link, down, and return its index."""
        with _translated():
            self._route.link(
                "add",
                ifname=name,
                kind=kind,
                address=str(mac),
                mtu=mtu,
                group=names.GROUP,
                **data,
            )
        made = self.link(name)
        if made is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return made.index

    def set_data(self, index: int, **data: Any) -> None:
        """Change settings of a link, under pyroute2's names."""
        with _translated():
            self._route.link("set", index=index, **data)

    def set_alias(self, index: int, alias: str) -> None:
        """Say whose a link is."""
        with _translated():
            self._route.link("set", index=index, ifalias=alias)

    def set_mtu(self, index: int, mtu: int) -> None:
        """Set the MTU of a link."""
        with _translated():
            self._route.link("set", index=index, mtu=mtu)

    def set_up(self, index: int) -> None:
        """Bring a link up."""
        with _translated():
            self._route.link("set", index=index, state="up")

    def set_master(self, index: int, bridge: int, *, learning: bool = True) -> None:
        """Make a link a port of a bridge, which learns from it or does not."""
        with _translated():
            self._route.link("set", index=index, master=bridge)
            self._route.brport("set", index=index, learning=int(learning))

    def set_port_forwarding(self, index: int, mask: int) -> None:
        """Have a port of a bridge forward frames to reserved addresses, see `links`."""
        with _translated():
            self._route.brport("set", index=index, group_fwd_mask=mask)

    def set_no_own_address(self, index: int) -> None:
        """Keep a link from getting an IPv6 address by itself; nothing to do without IPv6."""
        mode = {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_MODE_NONE]]}
        try:
            with _translated():
                self._route.link("set", index=index, IFLA_AF_SPEC={"attrs": [["AF_INET6", mode]]})
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EINVAL, errno.ENODEV):
                raise

    def delete_ipv6_addresses(self, index: int) -> None:
        """Take all IPv6 addresses away from a link."""
        with _translated():
            self._route.flush_addr(index=index, family=socket.AF_INET6)

    def delete_link(self, index: int) -> None:
        """Delete a link; one that is gone is fine."""
        _ignoring(errno.ENODEV, lambda: self._route.link("del", index=index))

    def append_default(self, device: int, target: Target) -> None:
        """Add a destination for what a tunnel device has no row for."""
        with _translated():
            self._route.fdb("append", ifindex=device, lladdr=str(ZERO), **_destination(target))

    def delete_default(self, device: int, target: Target) -> None:
        """Take such a destination away; one that is gone is fine."""
        _ignoring(
            errno.ENOENT,
            lambda: self._route.fdb(
                "del", ifindex=device, lladdr=str(ZERO), **_destination(target)
            ),
        )

    def add_loopback(self, address: IpAddress, prefix: int | None = None) -> bool:
        """Put an address on `lo`, of its own or with a `prefix`; return whether it was missing."""
        wanted = _host_address(address)
        if prefix is not None:
            wanted["prefixlen"] = prefix
        try:
            with _translated():
                self._route.addr("add", flags=_NODAD, **wanted)
        except FileExistsError:
            return False
        return True

    def delete_loopback(self, address: IpAddress) -> None:
        """Take such an address away; one that is gone is fine."""
        _ignoring(errno.EADDRNOTAVAIL, lambda: self._route.addr("del", **_host_address(address)))


def link_info(message: Any) -> LinkInfo:
    """Return what one of pyroute2's messages says of a link."""
    kind = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
    data = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
    return LinkInfo(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME") or "",
        kind=kind,
        alias=message.get_attr("IFLA_IFALIAS") or "",
        mac=message.get_attr("IFLA_ADDRESS") or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        master=message.get_attr("IFLA_MASTER") or 0,
        up=bool(message["flags"] & _UP),
        tunnel=_tunnel(data) if kind == "vxlan" and data is not None else None,
        settings=_settings(data) if kind == "bridge" and data is not None else {},
        learning=_learning(message),
        own_address=_own_address(message),
        group=message.get_attr("IFLA_GROUP") or 0,
    )


def _settings(data: Any) -> dict[str, int]:
    found = {name: data.get_attr(f"IFLA_{name.upper()}") for name in BRIDGE_SETTINGS}
    return {name: value for name, value in found.items() if value is not None}


def _learning(message: Any) -> bool | None:
    port = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA")
    learning = None if port is None else port.get_attr("IFLA_BRPORT_LEARNING")
    return None if learning is None else bool(learning)


def _own_address(message: Any) -> bool:
    ipv6 = message.get_nested("IFLA_AF_SPEC", "AF_INET6")
    mode = None if ipv6 is None else ipv6.get_attr("IFLA_INET6_ADDR_GEN_MODE")
    return mode not in (None, _ADDR_GEN_MODE_NONE)


def _tunnel(data: Any) -> Tunnel:
    local = data.get_attr("IFLA_VXLAN_LOCAL") or data.get_attr("IFLA_VXLAN_LOCAL6")
    bypass = data.get_attr("IFLA_VXLAN_LOCALBYPASS")
    return Tunnel(
        vnetid=data.get_attr("IFLA_VXLAN_ID") or 0,
        local=None if local is None else ip_address(local),
        port=data.get_attr("IFLA_VXLAN_PORT") or 0,
        learning=bool(data.get_attr("IFLA_VXLAN_LEARNING")),
        localbypass=None if bypass is None else bool(bypass),
    )


def _destination(target: Target) -> Attributes:
    return {"dst": str(target.ip), "port": target.port}


def _host_address(address: IpAddress) -> Attributes:
    return {"index": LOOPBACK, "address": str(address), "prefixlen": address.max_prefixlen}
