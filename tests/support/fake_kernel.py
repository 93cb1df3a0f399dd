"""A kernel that keeps its links in a dict, for what decides about links."""

import errno
import os
from typing import Any

from msgspec import structs

from varpd.datapath.linux.kernel import Kernel, LinkInfo, Tunnel
from varpd.net.addresses import IpAddress, MacAddress, parse_ip
from varpd.provider.answers import Target


class FakeKernel(Kernel):
    """Says what it is asked to do in `done`; refuses what is in `refusals`."""

    def __init__(self) -> None:
        self.found: dict[str, LinkInfo] = {}
        self.done: list[str] = []
        self.refusals: dict[str, int] = {}
        self.localbypass: bool | None = False
        self.here: set[IpAddress] = {parse_ip("192.0.2.1")}

    def put(self, name: str, kind: str, *, alias: str = "", mac: str = "", **more: Any) -> LinkInfo:
        """Have a link."""
        link = LinkInfo(
            index=self.found[name].index if name in self.found else len(self.found) + 2,
            name=name,
            kind=kind,
            alias=alias,
            mac=mac,
            mtu=more.get("mtu", 1500),
            master=more.get("master", 0),
            up=more.get("up", True),
            tunnel=more.get("tunnel"),
            settings=more.get("settings", {}),
            learning=more.get("learning"),
            own_address=more.get("own_address", False),
        )
        self.found[name] = link
        return link

    def close(self) -> None:
        """Be closed."""

    def links(self) -> list[LinkInfo]:
        return list(self.found.values())

    def _link(self, **which: Any) -> LinkInfo | None:
        for link in self.found.values():
            if which.get("ifname") == link.name or which.get("index") == link.index:
                return link
        return None

    def add_link(self, name: str, kind: str, mac: MacAddress, mtu: int, **data: Any) -> int:
        self._do(f"add {kind} {name}")
        tunnel = None
        if kind == "vxlan":
            tunnel = Tunnel(
                data["vxlan_id"],
                parse_ip(data.get("vxlan_local") or data["vxlan_local6"]),
                data["vxlan_port"],
                bool(data["vxlan_learning"]),
                self.localbypass,
            )
        made = self.put(
            name,
            kind,
            mac=str(mac),
            mtu=mtu,
            tunnel=tunnel,
            up=False,
            own_address=True,
            settings={name: value for name, value in data.items() if name.startswith("br_")},
        )
        return made.index

    def set_data(self, index: int, **data: Any) -> None:
        self._do(f"bridge {self._name(index)}")
        data.pop("kind", None)
        self._set(index, settings=data)

    def set_alias(self, index: int, alias: str) -> None:
        self._do(f"alias {self._name(index)} {alias}")
        self._set(index, alias=alias)

    def set_mtu(self, index: int, mtu: int) -> None:
        name = self._name(index)
        self._do(f"mtu {name} {mtu}")
        self._set(index, mtu=mtu)

    def set_up(self, index: int) -> None:
        self._do(f"up {self._name(index)}")
        self._set(index, up=True)

    def set_master(self, index: int, bridge: int, *, learning: bool = True) -> None:
        self._do(f"master {self._name(index)} {self._name(bridge)} learning={learning}")
        self._set(index, master=bridge, learning=learning)

    def set_port_forwarding(self, index: int, mask: int) -> None:
        found = self._link(index=index)
        self._do(f"forwards {mask} {index if found is None else found.name}")

    def set_no_own_address(self, index: int) -> None:
        self._do(f"no address {self._name(index)}")
        self._set(index, own_address=False)

    def delete_ipv6_addresses(self, index: int) -> None:
        self._do(f"no ipv6 {self._name(index)}")

    def delete_link(self, index: int) -> None:
        name = self._name(index)
        self._do(f"delete {name}")
        self.found.pop(name, None)

    def append_default(self, device: int, target: Target) -> None:
        self._do(f"append {target}")

    def delete_default(self, device: int, target: Target) -> None:
        self._do(f"remove {target}")

    def add_loopback(self, address: IpAddress, prefix: int | None = None) -> bool:
        self._do(f"loopback {address}")
        return True

    def delete_loopback(self, address: IpAddress) -> None:
        self._do(f"no loopback {address}")

    def is_local(self, address: IpAddress) -> bool:
        return address in self.here

    def _do(self, what: str) -> None:
        number = self.refusals.get(what)
        if number is not None:
            raise OSError(number, os.strerror(number))
        self.done.append(what)

    def _set(self, index: int, **changes: Any) -> None:
        name = self._name(index)
        self.found[name] = structs.replace(self.found[name], **changes)

    def _name(self, index: int) -> str:
        found = self._link(index=index)
        if found is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return found.name
