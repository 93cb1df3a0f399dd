"""Probe plugins: one that does all right, and one for each way in which a plugin can go wrong.

All of them are good but for what their docstring says. Every probe knows the same overlay: `KNOWN`
and `NEIGHBOURS`.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Generator, Iterable
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv6Address
from typing import Any, ClassVar, Final

from varpd.provider import (
    DROP,
    PROXY_ARP,
    PROXY_DHCP,
    PROXY_NDP,
    Answer,
    DestinationKind,
    DhcpAnswer,
    Drop,
    DynamicPlugin,
    Host,
    IpAddress,
    Later,
    MacAddress,
    Neighbour,
    NeighbourAnswer,
    Panic,
    PointPlugin,
    Property,
    PropertyInvalid,
    PropertyType,
    Query,
    Range,
    State,
    StopReason,
    Target,
    Value,
)

VXLAN: Final = DestinationKind.IP | DestinationKind.PORT

WEB: Final = MacAddress.parse("02:00:5e:00:53:11")
ROUTER: Final = MacAddress.parse("02:00:5e:00:53:12")
WEB_IP: Final = IPv4Address("10.0.0.11")
ROUTER_IP: Final = IPv6Address("fd00::12")
ONE: Final = Target(ip=IPv4Address("192.0.2.1"), port=4789)
TWO: Final = Target(ip=IPv4Address("192.0.2.2"), port=4789)

KNOWN: Final[dict[bytes, Target]] = {WEB: ONE, ROUTER: TWO}
"""Where each MAC is."""

NEIGHBOURS: Final[dict[IpAddress, Neighbour]] = {
    WEB_IP: Neighbour(WEB),
    ROUTER_IP: Neighbour(ROUTER, router=True),
}
"""Who has each overlay address."""

PROXIED: Final[dict[int | None, Answer]] = {0x0806: PROXY_ARP, 0x86DD: PROXY_NDP}
"""What frames to groups are answered with, by ethertype."""


class GoodProbe(DynamicPlugin):
    """Does everything right, and counts what is asked of it."""

    api_version = 1
    name: ClassVar[str] = "probe"
    supplies: ClassVar[tuple[DestinationKind, ...] | None] = (VXLAN,)

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        super().__init__(host, destination)
        self.calls: list[str] = []

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        return (
            Property(f"{cls.name}/site", PropertyType.STRING, required=True),
            Property(f"{cls.name}/shard", PropertyType.UINT, required=True),
            Property(f"{cls.name}/weight", PropertyType.UINT, default=1, possible=(Range(1, 100),)),
        )

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        self.calls.append("set_property")
        if value == "nowhere":
            raise PropertyInvalid(name, value, "there is no such site")
        return super().set_property(name, value)

    async def start(self) -> None:
        await super().start()
        self.calls.append("start")

    async def stop(self, reason: StopReason) -> None:
        self.calls.append(f"stop {reason.value}")

    def close(self) -> None:
        self.calls.append("close")

    def save(self) -> State:
        self.calls.append("save")
        return super().save()

    def lookup(self, query: Query) -> Later[Answer]:
        self.calls.append("lookup")
        return self.where(query)

    def where(self, query: Query) -> Answer:
        if query.dst.is_group:
            return PROXIED.get(query.ethertype, PROXY_DHCP)
        return KNOWN.get(query.key, DROP)

    def arp(self, address: IpAddress) -> Later[NeighbourAnswer]:
        self.calls.append("arp")
        return NEIGHBOURS.get(address, DROP)

    def dhcp(self, query: Query) -> Later[DhcpAnswer]:
        self.calls.append("dhcp")
        return ROUTER

    def enumerate(self) -> Iterable[tuple[bytes, Target]]:
        return KNOWN.items()


VALUES: Final[dict[str, Value]] = {"probe/site": "north", "probe/shard": 7}
"""Values for the required properties of every probe of `GoodProbe`."""


class PointProbe(PointPlugin):
    """Sends everything to one target."""

    api_version = 1
    name: ClassVar[str] = "point"
    supplies = (VXLAN,)

    def default(self) -> Target | Drop:
        return ONE


class RaisingProbe(GoodProbe):
    """Raises in `lookup`, `arp` and `dhcp`."""

    api_version = 1

    def lookup(self, query: Query) -> Later[Answer]:
        raise RuntimeError("no idea")

    def arp(self, address: IpAddress) -> Later[NeighbourAnswer]:
        raise RuntimeError("no idea")

    def dhcp(self, query: Query) -> Later[DhcpAnswer]:
        raise RuntimeError("no idea")


class FailingStartProbe(GoodProbe):
    """Raises in `start`."""

    api_version = 1

    async def start(self) -> None:
        await super().start()
        raise ConnectionError("no server")


class HangingProbe(GoodProbe):
    """Never answers, but can be cancelled."""

    api_version = 1

    async def lookup(self, query: Query) -> Answer:
        await asyncio.Event().wait()
        return DROP


class StubbornProbe(GoodProbe):
    """Answers only when it is cancelled, against the rules."""

    api_version = 1

    async def lookup(self, query: Query) -> Answer:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return self.where(query)


class LateProbe(GoodProbe):
    """Answers rightly, when `release` is set."""

    api_version = 1

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        super().__init__(host, destination)
        self.release = asyncio.Event()

    async def lookup(self, query: Query) -> Answer:
        await self.release.wait()
        return self.where(query)


class FutureProbe(GoodProbe):
    """Answers by a `concurrent.futures.Future`, when `release` is called."""

    api_version = 1

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        super().__init__(host, destination)
        self.asked: list[tuple[Query, Future[Answer]]] = []

    def lookup(self, query: Query) -> Later[Answer]:
        answer: Future[Answer] = Future()
        self.asked.append((query, answer))
        return answer

    def release(self) -> None:
        """Answer everything that was asked, from another thread."""
        thread = threading.Thread(target=self._answer)
        thread.start()

    def _answer(self) -> None:
        for query, answer in self.asked:
            answer.set_result(self.where(query))


class AnAnswer:
    """Something that can be awaited and is neither coroutine nor future."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __await__(self) -> Generator[Any, None, Answer]:
        yield from asyncio.sleep(0).__await__()
        return self.answer


