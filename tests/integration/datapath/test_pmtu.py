"""Packets too big for the underlay: varpd answers for cold frames as the kernel does for warm."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig

from support.linux_host import Recorder, make_link, run, running, target
from support.namespaces import Namespace, connect
from support.scapy_oracle import IP, Ether, IPv6, Raw
from support.waiting import until
from varpd.datapath.encapsulation import VXLAN
from varpd.engine.commands import Install
from varpd.engine.events import FramesPunted

pytestmark = pytest.mark.integration

GUEST, REMOTE = "02:00:00:00:00:01", "02:00:00:00:00:02"
REMOTE_MAC = bytes.fromhex(REMOTE.replace(":", ""))
UNDERLAY_MTU = 1400
"""Less than that of any interface here but the one that leads to the target."""


def ping(version: int, size: int, *, fragments: bool = False) -> bytes:
    if version == 4:
        inner = IP(src="10.1.0.1", dst="10.1.0.2", flags="" if fragments else "DF")
        return bytes(Ether(src=GUEST, dst=REMOTE) / inner / ICMP() / Raw(bytes(size - 28)))
    echo = ICMPv6EchoRequest(data=bytes(size - 48))
    return bytes(Ether(src=GUEST, dst=REMOTE) / IPv6(src="fd00::1", dst="fd00::2") / echo)


@dataclass
class Wire:
    """A guest, a host and a VTEP far away behind a narrow underlay."""

    host: Namespace
    guest: socket.socket
    vtep: socket.socket
    listen_ip: str
    far: str

    async def told(self) -> list[Ether]:
        """Wait for ICMP errors that the guest gets, and return them."""
        frames: list[Ether] = []

        def read() -> bool:
            frames.extend(self.read_errors())
            return bool(frames)

        await until(read)
        return frames

    def read_errors(self) -> list[Ether]:
        """Return the ICMP errors that the guest has got and that were not read yet."""
        return [
            frame
            for frame in map(Ether, _read(self.guest))
            if frame.dst == GUEST
            and ((ICMP in frame and frame[ICMP].type == 3) or ICMPv6PacketTooBig in frame)
        ]

    async def arrived(self, count: int) -> list[bytes]:
        """Wait for packets far away, and return them."""
        packets: list[bytes] = []

        def read() -> bool:
            packets.extend(_read(self.vtep))
            return len(packets) >= count

        await until(read)
        return packets


def _read(receiver: socket.socket) -> list[bytes]:
    packets = []
    try:
        while True:
            packets.append(receiver.recv(65536))
    except BlockingIOError:
        return packets


@pytest.fixture(params=["ipv4 underlay", "ipv6 underlay"])
def path(request: pytest.FixtureRequest) -> Iterator[Wire]:
    v6 = request.param == "ipv6 underlay"
    listen_ip, far = ("2001:db8:1::1", "2001:db8:1::2") if v6 else ("198.51.100.1", "198.51.100.2")
    with ExitStack() as stack:
        host, there, home = (
            stack.enter_context(Namespace(name)) for name in ("host", "far", "guest")
        )
        connect(host, "eth0", there, "eth0")
        for namespace, ip in ((host, listen_ip), (there, far)):
            nodad = ("nodad",) if v6 else ()
            namespace.run(
                *("ip", "address", "add", f"{ip}/{64 if v6 else 24}", "dev", "eth0", *nodad)
            )
            namespace.run("ip", "link", "set", "eth0", "mtu", str(UNDERLAY_MTU))
        with home.entered():
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        connect(home, "guest", host, "port")
        with home.entered():
            guest = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            guest.setblocking(False)
            guest.bind(("guest", 0x0003))
        with there.entered():
            family = socket.AF_INET6 if v6 else socket.AF_INET
            vtep = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            vtep.setblocking(False)
            vtep.bind((far, 4789))
        with host.entered():
            yield Wire(host, guest, vtep, listen_ip, far)


@pytest.mark.parametrize("version", [4, 6])
async def test_a_cold_packet_is_answered_as_a_warm_one_is(path: Wire, version: int) -> None:
    sink = Recorder()
    fits = UNDERLAY_MTU - VXLAN.overhead(6 if ":" in path.far else 4)
    async with running(sink) as datapath:
        await datapath.open(make_link(listen_ip=path.listen_ip))
        await run(path.host, "ip", "link", "set", "port", "master", "blue")
        path.guest.send(ping(version, 1500))
        await until(lambda: bool(sink.of(FramesPunted)))
        (punt,) = sink.of(FramesPunted)

        # Cold: the row comes with the frame that asked for it.
        datapath.apply([Install("blue", target(path.far), [REMOTE_MAC], punt.packets)])
        cold = await path.told()
        await datapath.settle()

        # Warm: the kernel has the row.
        path.guest.send(ping(version, 1500))
        warm = await path.told()
        await datapath.close("blue")

    error = cold[0][ICMP].nexthopmtu if version == 4 else cold[0][ICMPv6PacketTooBig].mtu
    assert error == fits
    assert list(map(bytes, cold)) == list(map(bytes, warm))
    assert await path.arrived(0) == []


async def test_cold_packets_that_fit_or_may_be_cut_arrive_whole(path: Wire) -> None:
    sink = Recorder()
    fits = UNDERLAY_MTU - VXLAN.overhead(6 if ":" in path.far else 4)
    sent = [ping(4, fits), ping(4, 1500, fragments=True), ping(6, fits)]
    async with running(sink) as datapath:
        await datapath.open(make_link(listen_ip=path.listen_ip))
        await run(path.host, "ip", "link", "set", "port", "master", "blue")
        for frame in sent:
            path.guest.send(frame)
        await until(lambda: sum(len(event.packets) for event in sink.of(FramesPunted)) == len(sent))
        packets = [packet for event in sink.of(FramesPunted) for packet in event.packets]
        datapath.apply([Install("blue", target(path.far), [REMOTE_MAC], packets)])

        arrived = await path.arrived(len(sent))
        await datapath.close("blue")

    assert [packet[VXLAN.header_size :] for packet in arrived] == sent
    assert path.read_errors() == []
