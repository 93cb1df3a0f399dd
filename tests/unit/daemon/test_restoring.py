"""Stored overlays come to work, or say why not, and lose nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from support import overlays as support
from support.overlays import BOOT, PLUGINS, REFUSAL, Parts, request
from support.probes import ONE, GoodProbe
from support.waiting import until
from varpd.control.messages import CreateOverlay, OverlayInfo, SetPort
from varpd.daemon import creation, restoring
from varpd.daemon import stored as plans
from varpd.daemon.creation import Surroundings
from varpd.daemon.degradation import CauseKind
from varpd.engine.events import TargetSet
from varpd.provider.host import Host
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import Plugin, State, StopReason
from varpd.store.base import Phase, StoredOverlay, StoredPort, StoreError
from varpd.store.memory import MemoryStore

MAC = "02:00:00:00:00:01"


class MoodyProbe(GoodProbe):
    """Starts when its server is there, remembers what its state says, tells how it was stopped."""

    api_version = 1
    name: ClassVar[str] = "moody"
    server: ClassVar[str] = "there"
    restored: ClassVar[list[State]] = []
    stopped: ClassVar[list[StopReason]] = []
    memory: Any = "fresh"

    @classmethod
    def restore(cls, state: State, host: Host, destination: DestinationKind) -> Self:
        if state.get("memory") == "bad":
            raise ValueError("unreadable state")
        made = cls(host, destination)
        made.memory = state["memory"]
        cls.restored.append(state)
        return made

    def save(self) -> State:
        return {"memory": self.memory}

    async def start(self) -> None:
        if self.server == "hangs":
            await asyncio.Event().wait()
        if self.server == "away":
            raise ConnectionError("the server is away")

    async def stop(self, reason: StopReason) -> None:
        self.stopped.append(reason)


ALL: tuple[type[Plugin], ...] = (*PLUGINS, MoodyProbe)


@pytest.fixture(autouse=True)
def _good_mood() -> None:
    MoodyProbe.server = "there"
    MoodyProbe.restored.clear()
    MoodyProbe.stopped.clear()


def here() -> Surroundings:
    """Return what overlays can be made of where no plugin is missing."""
    return structs.replace(support.surroundings(), plugins=support.registry(*ALL).plugins)


def stored(name: str = "blue", vnetid: int = 7, **values: Any) -> StoredOverlay:
    """Return what is stored of an overlay of `MoodyProbe`."""
    wanted = CreateOverlay(
        name,
        vnetid,
        "moody",
        properties={"vxlan/listen_ip": "192.0.2.100", "moody/site": "n", "moody/shard": "7"},
    )
    plan = creation.plan(wanted, here(), vnetid)
    usual: dict[str, Any] = {"phase": Phase.MADE, "state": {"memory": "old"}}
    return structs.replace(plans.record_of(plan, None), **{**usual, **values})


@asynccontextmanager
async def host(
    *overlays: StoredOverlay,
    store: MemoryStore | None = None,
    plugins: tuple[type[Plugin], ...] = ALL,
    links: tuple[str, ...] = (),
    restore: bool = True,
) -> AsyncIterator[Parts]:
    """Run what a daemon has, from its start to its end."""
    with capture_logs():
        parts = Parts(MemoryStore(*overlays) if store is None else store, plugins)
        for name in links:
            wanted = structs.replace(stored(name), name=name)
            plan = plans.plan_of(wanted, here())
            parts.datapath.links[name] = support.link_of(plan)
        if restore:
            await parts.restore()
        try:
            yield parts
        finally:
            parts.store.failure = None
            parts.datapath.failing.clear()
            await parts.end()


async def shown(parts: Parts, name: str = "blue") -> OverlayInfo:
    (info,) = await parts.service.overlays([name])
    return info


async def test_an_overlay_comes_to_work_with_its_state_properties_and_entries() -> None:
    record = stored(entries={MAC: "192.0.2.9:4789"})
    record = structs.replace(record, properties={**record.properties, "mtu": 1400})
    async with host(record) as parts:
        info = await shown(parts)
        assert (info.state, info.properties["mtu"], info.properties["moody/site"]) == (
            "online",
            1400,
            "n",
        )
        assert parts.overlays.find("blue").plan.number == 7
        assert MoodyProbe.restored == [{"memory": "old"}]
        (entry,) = await parts.service.targets("blue")
        assert (entry.mac, entry.ip, entry.origin) == (MAC, "192.0.2.9", "administrator")
        assert parts.datapath.links["blue"].mtu == 1400
        assert await parts.store.load() == [record]


async def test_what_a_daemon_leaves_the_next_one_finds() -> None:
    store = MemoryStore()
    async with host(store=store) as parts:
        await parts.service.create(request("blue", "probe", mtu="1400"))
        await parts.service.create(request("red", "point", vnetid=8))
        await parts.service.set_properties("blue", {"probe/weight": "9", "mtu": None})
        await parts.service.set_entry("blue", MAC, "drop")
        await parts.service.flush("blue")
        before = await parts.service.overlays([])
    async with host(store=store) as parts:
        assert await parts.service.overlays([]) == before
        assert [entry.mac for entry in await parts.service.targets("blue")] == [MAC]
        await parts.service.delete_entry("blue", MAC)
        await parts.service.delete("red")
    async with host(store=store) as parts:
        assert [info.name for info in await parts.service.overlays([])] == ["blue"]
        assert await parts.service.targets("blue") == []


async def test_an_overlay_that_was_being_made_is_taken_back() -> None:
    async with host(stored(phase=Phase.MAKING), links=("blue",)) as parts:
        assert (parts.overlays.defined(), parts.datapath.links) == ([], {})
        assert await parts.store.load() == []
        await parts.service.create(request())


async def test_a_deletion_that_had_begun_is_finished() -> None:
    async with host(stored(phase=Phase.DELETING), links=("blue",)) as parts:
        assert (parts.overlays.defined(), parts.datapath.links) == ([], {})
        assert await parts.store.load() == []


async def test_a_deletion_that_cannot_be_finished_is_shown_and_tried_again() -> None:
    async with host(stored(phase=Phase.DELETING), links=("blue",), restore=False) as parts:
        parts.datapath.failing["close"] = REFUSAL
        await parts.restore()
        info = await shown(parts)
        assert (info.state, info.detail) == ("stopped", REFUSAL.message)
        for change in (
            parts.service.set_properties("blue", {"mtu": "1400"}),
            parts.service.forget_state("blue"),
            parts.service.set_entry("blue", MAC, "drop"),
        ):
            with pytest.raises(Exception, match="blue is being deleted"):
                await change
        parts.datapath.failing.clear()
        await until(lambda: parts.clock.pauses)
        parts.clock.pass_time()
        await until(lambda: parts.overlays.defined() == [])
        assert await parts.store.load() == []


async def test_a_temporary_overlay_lives_until_the_host_restarts() -> None:
    now, before = stored("now", 1, boot=BOOT), stored("before", 2, boot="another")
    async with host(now, before, links=("before",)) as parts:
        assert [info.name for info in await parts.service.overlays([])] == ["now"]
        assert list(parts.datapath.links) == ["now"]
        assert await parts.store.load() == [now]


async def test_an_overlay_whose_plugin_is_missing_stays_as_it_is() -> None:
    record = stored(entries={MAC: "drop"})
    async with host(record, plugins=PLUGINS, links=("blue",)) as parts:
        info = await shown(parts)
        assert (info.state, info.mode, info.search) == ("degraded", "dynamic", "moody")
        (cause,) = info.causes
        assert cause.cause == "restore"
        assert "no search plugin 'moody'" in cause.message
        assert info.properties["vxlan/listen_ip"] == "192.0.2.100"
        assert info.properties["moody/site"] == "***"  # it could be a secret
        assert await parts.service.targets("blue") == []
        assert await parts.store.load() == [record]
        assert list(parts.datapath.links) == ["blue"]
        assert (await parts.service.ready()).ok
        assert (await parts.service.ready()).degraded == 1


async def test_an_overlay_that_cannot_start_heals_when_it_can() -> None:
    MoodyProbe.server = "away"
    async with host(stored()) as parts:
        info = await shown(parts)
        assert info.state == "degraded"
        assert "the server is away" in (info.detail or "")
        await until(lambda: len(parts.clock.pauses) == 1)
        parts.clock.pass_time()
        await until(lambda: len(parts.clock.pauses) == 2)
        assert parts.clock.pauses == [1, 2]
        assert MoodyProbe.stopped == []
        MoodyProbe.server = "there"
        parts.clock.pass_time()
        await until(lambda: parts.overlays.all())
        assert (await shown(parts)).state == "online"
        assert MoodyProbe.restored[-1] == {"memory": "old"}


async def test_an_overlay_whose_links_the_kernel_refuses_heals_when_it_does_not() -> None:
    async with host(stored(), restore=False) as parts:
        parts.datapath.failing["open"] = REFUSAL
        await parts.restore()
        assert (await shown(parts)).detail == REFUSAL.message
        assert MoodyProbe.stopped == [StopReason.FAULT]  # nothing is withdrawn
        assert parts.runner.instances == {}
        parts.datapath.failing.clear()
        await until(lambda: parts.clock.pauses)
        parts.clock.pass_time()
        await until(lambda: parts.overlays.all())


async def test_a_state_that_cannot_be_restored_stays_until_somebody_says_to_forget_it() -> None:
    bad = stored(state={"memory": "bad"})
    async with host(bad) as parts:
        assert "unreadable state" in ((await shown(parts)).detail or "")
        assert await parts.store.load() == [bad]
        info = await parts.service.forget_state("blue")
        assert info.state == "online"
        (record,) = await parts.store.load()
        assert record.state == {"memory": "fresh"}


async def test_the_state_of_a_working_overlay_can_be_forgotten_and_its_rows_stay() -> None:
    async with host(stored()) as parts:
        parts.runner.feed(TargetSet("blue", b"\2\0\0\0\0\1", ONE))
        parts.datapath.commands.clear()
        info = await parts.service.forget_state("blue")
        assert info.state == "online"
        assert MoodyProbe.stopped == [StopReason.FAULT]
        (record,) = await parts.store.load()
        assert record.state == {"memory": "fresh"}
        assert parts.datapath.commands == []
        assert len(await parts.service.targets("blue")) == 1


async def test_a_working_overlay_that_does_not_start_without_its_state_is_tried_again() -> None:
    async with host(stored()) as parts:
        MoodyProbe.server = "away"
        info = await parts.service.forget_state("blue")
        assert (info.state, info.causes[0].cause) == ("degraded", "start")
        MoodyProbe.server = "there"
        instance = parts.overlays.find("blue").instance
        await until(lambda: CauseKind.START not in [item.cause for item in instance.causes])


async def test_properties_of_what_does_not_work_are_stored_and_tried_at_once() -> None:
    async with host(stored(), restore=False) as parts:
        parts.datapath.failing["open"] = REFUSAL
        await parts.restore()
        parts.datapath.failing.clear()
        info = await parts.service.set_properties(
            "blue", {"vxlan/listen_ip": "192.0.2.101", "moody/site": "south"}
        )
        assert (info.state, info.properties["moody/site"]) == ("online", "south")
        assert str(parts.datapath.links["blue"].listen_ip) == "192.0.2.101"
        (record,) = await parts.store.load()
        assert record.properties["vxlan/listen_ip"] == "192.0.2.101"


async def test_properties_that_cannot_be_stored_are_not_set_either() -> None:
    async with host(stored(), plugins=PLUGINS) as parts:
        parts.store.failure = StoreError("the file system is full; nothing was changed")
        for change in (
            parts.service.set_properties("blue", {"mtu": "1400"}),
            parts.service.delete("blue"),
            parts.service.delete_entry("blue", MAC),
            parts.service.forget_state("blue"),
        ):
            with pytest.raises(Exception, match="is full"):
                await change
        assert (await shown(parts)).properties["mtu"] is None
        assert [info.state for info in await parts.service.overlays([])] == ["degraded"]


async def test_what_does_not_work_can_be_deleted_with_its_links() -> None:
    async with host(stored(), plugins=PLUGINS, links=("blue",)) as parts:
        await parts.service.delete("blue")
        assert (parts.overlays.defined(), parts.datapath.links) == ([], {})
        assert await parts.store.load() == []
        await until(lambda: len(parts.tasks) == 0)


async def test_an_attempt_that_hangs_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "PATIENCE", 0.01)
    MoodyProbe.server = "hangs"
    async with host(stored(), stored("red", 8)) as parts:
        assert (await parts.service.ready()).ok
        assert (await shown(parts)).detail == "it is being restored"
        await parts.service.delete("red")
        assert [item.name for item in parts.overlays.defined()] == ["blue"]
        MoodyProbe.server = "there"
        await parts.service.set_properties("blue", {"mtu": "1400"})
        await until(lambda: parts.overlays.all())


async def test_ports_of_what_does_not_work_are_stored_and_shown() -> None:
    MoodyProbe.server = "away"
    async with host(stored(defaults={"antispoof": "mac"})) as parts:
        info = await parts.service.set_port("blue", "tap0", SetPort(mac=MAC))
        # What the configuration had when it was made holds, as it will at work.
        assert (info.antispoof, info.own, info.state) == ("mac", False, "absent")
        (record,) = await parts.store.load()
        assert record.ports == {"tap0": StoredPort(MAC)}
        await parts.service.delete_port("blue", "tap0")
        assert await parts.service.ports("blue") == []


async def test_entries_of_what_does_not_work_are_stored() -> None:
    MoodyProbe.server = "away"
    async with host(stored()) as parts:
        await parts.service.set_entry("blue", MAC, "192.0.2.9:4789")
        await parts.service.set_entry("blue", "02:00:00:00:00:02", "drop")
        with pytest.raises(Exception, match="neither"):
            await parts.service.set_entry("blue", MAC, "rubbish")
        await parts.service.delete_entry("blue", "02:00:00:00:00:02")
        MoodyProbe.server = "there"
        await parts.restoration.reload()
        await until(lambda: parts.overlays.all())
        (entry,) = await parts.service.targets("blue")
        assert (entry.mac, entry.ip) == (MAC, "192.0.2.9")


async def test_a_vnetid_belongs_to_an_overlay_also_while_that_does_not_work() -> None:
    async with host(stored(), plugins=PLUGINS) as parts:
        with pytest.raises(Exception, match="belongs to overlay blue"):
            await parts.service.create(request("red"))
        with pytest.raises(Exception, match="there is an overlay blue already"):
            await parts.service.create(request("blue", vnetid=9))
        info = await parts.service.create(request("red", vnetid=9))
        assert info.properties["varpd/id"] == 1


async def test_one_that_cannot_be_restored_does_not_keep_others_from_it() -> None:
    overlays = [stored(f"o{number}", number) for number in range(1, 100)]
    overlays[50] = structs.replace(overlays[50], search="missing")
    told: list[tuple[int, int]] = []
    async with host(*overlays, restore=False) as parts:
        await parts.restoration.load()
        assert len(parts.overlays.defined()) == 99  # they are shown from the first
        await parts.restoration.restore(lambda done, all_: told.append((done, all_)))
        assert len(parts.overlays.all()) == 98
        assert told[-1] == (99, 99)


async def test_links_of_nobody_are_named_and_left_alone() -> None:
    async with host(stored(), links=("blue", "grey", "green"), restore=False) as parts:
        await parts.restoration.load()
        with capture_logs() as lines:
            await parts.restoration.restore()
        (warning,) = [line for line in lines if "overlays" in line]
        assert warning["overlays"] == ["green", "grey"]
        assert sorted(parts.datapath.links) == ["blue", "green", "grey"]