class AwaitableProbe(GoodProbe):
    """Answers by an object that can be awaited."""

    api_version = 1

    def lookup(self, query: Query) -> Later[Answer]:
        return AnAnswer(self.where(query))


class OtherLoopProbe(GoodProbe):
    """Answers by a future of another event loop."""

    api_version = 1

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        super().__init__(host, destination)
        self.other = asyncio.new_event_loop()

    def lookup(self, query: Query) -> Later[Answer]:
        return self.other.create_future()

    def close(self) -> None:
        self.other.close()


class PanickingProbe(GoodProbe):
    """Panics in `lookup`."""

    api_version = 1

    def lookup(self, query: Query) -> Later[Answer]:
        self.host.panic("lookup gives up")


class PanickingThreadProbe(GoodProbe):
    """Panics in a thread of its own, and answers all the same."""

    api_version = 1

    def lookup(self, query: Query) -> Later[Answer]:
        self.thread = threading.Thread(target=self._give_up)
        self.thread.start()
        return self.where(query)

    def _give_up(self) -> None:
        with contextlib.suppress(Panic):
            self.host.panic("a thread gives up")


class BlockingLoopProbe(GoodProbe):
    """Holds up the event loop in `lookup` for `seconds`."""

    api_version = 1

    seconds: ClassVar[float] = 3.0

    def lookup(self, query: Query) -> Later[Answer]:
        time.sleep(self.seconds)
        return self.where(query)


class ThreadedProbe(GoodProbe):
    """Says that it blocks, and answers rightly; notes the thread that it is asked in."""

    api_version = 1
    blocking = True

    def lookup(self, query: Query) -> Later[Answer]:
        self.calls.append(threading.current_thread().name)
        return self.where(query)


class SleepingThreadProbe(GoodProbe):
    """Sleeps in its threads until `release` is set, that is, for ever."""

    api_version = 1
    blocking = True

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        super().__init__(host, destination)
        self.release = threading.Event()

    def lookup(self, query: Query) -> Later[Answer]:
        self.release.wait()
        return self.where(query)


def junk_probe(answer: object) -> type[GoodProbe]:
    """Return a plugin that answers every question with `answer`, whatever it is."""

    class JunkProbe(GoodProbe):
        api_version = 1

        def lookup(self, query: Query) -> Any:
            return answer

        def arp(self, address: IpAddress) -> Any:
            return answer

        def dhcp(self, query: Query) -> Any:
            return answer

    return JunkProbe


JUNK: Final = (
    None,
    "192.0.2.1:4789",
    4789,
    (ONE,),
    Target(),
    Target(ip=ONE.ip),
    Target(ip=ONE.ip, port=0),
    Target(ip=ONE.ip, port=4789, mac=WEB),
    Target(ip=IPv4Address("127.0.0.1"), port=4789),
)
"""What is no answer to `lookup`, `arp` or `dhcp` where the encapsulation is VXLAN."""


def make(plugin: type[GoodProbe], host: Host, values: dict[str, Value] | None = None) -> GoodProbe:
    """Return an instance with the required properties set."""
    instance = plugin(host, VXLAN)
    for name, value in (VALUES if values is None else values).items():
        instance.set_property(name, value)
    return instance
