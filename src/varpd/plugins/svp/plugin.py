"""The plugin `svp`: mappings from the Portolan servers of a Triton data centre."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Final, cast

from varpd.net.addresses import IPV6_MULTICAST_PREFIX, IpAddress, MacAddress
from varpd.net.ethernet import EtherType
from varpd.plugins.svp.doubts import Doubts
from varpd.plugins.svp.fields import Status
from varpd.plugins.svp.log import Log
from varpd.plugins.svp.log_messages import Record, Vl2Record, Vl3Record
from varpd.plugins.svp.memory import Memory
from varpd.plugins.svp.messages import Vl2Ack, Vl2Request, Vl3Ack, Vl3Request
from varpd.plugins.svp.remote import Key, Remote
from varpd.plugins.svp.shootdown import Listener
from varpd.plugins.svp.wire import PORT
from varpd.provider import (
    DROP,
    PROXY_ARP,
    PROXY_NDP,
    Answer,
    DestinationKind,
    DynamicPlugin,
    Host,
    NeighbourAnswer,
    Property,
    PropertyInvalid,
    PropertyMissing,
    PropertyType,
    Query,
    Range,
    StopReason,
    Target,
    TargetInvalid,
    Value,
)

HOST: Final = "svp/host"
SERVER_PORT: Final = "svp/port"
UNDERLAY_IP: Final = "svp/underlay_ip"
UNDERLAY_PORT: Final = "svp/underlay_port"
CACHE_TIME: Final = "svp/cache_time"
SHOOTDOWN: Final = "svp/shootdown"

SHOOTDOWN_PORT: Final = 1339
"""UDP port of hosts for what other hosts tell them."""

AGAIN: Final = 1.0
"""Seconds after which the work that failed is begun anew."""

_GROUP_BIT: Final = 0x01
_PORT_MAX: Final = 65_535
_DAY: Final = 86_400
_VNETID_MAX: Final = (1 << 32) - 1
_VLAN_MAX: Final = 4094


class ServerError(Exception):
    """The servers gave no answer that can be used."""


class SvpPlugin(DynamicPlugin):
    """Asks the servers that `svp/host` names."""

    api_version = 1
    name = "svp"
    supplies = (DestinationKind.IP | DestinationKind.PORT,)

    def __init__(self, host: Host, destination: DestinationKind) -> None:
        """See `Plugin`."""
        super().__init__(host, destination)
        self._targets: Memory[bytes, Target] = Memory()
        self._macs: Memory[IpAddress, MacAddress] = Memory()
        self._remote: Remote | None = None
        self._listener: Listener | None = None
        self._doubts: Doubts | None = None
        self._age = 0.0

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        """See `Plugin.properties`."""
        ports = (Range(1, _PORT_MAX),)
        return (
            Property(
                HOST,
                PropertyType.STRING,
                required=True,
                live=False,
                doc="Name or address of the Portolan servers.",
            ),
            Property(
                SERVER_PORT,
                PropertyType.UINT,
                default=PORT,
                possible=ports,
                live=False,
                doc="TCP port of the servers.",
            ),
            Property(
                UNDERLAY_IP,
                PropertyType.IP,
                live=False,
                doc="Underlay address by which the servers know this host; "
                "unless set, the one where it receives wrapped frames.",
            ),
            Property(
                UNDERLAY_PORT,
                PropertyType.UINT,
                default=SHOOTDOWN_PORT,
                possible=ports,
                live=False,
                doc="UDP port at which shootdowns of other hosts are heard.",
            ),
            Property(
                CACHE_TIME,
                PropertyType.UINT,
                default=60,
                possible=(Range(0, _DAY),),
                doc="Seconds for which an answer is given again without asking the servers.",
            ),
            Property(
                SHOOTDOWN,
                PropertyType.STRING,
                default="off",
                possible=("off", "listen"),
                live=False,
                doc="Whether to believe other hosts that a MAC is not there any more.",
            ),
        )

    @property
    def vnetid(self) -> int:
        """See `Reader.vnetid`."""
        return self.host.vnetid

    def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
        """See `Plugin.set_property`."""
        if name == HOST and value is not None:
            text = str(self._declared(name).check(value))
            if any(each.isspace() for each in text):
                raise PropertyInvalid(name, value, "not a name or an address")
        done = super().set_property(name, value)
        if name == CACHE_TIME:
            self._age = float(cast("int", self.get_property(name)))
        return done

    async def start(self) -> None:
        """Join those who share the servers, and begin to listen.

        Raises:
            PropertyMissing: `svp/host` is not set, or nothing says which address this host has.
            PropertyInvalid: shootdowns cannot be heard at the address and port.
        """
        await super().start()
        if self.host.vnetid > _VNETID_MAX:
            raise PropertyInvalid("vnetid", self.host.vnetid, "SVP has 32 bits for it")
        local = self.host.local
        underlay = self.get_property(UNDERLAY_IP) or (None if local is None else local.ip)
        if not isinstance(underlay, IPv4Address | IPv6Address):
            raise PropertyMissing([UNDERLAY_IP])
        self._age = float(cast("int", self.get_property(CACHE_TIME)))
        if self.get_property(SHOOTDOWN) == "listen":
            port = cast("int", self.get_property(UNDERLAY_PORT))
            self._listener = _listener(self.host, underlay, port)
            self._listener.targets.append(self)
        key = Key(
            str(self.get_property(HOST)), cast("int", self.get_property(SERVER_PORT)), underlay
        )
        self._remote = self.host.shared(
            f"remote {key.host} {key.port} {underlay}", partial(Remote, key)
        )
        self._remote.join(self)
        self._doubts = Doubts(partial(_do_again, self))
        self.host.start_task(_work(self.host, self._remote), "svp servers")
        self.host.start_task(self._doubts.work(), "svp doubts")

    async def stop(self, reason: StopReason) -> None:
        """See `Plugin.stop`; the last one closes the connections, in the way that servers bear."""
        remote = self._remote
        self.close()
        if remote is not None:
            await remote.leave_in_order(self)

    def close(self) -> None:
        """See `Plugin.close`."""
        if self._remote is not None:
            self._remote.leave(self)
            self._remote = None
        if self._listener is not None:
            self._listener.targets.remove(self)
            self._listener = None

    async def reload(self) -> None:
        """Ask the servers anew about everything."""
        self._targets.clear()
        self._macs.clear()

    def lookup(self, query: Query) -> Answer | Awaitable[Answer]:
        """Return where a frame goes."""
        if query.key[0] & _GROUP_BIT:
            match query.ethertype:
                case EtherType.ARP:
                    return PROXY_ARP
                case EtherType.IPV6 if query.key.startswith(IPV6_MULTICAST_PREFIX):
                    return PROXY_NDP
                case _:
                    return DROP
        known = self._targets.get(query.key, _now(), self._age)
        return self._find_target(query.key) if known is None else known

    def arp(self, address: IpAddress) -> NeighbourAnswer | Awaitable[NeighbourAnswer]:
        """Return who has `address`."""
        known = self._macs.get(address, _now(), self._age)
        return self._find_mac(address) if known is None else known

    # What the servers, their log, and other hosts say.

    def remote_is(self, problem: str | None) -> None:
        """See `Member.remote_is`."""
        if problem is None:
            self.host.restore()
        else:
            self.host.degrade(problem)

    def mac_moved(self, record: Vl2Record) -> None:
        """See `Reader.mac_moved`."""
        self.forget(record.mac)
        if self._doubts is not None:
            self._doubts.put(record)

    def address_moved(self, record: Vl3Record, answer: Vl3Ack) -> None:
        """See `Reader.address_moved`."""
        self.announce(record, answer)
        if self._doubts is not None:
            self._doubts.put(record)

    def shot_down(self, mac: MacAddress, sender: IpAddress) -> None:
        """See `shootdown.Target.shot_down`."""
        known = self._targets.get(bytes(mac), _now())
        if known is not None and known.ip == sender:
            self.forget(mac)

    def forget(self, mac: MacAddress) -> None:
        """Have a MAC asked for anew."""
        self._targets.forget(bytes(mac))
        self.host.invalidate(mac)

    async def _find_target(self, mac: bytes) -> Answer:
        remote = self.servers()
        stale = self._targets.get(mac, _now())
        if stale is not None and not remote.is_healthy:
            return stale
        answer = await remote.ask(Vl2Request(MacAddress(mac), self.host.vnetid))
        if not isinstance(answer, Vl2Ack) or answer.status not in (Status.OK, Status.NOT_FOUND):
            if stale is not None:
                return stale
            raise ServerError(f"the SVP server says nothing of {MacAddress(mac)}: {_words(answer)}")
        if answer.status is Status.NOT_FOUND:
            self._targets.forget(mac)
            return DROP
        target = _target(answer)
        self._targets.put(mac, target, _now())
        return target

    async def _find_mac(self, address: IpAddress) -> NeighbourAnswer:
        remote = self.servers()
        stale = self._macs.get(address, _now())
        if stale is not None and not remote.is_healthy:
            return stale
        answer = await remote.ask(Vl3Request(address, self.host.vnetid))
        if not isinstance(answer, Vl3Ack) or answer.status not in (Status.OK, Status.NOT_FOUND):
            if stale is not None:
                return stale
            raise ServerError(f"the SVP server says nothing of {address}: {_words(answer)}")
        if answer.status is Status.NOT_FOUND:
            self._macs.forget(address)
            return DROP
        self._keep(address, answer)
        return answer.mac

    def _keep(self, address: IpAddress, answer: Vl3Ack) -> None:
        """Keep who has an address, and have frames to it go there before anybody asks.

        Raises:
            ServerError: it is no MAC of a host, or no place.
            TargetInvalid: frames cannot be sent there.
        """
        if answer.mac[0] & _GROUP_BIT or not any(answer.mac):
            raise ServerError(f"the SVP server says that {answer.mac} has {address}")
        target = _target(answer)
        self.host.set_target(answer.mac, target)
        self._targets.put(bytes(answer.mac), target, _now())
        self._macs.put(address, answer.mac, _now())

    def announce(self, record: Vl3Record, answer: Vl3Ack) -> None:
        """Tell guests who has an address, if it is another one than they were told of last."""
        before = self._macs.forget(record.ip)
        if answer.status is not Status.OK:
            return
        try:
            self._keep(record.ip, answer)
        except (ServerError, TargetInvalid) as error:
            self.host.log.warning("SVP answer refused", address=str(record.ip), why=str(error))
            return
        if answer.mac != before:
            vlan = record.vlan if 1 <= record.vlan <= _VLAN_MAX else None
            self.host.inject_arp(answer.mac, record.ip, vlan=vlan)

    def servers(self) -> Remote:
        """Return who is asked. Raises: ServerError, the instance is stopped."""
        if self._remote is None:
            raise ServerError("the instance is stopped")
        return self._remote


async def _do_again(instance: SvpPlugin, record: Record) -> None:
    """Do a record of the log again."""
    if isinstance(record, Vl2Record):
        instance.forget(record.mac)
        return
    answer = await instance.servers().ask(Vl3Request(record.ip, record.vnetid))
    if isinstance(answer, Vl3Ack) and answer.status in (Status.OK, Status.NOT_FOUND):
        instance.announce(record, answer)


async def _work(host: Host, remote: Remote) -> None:
    """Take part in the work for the servers' connections and log."""
    log = Log(remote, remote.key.underlay_ip, partial(_readers, remote), host.log)
    while True:
        try:
            await remote.work(host.log, log.follow)
        except* Exception as group:
            # Those who share the servers must not go without because of one fault.
            for fault in group.exceptions:
                host.log.warning("SVP work failed", why=f"{type(fault).__name__}: {fault}")
        await asyncio.sleep(AGAIN)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _target(answer: Vl2Ack | Vl3Ack) -> Target:
    """Return the place in an answer. Raises: ServerError, there is none."""
    if answer.port == 0:
        raise ServerError("the SVP server names port 0")
    return Target(ip=answer.ip, port=answer.port)


def _listener(host: Host, address: IpAddress, port: int) -> Listener:
    """Return who hears shootdowns there. Raises: PropertyInvalid, it cannot be."""
    try:
        return host.shared(f"shootdown {address} {port}", partial(Listener, address, port))
    except OSError as error:
        raise PropertyInvalid(SHOOTDOWN, "listen", str(error)) from error


def _readers(remote: Remote) -> list[SvpPlugin]:
    return [each for each in remote.members if isinstance(each, SvpPlugin)]


def _words(answer: object) -> str:
    return answer.status.name if isinstance(answer, Vl2Ack | Vl3Ack) else type(answer).__name__
