"""What every datapath must do, tried on each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest

from contract.datapaths import LinuxWorld, MemoryWorld, World, frame, mac
from support.waiting import until
from varpd.datapath.base import DatapathError, DatapathErrorCode, Row
from varpd.datapath.counters import OverlayCounters
from varpd.datapath.encapsulation import VXLAN
from varpd.engine.commands import (
    AskUsage,
    CheckRows,
    Inject,
    Install,
    InstallReplicas,
    RemoveRows,
    Resend,
    SetDefaultTarget,
)
from varpd.engine.events import (
    FoundRow,
    FramesPunted,
    LocalAddressesChanged,
    MacsForgotten,
    MacsLearned,
    PortsSeen,
    RowsAdopted,
    RowsFound,
    RowsRefused,
    RowsTouched,
    UsageReported,
)
from varpd.engine.settings import Mode
from varpd.net.addresses import BROADCAST, ZERO

HEADER = VXLAN.pack_header(7)
GUEST, OTHER, REMOTE = mac(1), mac(2), mac(99)
GROUP = bytes.fromhex("01005e010203")

MAKERS: dict[str, Callable[[ExitStack], World]] = {
    "memory": lambda _: MemoryWorld(),
    "linux-ipv4": lambda stack: LinuxWorld(stack, ipv6=False),
    "linux-ipv6": lambda stack: LinuxWorld(stack, ipv6=True),
}


@pytest.fixture(
    params=[
        pytest.param(name, marks=() if name == "memory" else pytest.mark.integration)
        for name in MAKERS
    ]
)
def closed_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose datapath has not started."""
    with ExitStack() as stack:
        yield MAKERS[request.param](stack)


@pytest.fixture
async def started(closed_world: World) -> AsyncIterator[World]:
    """A world whose datapath runs."""
    await closed_world.datapath.start()
    yield closed_world
    await closed_world.datapath.stop()


@pytest.fixture
async def world(started: World) -> AsyncIterator[World]:
    """A world with the overlay `blue`, and a guest on it."""
    await started.datapath.open(started.link())
    await started.attach(0)
    yield started
    await started.datapath.close("blue")


def by_mac(rows: list[Row]) -> dict[bytes, set[str]]:
    return {row.mac: {str(target) for target in row.targets} for row in rows}


async def test_the_addresses_of_this_host_are_told_before_start_returns(started: World) -> None:
    first = started.of(LocalAddressesChanged)[0]
    assert started.listen_ip in first.addresses


async def test_an_address_that_comes_is_told(started: World) -> None:
    await started.add_address()
    await until(
        lambda: started.other_ip in started.of(LocalAddressesChanged)[-1].addresses,
    )
    assert started.listen_ip in started.of(LocalAddressesChanged)[-1].addresses


async def test_its_encapsulations_are_named(started: World) -> None:
    assert started.datapath.name
    assert VXLAN.name in started.datapath.encapsulations


async def test_opening_again_changes_nothing(world: World) -> None:
    before = await world.datapath.state("blue")
    world.datapath.apply([Install("blue", world.far, [REMOTE], [])])
    again = await world.datapath.open(world.link())

    await world.datapath.settle()
    assert again == before
    assert by_mac(await world.datapath.dump("blue")) == {REMOTE: {str(world.far)}}


async def test_the_state_names_bridge_device_mtu_and_ports(world: World) -> None:
    state = await world.datapath.state("blue")
    assert (state.bridge, state.device, state.mtu) == ("blue", "vx-blue", 1500)
    assert state.ports == ("port0",)


async def test_guests_ports_are_told_when_they_come_and_after_a_restart(world: World) -> None:
    def told() -> set[str]:
        seen = world.of(PortsSeen)
        return set(seen[-1].ports) if seen else set()

    await world.attach(1)
    ports = set((await world.datapath.state("blue")).ports)
    assert len(ports) == 2
    await until(lambda: told() == ports)
    await world.restart()
    assert told() == set()
    await world.datapath.open(world.link())
    await until(lambda: told() == ports)


async def test_the_mtu_can_be_changed(world: World) -> None:
    state = await world.datapath.change(world.link(mtu=1400))
    assert state.mtu == 1400
    assert await world.datapath.state("blue") == state


async def test_an_overlay_that_is_not_there_has_no_state_and_no_rows(started: World) -> None:
    with pytest.raises(DatapathError, match="red"):
        await started.datapath.state("red")
    assert await started.datapath.dump("red") == []


