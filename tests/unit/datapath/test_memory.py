"""The datapath in memory, as a host among hosts; what all datapaths do is in the contract suite."""

from ipaddress import IPv4Address

import pytest

from varpd.datapath.base import DatapathError, DatapathErrorCode, Link
from varpd.datapath.encapsulation import VXLAN
from varpd.datapath.memory import PUNT_ROOM, MemoryDatapath, MemoryUnderlay
from varpd.engine.commands import AskUsage, Install, Resend
from varpd.engine.events import (
    Event,
    FramesPunted,
    LocalAddressesChanged,
    PortsSeen,
    RowsAdopted,
    RowsRefused,
    UsageReported,
)
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

A, B = (bytes((2, 0, 0, 0, 0, number)) for number in (1, 2))
LEFT, RIGHT = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")


def frame(dst: bytes, src: bytes) -> bytes:
    return dst + src + b"\x88\xb5" + bytes(46)


def link(listen_ip: IPv4Address, name: str = "blue", vnetid: int = 7) -> Link:
    return Link(
        name=name,
        vnetid=vnetid,
        encapsulation="vxlan",
        mode=Mode.DYNAMIC,
        number=1,
        listen_ip=listen_ip,
        listen_port=4789,
    )


class Host:
    """A datapath and what it told."""

    def __init__(self, underlay: MemoryUnderlay, ip: IPv4Address) -> None:
        self.events: list[Event] = []
        self.ip = ip
        self.datapath = MemoryDatapath(self.events.append, underlay, [ip], clock=lambda: 0.0)

    @property
    def target(self) -> Target:
        return Target(self.ip, 4789)


async def started(underlay: MemoryUnderlay, ip: IPv4Address) -> Host:
    host = Host(underlay, ip)
    await host.datapath.start()
    await host.datapath.open(link(ip))
    return host


async def test_two_hosts_on_one_underlay_reach_each_other() -> None:
    underlay = MemoryUnderlay()
    left, right = await started(underlay, LEFT), await started(underlay, RIGHT)
    here = left.datapath.attach("blue", "guest")
    there = right.datapath.attach("blue", "guest")

    left.datapath.apply([Install("blue", right.target, [B], [])])
    here.send(frame(B, A))
    assert there.frames == [frame(B, A)]


async def test_frames_of_one_overlay_reach_no_other_on_the_same_address() -> None:
    underlay = MemoryUnderlay()
    left, right = await started(underlay, LEFT), await started(underlay, RIGHT)
    await right.datapath.open(link(RIGHT, "red", vnetid=8))
    blue = right.datapath.attach("blue", "guest")
    red = right.datapath.attach("red", "guest")

    left.datapath.apply([Resend("blue", right.target, [VXLAN.pack_header(8) + frame(B, A)])])
    assert (blue.frames, red.frames) == ([], [frame(B, A)])


async def test_what_is_no_packet_of_ours_is_dropped() -> None:
    underlay = MemoryUnderlay()
    right = await started(underlay, RIGHT)
    guest = right.datapath.attach("blue", "guest")
    assert underlay.send(right.target, b"junk")
    assert guest.frames == []


async def test_events_come_from_the_event_loop_and_not_from_inside_apply() -> None:
    host = await started(MemoryUnderlay(), LEFT)
    host.datapath.refuse[A] = "no room"
    host.events.clear()
    host.datapath.apply([Install("blue", Target(RIGHT, 4789), [A], [])])
    assert host.events == []

    await host.datapath.settle()
    assert host.events == [RowsRefused("blue", [A], "no room")]


