"""Plugins for daemons of the lab that behave badly; to be copied into `host.varpd.plugins`.

All know the stations of `numbered_plugins`: those with odd numbers are on the first host of the
lab, 192.0.2.1, those with even numbers on the second.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address
from typing import Any

from varpd.plugins.direct import DirectPlugin
from varpd.plugins.files import FilesPlugin
from varpd.provider import (
    DROP,
    PROXY_ARP,
    PROXY_DHCP,
    Answer,
    DestinationKind,
    DhcpAnswer,
    DynamicPlugin,
    Host,
    IpAddress,
    Later,
    MacAddress,
    NeighbourAnswer,
    Plugin,
    Property,
    PropertyType,
    Query,
    State,
    StopReason,
    Target,
    Value,
)

VXLAN = DestinationKind.IP | DestinationKind.PORT
PREFIX = bytes.fromhex("02005e1000")
HERE = Target(ip=IPv4Address("192.0.2.1"), port=4789)
THERE = Target(ip=IPv4Address("192.0.2.2"), port=4789)
ARP, IPV4 = 0x0806, 0x0800


class _StationsPlugin(DynamicPlugin):
    """Answers rightly."""

    supplies = (VXLAN,)

    def lookup(self, query: Query) -> Later[Answer]:
        return self.answer(query)

    def answer(self, query: Query) -> Answer:
        if query.key.startswith(PREFIX):
            return THERE if query.key[-1] % 2 == 0 else HERE
        return PROXY_ARP if query.ethertype == ARP else DROP

    def arp(self, address: IpAddress) -> Later[NeighbourAnswer]:
        return MacAddress(PREFIX + address.packed[-1:])


class HostilePlugin(_StationsPlugin):
    """Answers rightly until `hostile/do` says otherwise."""

    api_version = 1
    name = "hostile"

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        deeds = (
            "good",
            "raise",
            "hang",
            "hang-once",
            "late",
            "junk",
            "block",
            "panic",
            "panic-thread",
        )
        return (Property("hostile/do", PropertyType.STRING, default="good", possible=deeds),)

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        super().__init__(host, destination)
        self.told = asyncio.Event()
        self.once = False

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        self.told.set()
        self.told = asyncio.Event()
        self.once = True
        return super().set_property(name, value)

    def lookup(self, query: Query) -> Later[Answer]:
        match self.get_property("hostile/do"):
            case "raise":
                raise RuntimeError("no idea")
            case "hang":
                return self.at_last(query)
            case "hang-once" if self.once and self.answer(query) is THERE:
                self.once = False
                return self.at_last(query)
            case "late" if not query.dst.is_group:
                return self.too_late(query)
            case "junk":
                return "192.0.2.2:4789"  # type: ignore[return-value] # on purpose
            case "block" if self.once:
                self.once = False
                time.sleep(3)  # and all else waits
            case "panic":
                self.host.panic("lookup gives up")
            case "panic-thread":
                threading.Thread(target=self.give_up).start()
            case _:
                pass
        return self.answer(query)

    async def at_last(self, query: Query) -> Answer:
        await self.told.wait()
        return self.answer(query)

    async def too_late(self, query: Query) -> Answer:
        await asyncio.sleep(2)
        return self.answer(query)

    def give_up(self) -> None:
        with contextlib.suppress(BaseException):
            self.host.panic("a thread gives up")


class SleepyPlugin(_StationsPlugin):
    """Sleeps in its threads until `sleepy/awake` is on."""

    api_version = 1
    name = "sleepy"
    blocking = True

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        super().__init__(host, destination)
        self.awake = threading.Event()

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        return (
            Property("sleepy/awake", PropertyType.STRING, default="no", possible=("no", "yes")),
        )

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        if value == "yes":
            self.awake.set()
        return super().set_property(name, value)

    def lookup(self, query: Query) -> Later[Answer]:
        self.awake.wait()
        return self.answer(query)


class _Nothing:
    """What instances share."""

    def close(self) -> None:
        """Nothing to let go of."""


class TalkativePlugin(_StationsPlugin):
    """Calls every method of its host inside every operation, and from eight threads at once."""

    api_version = 1
    name = "talkative"

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        super().__init__(host, destination)
        self.threads: list[threading.Thread] = []
        self.talk("constructor")

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        return (Property("talkative/word", PropertyType.STRING, default="-"),)

    def talk(self, inside: str, number: int = 0) -> None:
        host = self.host
        mac, other = PREFIX + bytes([200 + number]), PREFIX + bytes([220 + number])
        assert (host.overlay, host.vnetid, host.encapsulation) == ("bad-0", 100, "vxlan")
        assert host.local != THERE
        host.degrade("much to say")
        host.set_target(mac, THERE)
        host.set_target(other, THERE)
        host.invalidate(other)
        host.inject_arp(mac, IPv4Address(f"10.77.0.{200 + number}"))
        host.save_soon()
        host.start_task(asyncio.sleep(0), "nothing")
        host.shared("nothing", _Nothing)
        host.restore()
        if not number:
            host.log.info("has talked", inside=inside)

    def talk_much(self, number: int) -> None:
        for _ in range(200):
            self.talk("a thread", number)

    async def start(self) -> None:
        await super().start()
        self.talk("start")
        self.threads = [
            threading.Thread(target=self.talk_much, args=(number,)) for number in range(1, 9)
        ]
        for thread in self.threads:
            thread.start()

    async def stop(self, reason: StopReason) -> None:
        self.talk("stop")
        for thread in self.threads:
            await asyncio.to_thread(thread.join)

    def close(self) -> None:
        self.talk("close")

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        self.talk("set_property")
        return super().set_property(name, value)

    def get_property(self, name: str) -> Value | None:
        self.talk("get_property")
        return super().get_property(name)

    def save(self) -> State:
        self.talk("save")
        return super().save()

    def lookup(self, query: Query) -> Later[Answer]:
        self.talk("lookup")
        broadcast = query.dst.is_group and query.ethertype == IPV4
        return PROXY_DHCP if broadcast else self.answer(query)

    def arp(self, address: IpAddress) -> Later[NeighbourAnswer]:
        self.talk("arp")
        return super().arp(address)

    def dhcp(self, query: Query) -> Later[DhcpAnswer]:
        self.talk("dhcp")
        return MacAddress(PREFIX + b"\x02")

    def enumerate(self) -> Iterable[tuple[bytes, Target]]:
        self.talk("enumerate")
        return []

    async def reload(self) -> None:
        self.talk("reload")


class SaboteurPlugin(DynamicPlugin):
    """Has the built-in plugin of the overlay `saboteur/victim` panic."""

    api_version = 1
    name = "saboteur"
    supplies = (VXLAN,)

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        return (Property("saboteur/victim", PropertyType.STRING),)

    def lookup(self, query: Query) -> Later[Answer]:
        return DROP

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        if host := HOSTS.get(str(value)):
            threading.Thread(target=self.sabotage, args=(host,)).start()
        return super().set_property(name, value)

    def sabotage(self, host: Host) -> None:
        with contextlib.suppress(BaseException):
            host.panic("sabotaged")


HOSTS: dict[str, Host] = {}
"""The hosts of the instances of built-in plugins, by overlay."""


def _remember_hosts(plugin: type[Plugin]) -> None:
    made: Callable[..., None] = plugin.__init__

    def make(self: Any, host: Host, destination: DestinationKind) -> None:
        HOSTS[host.overlay] = host
        made(self, host, destination)

    plugin.__init__ = make  # type: ignore[method-assign]


_remember_hosts(DirectPlugin)
_remember_hosts(FilesPlugin)