async def test_closing_leaves_nothing_and_may_be_repeated(started: World) -> None:
    await started.datapath.open(started.link())
    started.datapath.apply([Install("blue", started.far, [REMOTE], [])])
    await started.datapath.close("blue")
    await started.datapath.close("blue")

    assert await started.leftovers() == []
    with pytest.raises(DatapathError):
        await started.datapath.state("blue")


async def test_an_overlay_may_come_back(world: World) -> None:
    world.datapath.apply([Install("blue", world.far, [REMOTE], [])])
    await world.datapath.close("blue")
    await world.datapath.open(world.link())
    assert await world.datapath.dump("blue") == []


def adopted(world: World) -> dict[bytes, set[str]]:
    """Return the rows that were told as adopted; none of them torn."""
    assert [event.torn for event in world.of(RowsAdopted) if event.torn] == []
    found = [row for event in world.of(RowsAdopted) for row in event.rows]
    assert len(found) == len(dict(found))
    return {mac: {str(target) for target in targets} for mac, targets in found}


async def test_rows_of_an_earlier_life_are_told_and_stay(world: World) -> None:
    many = {mac(number): {str(world.farther)} for number in range(1000, 2500)}
    world.datapath.apply(
        [
            Install("blue", world.far, [REMOTE], []),
            Install("blue", world.farther, list(many), []),
            InstallReplicas("blue", GROUP, (world.far, world.farther)),
        ]
    )
    await world.datapath.settle()
    await world.restart()
    state = await world.datapath.open(world.link())
    await world.datapath.settle()

    expected = many | {REMOTE: {str(world.far)}, GROUP: {str(world.far), str(world.farther)}}
    assert adopted(world) == expected
    assert state.ports == ("port0",)
    assert by_mac(await world.datapath.dump("blue")) == expected


async def test_frames_flow_on_over_rows_that_are_taken_over(world: World) -> None:
    world.datapath.apply([Install("blue", world.far, [REMOTE], [])])
    await world.datapath.settle()
    before, between, after = (frame(REMOTE, GUEST, number) for number in range(3))
    world.guest_sends(0, before)
    await world.restart()
    world.guest_sends(0, between)
    await world.datapath.open(world.link())
    world.guest_sends(0, after)

    wanted = [HEADER + sent for sent in (before, between, after)]
    await until(lambda: world.arrived(world.far) == wanted)
    assert world.punted() == []


async def test_rows_are_told_before_the_first_punted_frame(world: World) -> None:
    world.datapath.apply([Install("blue", world.far, [REMOTE], [])])
    await world.datapath.settle()
    await world.restart()
    await world.datapath.open(world.link())
    world.guest_sends(0, frame(OTHER, GUEST))
    await until(lambda: bool(world.punted()))

    kinds = [type(event) for event in world.events]
    assert kinds.index(RowsAdopted) < kinds.index(FramesPunted)


async def test_adopted_rows_are_replaced_and_removed_like_any_other(world: World) -> None:
    world.datapath.apply(
        [
            Install("blue", world.far, [REMOTE, OTHER], []),
            InstallReplicas("blue", GROUP, (world.far,)),
        ]
    )
    await world.datapath.settle()
    await world.restart()
    await world.datapath.open(world.link())
    world.datapath.apply(
        [
            Install("blue", world.farther, [REMOTE], []),
            RemoveRows("blue", [OTHER]),
            InstallReplicas("blue", GROUP, (world.farther,)),
        ]
    )
    await world.datapath.settle()
    await until(lambda: not world.of(RowsRefused))
    assert by_mac(await world.datapath.dump("blue")) == {
        REMOTE: {str(world.farther)},
        GROUP: {str(world.farther)},
    }


async def test_a_point_overlay_keeps_its_target_over_a_restart(started: World) -> None:
    link = started.link(mode=Mode.POINT, default=started.far)
    await started.datapath.open(link)
    await started.attach(0)
    await started.restart()
    sent = [frame(REMOTE, GUEST, number) for number in range(2)]
    started.guest_sends(0, sent[0])
    await started.datapath.open(link)
    started.guest_sends(0, sent[1])

    await until(lambda: started.arrived(started.far) == [HEADER + one for one in sent])
    assert started.of(RowsAdopted) == []
    assert await started.datapath.dump("blue") == [Row(ZERO, (started.far,))]
    await started.datapath.close("blue")
    assert await started.leftovers() == []


