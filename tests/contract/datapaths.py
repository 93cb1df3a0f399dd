"""Worlds to try datapaths in: this host with the datapath, guests on it, and a VTEP far away.

One world a datapath. What the worlds offer is alike, so that one suite can be run in all of them.
"""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from support.namespaces import Namespace, connect
from varpd.datapath.base import Datapath, Link
from varpd.datapath.encapsulation import VXLAN
from varpd.datapath.linux.datapath import LinuxDatapath
from varpd.datapath.memory import MemoryDatapath, MemoryUnderlay
from varpd.engine.events import Event, FramesPunted
from varpd.engine.settings import Mode
from varpd.net.addresses import IpAddress
from varpd.provider.answers import Target

PORT: Final = 4789
GUESTS: Final = 3
"""Guests that a world has; they are there before they are attached."""

ETHERTYPE: Final = 0x88B5
"""Local experimental (IEEE 802, 9.2): nothing but these tests sends it."""

_RECEIVE_SIZE: Final = 65536


def mac(number: int) -> bytes:
    """Return a MAC address."""
    return b"\x02" + number.to_bytes(5, "big")


def frame(dst: bytes, src: bytes, number: int = 0) -> bytes:
    """Return an Ethernet frame of the least size that there is, unlike those of other numbers."""
    return dst + src + ETHERTYPE.to_bytes(2, "big") + number.to_bytes(4, "big") + bytes(42)


class World(ABC):
    """This host, its guests, and what is far away."""

    listen_ip: IpAddress
    other_ip: IpAddress
    """Another address of this host."""

    far: Target
    """A VTEP on another host."""

    farther: Target
    """Another one there."""

    strange: Target
    """A target of the other address family."""

    datapath: Datapath

    def __init__(self) -> None:
        self.events: list[Event] = []

    def link(self, name: str = "blue", **changes: Any) -> Link:
        """Return a DYNAMIC overlay, but for `changes`."""
        values: dict[str, Any] = {
            "vnetid": 7,
            "encapsulation": VXLAN.name,
            "mode": Mode.DYNAMIC,
            "number": 1,
            "listen_ip": self.listen_ip,
            "listen_port": PORT,
        } | changes
        return Link(name=name, **values)

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def punted(self, overlay: str = "blue") -> list[bytes]:
        """Return the punted packets of the tests' own frames."""
        return [
            packet
            for event in self.of(FramesPunted)
            if event.overlay == overlay
            for packet in event.packets
            if packet[VXLAN.header_size + 12 :].startswith(ETHERTYPE.to_bytes(2, "big"))
        ]

    @abstractmethod
    async def attach(self, number: int, overlay: str = "blue") -> None:
        """Attach a guest to an overlay."""

    @abstractmethod
    def guest_sends(self, number: int, sent: bytes) -> None:
        """Let a guest send a frame."""

    @abstractmethod
    def guest_frames(self, number: int) -> list[bytes]:
        """Return the tests' frames that a guest was sent so far."""

    @abstractmethod
    def far_sends(self, packet: bytes) -> None:
        """Let the far VTEP send a packet, header in front, to this host."""

    @abstractmethod
    def arrived(self, target: Target) -> list[bytes]:
        """Return the tests' packets that arrived so far at `far` or `farther`."""

    @abstractmethod
    def refuse(self, number: int) -> tuple[bytes, Target]:
        """Return a MAC and a target whose row will be refused."""

    @abstractmethod
    async def tamper(self, mac_address: bytes, target: Target | None) -> None:
        """Change the row of a MAC of overlay `blue` as somebody else might; None: remove it."""

    @abstractmethod
    async def add_address(self) -> None:
        """Give this host `other_ip`."""

    @abstractmethod
    async def restart(self) -> None:
        """Put another datapath in the place of one that is no more; the kernel is the same."""

    @abstractmethod
    async def leftovers(self) -> list[str]:
        """Return names of what there is on this host besides what was there at the start."""