async def test_a_datapath_finds_what_another_left() -> None:
    underlay = MemoryUnderlay()
    left, right = await started(underlay, LEFT), await started(underlay, RIGHT)
    guest = left.datapath.attach("blue", "guest")
    left.datapath.apply([Install("blue", right.target, [B], [])])
    left.events.clear()
    told: list[Event] = []
    new = MemoryDatapath(told.append, underlay, [LEFT], left_by=left.datapath)
    await new.start()
    await new.open(link(LEFT))
    await new.settle()

    assert told[1:] == [
        RowsAdopted("blue", [(B, (right.target,))], []),
        PortsSeen("blue", ("guest",)),
    ]
    guest.send(frame(A, B))
    left.datapath.apply([Install("blue", right.target, [A], [])])
    await new.settle()
    assert [type(event) for event in told[3:]] == [FramesPunted]
    assert left.events == [], "whoever was killed is told nothing"


async def test_usage_is_reported() -> None:
    host = await started(MemoryUnderlay(), LEFT)
    host.datapath.apply([Install("blue", Target(RIGHT, 4789), [A], [])])
    host.datapath.apply([AskUsage("blue", [A, B])])
    await host.datapath.settle()
    assert host.events[-1] == UsageReported("blue", [A, B], [0.0, None])


async def test_frames_punted_into_a_full_queue_are_lost_and_counted() -> None:
    host = await started(MemoryUnderlay(), LEFT)
    guest = host.datapath.attach("blue", "guest")
    for _ in range(PUNT_ROOM + 5):
        guest.send(frame(B, A))
    await host.datapath.settle()

    punted = [event for event in host.events if isinstance(event, FramesPunted)]
    # Two events of the room are that the port was seen and the guest was learned.
    assert len(punted) == PUNT_ROOM - 2
    assert host.datapath.lost == 7


async def test_other_addresses_are_told() -> None:
    host = await started(MemoryUnderlay(), LEFT)
    host.datapath.set_addresses([LEFT, RIGHT])
    await host.datapath.settle()
    assert host.events[-1] == LocalAddressesChanged(frozenset({LEFT, RIGHT}))


async def test_ports_stay_where_they_are_when_an_overlay_is_opened_anew() -> None:
    underlay = MemoryUnderlay()
    host = await started(underlay, LEFT)
    guest = host.datapath.attach("blue", "guest")
    await host.datapath.open(link(LEFT, vnetid=9))

    underlay.send(host.target, VXLAN.pack_header(9) + frame(A, B))
    assert guest.frames == [frame(A, B)]


async def test_a_stopped_datapath_carries_on_but_tells_nothing() -> None:
    underlay = MemoryUnderlay()
    left, right = await started(underlay, LEFT), await started(underlay, RIGHT)
    here = left.datapath.attach("blue", "guest")
    there = right.datapath.attach("blue", "guest")
    left.datapath.apply([Install("blue", right.target, [B], [])])
    await left.datapath.stop()
    left.events.clear()

    here.send(frame(B, A))
    here.send(frame(b"\x02\x00\x00\x00\x00\x09", A))
    await left.datapath.settle()
    assert there.frames == [frame(B, A)]
    assert left.events == []
    with pytest.raises(DatapathError, match="not running"):
        await left.datapath.open(link(LEFT))


async def test_an_unknown_encapsulation_is_refused() -> None:
    host = Host(MemoryUnderlay(), LEFT)
    await host.datapath.start()
    wanted = Link("blue", 7, "morse", Mode.DYNAMIC, 1, LEFT, 4789)
    with pytest.raises(DatapathError, match="no encapsulation morse") as refused:
        await host.datapath.open(wanted)
    assert refused.value.code is DatapathErrorCode.UNSUPPORTED


def test_an_underlay_has_one_receiver_for_each_address_and_port() -> None:
    underlay = MemoryUnderlay()
    got: list[bytes] = []
    underlay.attach(LEFT, 4789, got.append)
    with pytest.raises(ValueError, match=r"192\.0\.2\.1:4789"):
        underlay.attach(LEFT, 4789, got.append)

    assert underlay.send(Target(LEFT, 4789), b"packet")
    assert not underlay.send(Target(LEFT, 4790), b"packet")
    assert not underlay.send(Target(LEFT), b"packet")
    underlay.detach(LEFT, 4789)
    assert not underlay.send(Target(LEFT, 4789), b"packet")
    assert got == [b"packet"]