async def test_links_that_do_not_fit_are_made_anew_with_the_guests_ports(world: World) -> None:
    world.datapath.apply([Install("blue", world.far, [REMOTE], [])])
    await world.datapath.settle()
    await world.restart()
    state = await world.datapath.open(world.link(vnetid=8))

    assert state.ports == ("port0",)
    assert world.of(RowsAdopted) == []
    assert await world.datapath.dump("blue") == []
    sent = frame(REMOTE, GUEST)
    world.guest_sends(0, sent)
    await until(lambda: world.punted() == [VXLAN.pack_header(8) + sent])


async def test_a_failed_open_names_the_reason_and_leaves_nothing(started: World) -> None:
    with pytest.raises(DatapathError) as refused:
        await started.datapath.open(started.link(listen_ip=started.other_ip))
    assert refused.value.code is DatapathErrorCode.NO_SUCH_ADDRESS
    assert str(started.other_ip) in str(refused.value)
    assert await started.leftovers() == []


async def test_a_vnetid_is_given_once(world: World) -> None:
    with pytest.raises(DatapathError) as refused:
        await world.datapath.open(world.link("red", number=2))
    assert refused.value.code is DatapathErrorCode.VNETID_TAKEN
    with pytest.raises(DatapathError):
        await world.datapath.state("red")


async def test_a_frame_to_an_unknown_mac_is_punted_with_its_header(world: World) -> None:
    sent = frame(REMOTE, GUEST)
    world.guest_sends(0, sent)
    await until(lambda: bool(world.punted()))
    assert world.punted() == [HEADER + sent]


async def test_broadcast_is_punted_and_reaches_the_other_guests(world: World) -> None:
    await world.attach(1)
    sent = frame(BROADCAST, GUEST)
    world.guest_sends(0, sent)
    await until(lambda: world.punted() == [HEADER + sent] and world.guest_frames(1) == [sent])
    assert world.guest_frames(0) == []


async def test_punts_come_from_their_own_overlay(world: World) -> None:
    await world.datapath.open(world.link("red", vnetid=8, number=2))
    await world.attach(1, "red")
    sent = frame(REMOTE, OTHER)
    world.guest_sends(1, sent)
    await until(lambda: bool(world.punted("red")))
    await world.datapath.close("red")

    assert world.punted("red") == [VXLAN.pack_header(8) + sent]
    assert world.punted("blue") == []


async def test_after_an_install_frames_go_to_the_target_alone(world: World) -> None:
    await world.attach(1)
    first, second = frame(REMOTE, GUEST, 1), frame(REMOTE, GUEST, 2)
    world.datapath.apply([Install("blue", world.far, [REMOTE], [HEADER + first])])
    await world.datapath.settle()
    world.guest_sends(0, second)

    await until(lambda: len(world.arrived(world.far)) == 2)
    assert sorted(world.arrived(world.far)) == sorted([HEADER + first, HEADER + second])
    assert world.punted() == []
    assert world.guest_frames(1) == []


async def test_a_mac_that_moves_is_followed(world: World) -> None:
    world.datapath.apply(
        [
            Install("blue", world.far, [REMOTE], []),
            Install("blue", world.farther, [REMOTE], []),
        ]
    )
    await world.datapath.settle()
    sent = frame(REMOTE, GUEST)
    world.guest_sends(0, sent)

    await until(lambda: world.arrived(world.farther) == [HEADER + sent])
    assert world.arrived(world.far) == []
    assert by_mac(await world.datapath.dump("blue")) == {REMOTE: {str(world.farther)}}


async def test_a_removed_row_punts_again(world: World) -> None:
    world.datapath.apply(
        [Install("blue", world.far, [REMOTE, OTHER], []), RemoveRows("blue", [REMOTE])]
    )
    await world.datapath.settle()
    world.guest_sends(0, frame(REMOTE, GUEST))

    await until(lambda: bool(world.punted()))
    assert by_mac(await world.datapath.dump("blue")) == {OTHER: {str(world.far)}}


async def test_removing_what_is_not_there_is_no_error(world: World) -> None:
    world.datapath.apply([RemoveRows("blue", [REMOTE])])
    await world.datapath.settle()
    assert world.of(RowsRefused) == []