class MemoryWorld(World):
    """Around the datapath in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.listen_ip = ip_address("192.0.2.1")
        self.other_ip = ip_address("192.0.2.77")
        self.far = Target(ip_address("192.0.2.2"), PORT)
        self.farther = Target(ip_address("192.0.2.2"), PORT + 1)
        self.strange = Target(ip_address("2001:db8::2"), PORT)
        self._underlay = MemoryUnderlay()
        self._arrived: dict[Target, list[bytes]] = {self.far: [], self.farther: []}
        for target, packets in self._arrived.items():
            assert target.ip is not None
            assert target.port is not None
            self._underlay.attach(target.ip, target.port, packets.append)
        self._memory = MemoryDatapath(self.events.append, self._underlay, [self.listen_ip])
        self.datapath = self._memory
        self._guests: dict[int, Any] = {}

    async def attach(self, number: int, overlay: str = "blue") -> None:
        self._guests[number] = self._memory.attach(overlay, f"port{number}")

    def guest_sends(self, number: int, sent: bytes) -> None:
        self._guests[number].send(sent)

    def guest_frames(self, number: int) -> list[bytes]:
        return list(self._guests[number].frames)

    def far_sends(self, packet: bytes) -> None:
        self._underlay.send(Target(self.listen_ip, PORT), packet)

    def arrived(self, target: Target) -> list[bytes]:
        return list(self._arrived[target])

    def refuse(self, number: int) -> tuple[bytes, Target]:
        self._memory.refuse[mac(number)] = "refused by the test"
        return mac(number), self.far

    async def tamper(self, mac_address: bytes, target: Target | None) -> None:
        targets = () if target is None else (target,)
        self._memory.bridges["blue"].tamper(mac_address, targets)

    async def add_address(self) -> None:
        self._memory.set_addresses([self.listen_ip, self.other_ip])

    async def restart(self) -> None:
        self.events.clear()
        self._memory = MemoryDatapath(
            self.events.append, self._underlay, [self.listen_ip], left_by=self._memory
        )
        self.datapath = self._memory
        await self.datapath.start()

    async def leftovers(self) -> list[str]:
        there = self._underlay.send(Target(self.listen_ip, PORT), b"")
        return ["VTEP"] if there else []


class LinuxWorld(World):
    """Around the datapath of the Linux kernel: three network namespaces."""

    def __init__(self, stack: ExitStack, *, ipv6: bool) -> None:
        """Enter the namespace of the host until `stack` is closed."""
        super().__init__()
        prefix, length = ("2001:db8::", 64) if ipv6 else ("192.0.2.", 24)
        self.listen_ip = ip_address(f"{prefix}1")
        self.other_ip = ip_address(f"{prefix}77")
        self.far = Target(ip_address(f"{prefix}2"), PORT)
        self.farther = Target(ip_address(f"{prefix}2"), PORT + 1)
        self.strange = Target(ip_address("192.0.2.2" if ipv6 else "2001:db8::2"), PORT)
        self._length = length
        self._host = stack.enter_context(Namespace("host"))
        far = stack.enter_context(Namespace("far"))
        connect(self._host, "eth0", far, "eth0")
        for namespace, ip in ((self._host, self.listen_ip), (far, self.far.ip)):
            address = ("ip", "address", "add", f"{ip}/{length}", "dev", "eth0")
            namespace.run(*address, *(("nodad",) if ipv6 else ()))
        with far.entered():
            family = socket.AF_INET6 if ipv6 else socket.AF_INET
            self._vteps = {
                target: stack.enter_context(_vtep(family, target))
                for target in (self.far, self.farther)
            }
        self._arrived: dict[Target, list[bytes]] = {target: [] for target in self._vteps}
        self._guests = self._make_guests(stack)
        self._frames: list[list[bytes]] = [[] for _ in self._guests]
        self._before = self._names()
        stack.enter_context(self._host.entered())
        self.datapath = LinuxDatapath(self.events.append)

    def _make_guests(self, stack: ExitStack) -> list[socket.socket]:
        home = stack.enter_context(Namespace("guests"))
        with home.entered():
            # A guest says nothing by itself.
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        guests = []
        for number in range(GUESTS):
            connect(home, f"guest{number}", self._host, f"port{number}")
            with home.entered():
                guest = stack.enter_context(
                    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
                )
                guest.setblocking(False)
                guest.bind((f"guest{number}", ETHERTYPE))
                guests.append(guest)
        return guests

    async def attach(self, number: int, overlay: str = "blue") -> None:
        await asyncio.to_thread(
            self._host.run, "ip", "link", "set", f"port{number}", "master", overlay, "up"
        )

    def guest_sends(self, number: int, sent: bytes) -> None:
        self._guests[number].send(sent)

    def guest_frames(self, number: int) -> list[bytes]:
        self._frames[number] += _read_all(self._guests[number])
        return list(self._frames[number])

    def far_sends(self, packet: bytes) -> None:
        self._vteps[self.far].sendto(packet, (str(self.listen_ip), PORT))

    def arrived(self, target: Target) -> list[bytes]:
        self._arrived[target] += _read_all(self._vteps[target])
        return list(self._arrived[target])

    def refuse(self, number: int) -> tuple[bytes, Target]:
        return mac(number), self.strange

    async def tamper(self, mac_address: bytes, target: Target | None) -> None:
        row = (mac_address.hex(":"), "dev", "vx-blue", "self")
        action: tuple[str, ...] = ("del", *row)
        if target is not None:
            action = ("replace", *row, "dst", str(target.ip), "port", str(target.port))
        await asyncio.to_thread(self._host.run, "bridge", "fdb", *action)

    async def add_address(self) -> None:
        await asyncio.to_thread(
            self._host.run,
            *("ip", "address", "add", f"{self.other_ip}/{self._length}", "dev", "eth0"),
        )

    async def restart(self) -> None:
        await self.datapath.stop()
        self.events.clear()
        self.datapath = LinuxDatapath(self.events.append)
        await self.datapath.start()

    async def leftovers(self) -> list[str]:
        return sorted(await asyncio.to_thread(lambda: self._names() - self._before))

    def _names(self) -> set[str]:
        """Return the links, the addresses of `lo`, and the punt sockets that there are."""
        links = self._host.run("ip", "-oneline", "link", "show").stdout.splitlines()
        addresses = self._host.run("ip", "-oneline", "address", "show", "dev", "lo").stdout
        sockets = self._host.run("ss", "-H", "-u", "-n", "-a", "sport", "=", ":789").stdout
        return (
            {line.split(": ")[1] for line in links}
            | {line.split()[3] for line in addresses.splitlines()}
            | set(sockets.splitlines())
        )


def _read_all(receiver: socket.socket) -> list[bytes]:
    packets = []
    try:
        while True:
            packets.append(receiver.recv(_RECEIVE_SIZE))
    except BlockingIOError:
        return packets


@contextmanager
def _vtep(family: socket.AddressFamily, target: Target) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as vtep:
        vtep.setblocking(False)
        vtep.bind((str(target.ip), target.port))
        yield vtep