async def test_the_last_of_many_commands_counts(world: World) -> None:
    commands: list[Install | RemoveRows] = []
    for turn in range(50):
        target = world.far if turn % 2 else world.farther
        commands.append(Install("blue", target, [mac(number) for number in range(100, 130)], []))
        commands.append(RemoveRows("blue", [mac(100 + turn % 30)]))
    world.datapath.apply(commands)
    await world.datapath.settle()

    rows = by_mac(await world.datapath.dump("blue"))
    expected = {mac(number): {str(world.far)} for number in range(100, 130)}
    del expected[mac(100 + 49 % 30)]
    assert rows == expected


async def test_a_refused_row_is_reported_and_nothing_of_it_is_left(world: World) -> None:
    refused, target = world.refuse(50)
    world.datapath.apply([Install("blue", target, [refused], [])])
    await world.datapath.settle()
    await until(lambda: bool(world.of(RowsRefused)))

    (event,) = world.of(RowsRefused)
    assert (event.overlay, event.macs) == ("blue", [refused])
    assert event.error
    assert await world.datapath.dump("blue") == []
    # Were half of it left, the bridge would send this to the tunnel alone.
    await world.attach(1)
    world.guest_sends(0, frame(refused, GUEST))
    await until(lambda: bool(world.guest_frames(1)) and bool(world.punted()))


async def test_a_row_whose_replacement_is_refused_goes_too(world: World) -> None:
    world.datapath.apply([Install("blue", world.far, [mac(50)], [])])
    await world.datapath.settle()
    refused, target = world.refuse(50)
    world.datapath.apply([Install("blue", target, [refused], [])])
    await world.datapath.settle()
    await until(lambda: bool(world.of(RowsRefused)))
    assert await world.datapath.dump("blue") == []


async def test_resent_frames_arrive_in_order(world: World) -> None:
    packets = [HEADER + frame(REMOTE, GUEST, number) for number in range(100)]
    world.datapath.apply([Resend("blue", world.far, packets)])
    await until(lambda: len(world.arrived(world.far)) == 100)
    assert world.arrived(world.far) == packets
    assert await world.datapath.dump("blue") == []


async def test_an_injected_frame_reaches_the_guests(world: World) -> None:
    await world.attach(1)
    injected = [frame(BROADCAST, REMOTE, number) for number in range(3)]
    world.datapath.apply([Inject("blue", injected)])
    await until(lambda: len(world.guest_frames(0)) == len(world.guest_frames(1)) == 3)
    assert world.guest_frames(0) == injected
    assert world.punted() == []


async def test_an_injected_frame_comes_behind_the_rows_asked_for_before(world: World) -> None:
    macs = [mac(number) for number in range(1000, 1500)]
    injected = frame(GUEST, REMOTE)
    world.datapath.apply([Install("blue", world.far, macs, []), Inject("blue", [injected])])
    await until(lambda: world.guest_frames(0) == [injected])
    # The guest answers at once, to the MAC whose row was written last.
    sent = frame(macs[-1], GUEST)
    world.guest_sends(0, sent)

    await until(lambda: world.arrived(world.far) == [HEADER + sent])
    assert world.punted() == []


async def test_a_frame_from_far_away_reaches_its_guest(world: World) -> None:
    world.guest_sends(0, frame(REMOTE, GUEST))
    await until(lambda: bool(world.of(MacsLearned)))
    received = frame(GUEST, REMOTE)
    world.far_sends(HEADER + received)
    await until(lambda: world.guest_frames(0) == [received])


async def test_a_frame_of_another_network_reaches_nobody(world: World) -> None:
    world.far_sends(VXLAN.pack_header(9) + frame(GUEST, REMOTE, 1))
    last = frame(GUEST, REMOTE, 2)
    world.far_sends(HEADER + last)
    await until(lambda: bool(world.guest_frames(0)))
    assert world.guest_frames(0) == [last]


async def test_guests_are_told_as_learned_and_forgotten_when_they_get_a_row(
    world: World,
) -> None:
    world.guest_sends(0, frame(REMOTE, GUEST))
    await until(lambda: any(GUEST in event.macs for event in world.of(MacsLearned)))

    world.datapath.apply([Install("blue", world.far, [GUEST], [])])
    await until(lambda: any(GUEST in event.macs for event in world.of(MacsForgotten)))


async def test_a_guest_that_sends_with_a_remote_mac_moves_no_row(world: World) -> None:
    await world.attach(1)
    world.datapath.apply([Install("blue", world.far, [REMOTE], [])])
    await world.datapath.settle()
    world.guest_sends(1, frame(BROADCAST, REMOTE, 1))
    await until(lambda: bool(world.guest_frames(0)))
    sent = frame(REMOTE, GUEST, 2)
    world.guest_sends(0, sent)

    await until(lambda: world.arrived(world.far) == [HEADER + sent])
    assert world.guest_frames(1) == []


async def test_a_group_mac_is_replicated_to_its_targets(world: World) -> None:
    world.datapath.apply([InstallReplicas("blue", GROUP, (world.far, world.farther))])
    await world.datapath.settle()
    sent = frame(GROUP, GUEST)
    world.guest_sends(0, sent)

    await until(lambda: world.arrived(world.far) == world.arrived(world.farther) == [HEADER + sent])
    assert world.punted() == []
    assert by_mac(await world.datapath.dump("blue")) == {
        GROUP: {str(world.far), str(world.farther)}
    }


async def test_the_targets_of_a_group_mac_are_replaced_and_removed(world: World) -> None:
    world.datapath.apply(
        [
            InstallReplicas("blue", GROUP, (world.far,)),
            InstallReplicas("blue", GROUP, (world.farther,)),
        ]
    )
    await world.datapath.settle()
    world.datapath.apply([InstallReplicas("blue", GROUP, (world.farther, world.far))])
    world.datapath.apply([InstallReplicas("blue", GROUP, (world.farther,))])
    await world.datapath.settle()
    assert by_mac(await world.datapath.dump("blue")) == {GROUP: {str(world.farther)}}

    world.datapath.apply([InstallReplicas("blue", GROUP, ())])
    await world.datapath.settle()
    assert await world.datapath.dump("blue") == []
    world.guest_sends(0, frame(GROUP, GUEST))
    await until(lambda: bool(world.punted()))


async def test_a_refused_group_mac_is_reported_and_has_no_row(world: World) -> None:
    world.datapath.apply([InstallReplicas("blue", GROUP, (world.far, world.strange))])
    await world.datapath.settle()
    await until(lambda: bool(world.of(RowsRefused)))
    assert [event.macs for event in world.of(RowsRefused)] == [[GROUP]]
    assert await world.datapath.dump("blue") == []


async def test_usage_is_reported_for_each_row(world: World) -> None:
    world.datapath.apply([Install("blue", world.far, [REMOTE], [])])
    world.datapath.apply([AskUsage("blue", [REMOTE, OTHER])])
    await until(lambda: bool(world.of(UsageReported)))

    (event,) = world.of(UsageReported)
    used, unknown = event.idle
    assert (event.overlay, event.macs) == ("blue", [REMOTE, OTHER])
    assert used is not None
    assert used >= 0
    assert unknown is None


async def found(world: World, *macs: bytes) -> list[FoundRow | None]:
    """Return what a check finds."""
    before = len(world.of(RowsFound))
    world.datapath.apply([CheckRows("blue", [*macs])])
    await until(lambda: len(world.of(RowsFound)) > before)
    event = world.of(RowsFound)[-1]
    assert (event.overlay, event.macs) == ("blue", [*macs])
    return [*event.found]


async def test_a_check_finds_what_was_asked_for_before_it(world: World) -> None:
    world.datapath.apply(
        [
            Install("blue", world.far, [REMOTE], []),
            InstallReplicas("blue", GROUP, (world.far, world.farther)),
        ]
    )
    unicast, none, group = await found(world, REMOTE, OTHER, GROUP)
    assert unicast == FoundRow((world.far,), bridged=True)
    assert none == FoundRow()
    assert group is not None
    assert set(group.targets) == {world.far, world.farther}
    assert not group.fault


async def test_a_check_finds_what_somebody_else_did(world: World) -> None:
    world.datapath.apply([Install("blue", world.far, [REMOTE, OTHER], [])])
    await world.datapath.settle()
    await world.tamper(REMOTE, world.farther)
    await world.tamper(OTHER, None)
    changed, removed = await found(world, REMOTE, OTHER)
    assert changed is not None
    assert changed.targets == (world.farther,)
    assert removed is not None
    assert removed.targets == ()


async def test_what_somebody_else_does_is_told(world: World) -> None:
    world.datapath.apply([Install("blue", world.far, [REMOTE, OTHER], [])])
    await world.datapath.settle()
    await world.tamper(REMOTE, world.farther)
    await world.tamper(OTHER, None)

    def told() -> tuple[set[bytes], set[bytes]]:
        # The MACs of ports themselves are told, too, where a port has just come.
        events, ours = world.of(RowsTouched), {REMOTE, OTHER}
        written = {mac for event in events for mac in event.written}
        return written & ours, {mac for event in events for mac in event.removed} & ours

    await until(lambda: told() == ({REMOTE}, {OTHER}))


async def test_what_a_check_found_of_a_group_can_be_put_right(world: World) -> None:
    wanted = InstallReplicas("blue", GROUP, (world.far, world.farther))
    world.datapath.apply([wanted])
    await world.datapath.settle()
    await world.tamper(GROUP, None)
    assert await found(world, GROUP) == [FoundRow()]
    world.datapath.apply([wanted])
    (group,) = await found(world, GROUP)
    assert group is not None
    assert set(group.targets) == {world.far, world.farther}


async def test_a_point_overlay_sends_everything_to_its_target(started: World) -> None:
    await started.datapath.open(started.link(mode=Mode.POINT, default=started.far))
    await started.attach(0)
    unicast, broadcast = frame(REMOTE, GUEST), frame(BROADCAST, GUEST)
    started.guest_sends(0, unicast)
    started.guest_sends(0, broadcast)

    await until(lambda: len(started.arrived(started.far)) == 2)
    assert started.arrived(started.far) == [HEADER + unicast, HEADER + broadcast]
    assert started.punted() == []
    assert await started.datapath.dump("blue") == [Row(ZERO, (started.far,))]
    await started.datapath.close("blue")
    assert await started.leftovers() == []


async def test_a_point_overlay_gets_another_target(started: World) -> None:
    await started.datapath.open(started.link(mode=Mode.POINT, default=started.far))
    await started.attach(0)
    started.datapath.apply([SetDefaultTarget("blue", started.farther)])
    await started.datapath.settle()
    sent = frame(REMOTE, GUEST)
    started.guest_sends(0, sent)

    await until(lambda: started.arrived(started.farther) == [HEADER + sent])
    assert started.arrived(started.far) == []
    assert await started.datapath.dump("blue") == [Row(ZERO, (started.farther,))]
    await started.datapath.close("blue")


async def test_commands_for_an_overlay_that_is_not_open_are_ignored(started: World) -> None:
    target = started.far
    started.datapath.apply(
        [
            Install("blue", target, [REMOTE], [HEADER + frame(REMOTE, GUEST)]),
            InstallReplicas("blue", GROUP, (target,)),
            RemoveRows("blue", [REMOTE]),
            SetDefaultTarget("blue", target),
            Resend("blue", target, [HEADER + frame(REMOTE, GUEST)]),
            Inject("blue", [frame(GUEST, REMOTE)]),
            AskUsage("blue", [REMOTE]),
        ]
    )
    await started.datapath.settle()
    await asyncio.sleep(0)
    assert started.of(RowsRefused) == []
    assert started.of(UsageReported) == []
    assert started.arrived(target) == []


async def test_frames_and_rows_are_counted(world: World) -> None:
    before = world.datapath.totals()
    sent = frame(REMOTE, GUEST)
    world.guest_sends(0, sent)
    await until(lambda: world.punted() == [HEADER + sent])
    (punted,) = [event for event in world.of(FramesPunted) if HEADER + sent in event.packets]
    world.datapath.apply(
        [
            Install("blue", world.far, [REMOTE], [HEADER + sent], punted.arrived),
            Inject("blue", [frame(GUEST, REMOTE)]),
        ]
    )
    refused, target = world.refuse(7)
    world.datapath.apply([Install("blue", target, [refused], [])])
    await world.datapath.settle()
    world.datapath.apply([RemoveRows("blue", [REMOTE])])
    await world.datapath.settle()

    counters, totals = world.datapath.counters("blue"), world.datapath.totals()
    assert counters.received >= 1
    assert (counters.sent, counters.injected, counters.lost) == (1, 1, 0)
    assert counters.miss_to_row.count == 1
    assert 0 <= counters.miss_to_row.total < 10
    assert totals.miss_to_row.count == before.miss_to_row.count + 1
    assert totals.rows_written == before.rows_written + 1
    assert totals.rows_refused == before.rows_refused + 1
    assert totals.rows_removed == before.rows_removed + 1
    assert totals.rows_queued == 0


async def test_what_all_overlays_had_stays_counted_when_one_goes(started: World) -> None:
    await started.datapath.open(started.link())
    started.datapath.apply([Install("blue", started.far, [REMOTE], [])])
    await started.datapath.settle()
    written = started.datapath.totals().rows_written
    await started.datapath.close("blue")
    assert started.datapath.counters("blue") == OverlayCounters()
    assert started.datapath.totals().rows_written == written == 1


async def test_the_mtu_of_the_path_is_that_of_the_route(started: World) -> None:
    assert started.far.ip is not None
    assert await started.datapath.path_mtu(started.listen_ip, started.far.ip) == 1500


async def test_the_way_of_punted_frames_is_tried_and_disturbs_nobody(world: World) -> None:
    found = await world.datapath.try_punt("blue")
    assert found is not None
    assert (found.closed, found.missing) == (None, 0)
    assert [packet for event in world.of(FramesPunted) for packet in event.packets] == []


async def test_a_point_overlay_has_no_way_of_punted_frames(started: World) -> None:
    await started.datapath.open(started.link(mode=Mode.POINT, default=started.far))
    assert await started.datapath.try_punt("blue") is None
    await started.datapath.close("blue")
    with pytest.raises(DatapathError):
        await started.datapath.try_punt("blue")


async def test_stopping_leaves_rows_and_links_in_place(closed_world: World) -> None:
    world = closed_world
    await world.datapath.start()
    await world.datapath.open(world.link())
    await world.attach(0)
    world.datapath.apply([Install("blue", world.far, [REMOTE], [])])
    await world.datapath.settle()
    await world.datapath.stop()

    sent = frame(REMOTE, GUEST)
    world.guest_sends(0, sent)
    await until(lambda: world.arrived(world.far) == [HEADER + sent])


async def test_a_mac_that_is_known_nowhere_has_no_rows_and_is_punted(world: World) -> None:
    rows = await world.datapath.rows_of("blue", REMOTE)
    assert (rows.device, rows.bridge, rows.punts) == (None, None, True)


async def test_the_rows_of_a_mac_say_where_it_is_in_both_tables(world: World) -> None:
    world.datapath.apply([Install("blue", world.farther, [REMOTE], [])])
    await world.datapath.settle()
    rows = await world.datapath.rows_of("blue", REMOTE)
    assert rows.device is not None
    assert rows.bridge is not None
    assert rows.device.targets == (world.farther,)
    assert "static" in rows.device.flags
    assert rows.device.used_s is not None
    assert 0 <= rows.device.used_s < 60
    assert (rows.bridge.port, rows.bridge.is_tunnel) == ("vx-blue", True)
    assert {"static", "sticky"} <= set(rows.bridge.flags)
    assert (await world.datapath.rows_of("blue", OTHER)).device is None


async def test_the_rows_of_a_guests_mac_say_behind_which_port_it_is(world: World) -> None:
    world.guest_sends(0, frame(REMOTE, GUEST))
    await until(lambda: world.of(MacsLearned))
    rows = await world.datapath.rows_of("blue", GUEST)
    assert rows.device is None
    assert rows.bridge is not None
    assert (rows.bridge.port, rows.bridge.is_tunnel) == ("port0", False)
    assert "static" not in rows.bridge.flags


async def test_the_rows_of_a_group_mac_say_all_targets(world: World) -> None:
    world.datapath.apply([InstallReplicas("blue", GROUP, (world.far, world.farther))])
    await world.datapath.settle()
    rows = await world.datapath.rows_of("blue", GROUP)
    assert rows.device is not None
    assert set(rows.device.targets) == {world.far, world.farther}
    assert rows.bridge is None


async def test_in_a_point_overlay_the_default_row_says_it_all(started: World) -> None:
    await started.datapath.open(started.link(mode=Mode.POINT, default=started.far))
    rows = await started.datapath.rows_of("blue", REMOTE)
    assert (rows.device, rows.default, rows.punts) == (None, started.far, False)
    await started.datapath.close("blue")


async def test_an_overlay_that_is_not_there_has_no_rows_of_a_mac(started: World) -> None:
    with pytest.raises(DatapathError, match="red"):
        await started.datapath.rows_of("red", REMOTE)
