"""The `files` plugin: its answers, and what it says when the file changes."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from varpd.net.addresses import BROADCAST, MacAddress
from varpd.net.ethernet import EtherType
from varpd.plugins.files import FilesPlugin, loader
from varpd.plugins.files.errors import FilesError
from varpd.plugins.files.plugin import CONFIG, MAX_ANNOUNCED
from varpd.provider import (
    DROP,
    PROXY_ARP,
    PROXY_DHCP,
    PROXY_NDP,
    DestinationKind,
    Neighbour,
    PropertyInvalid,
    PropertyMissing,
    StopReason,
    Target,
    Unsupported,
)
from varpd.provider.testing import (
    Announced,
    FakeHost,
    Invalidated,
    PluginConformance,
    frame_query,
    refresh_query,
)

VXLAN = DestinationKind.IP | DestinationKind.PORT
PATIENCE = 30.0

ROUTER = MacAddress.parse("02:00:5e:10:00:01")
CLIENT = MacAddress.parse("02:00:5e:10:00:02")
SIX = MacAddress.parse("02:00:5e:10:00:03")
STRANGER = MacAddress.parse("02:00:5e:10:00:99")
SOLICITED = "33:33:ff:00:00:01"

FILE: dict[str, Any] = {
    "02:00:5e:10:00:01": {
        "ip": "198.51.100.11",
        "port": 4789,
        "arp": "10.77.0.1",
        "ndp": ["fd00:77::1", "fe80::1"],
        "router": True,
    },
    "2:0:5E:10:0:2": {
        "ip": "198.51.100.12",
        "port": 4789,
        "arp": ["10.77.0.2"],
        "ndp": "fd00:77::2",
        "dhcp-proxy": "2:0:5e:10:0:1",
    },
    "02:00:5e:10:00:03": {"ip": "2001:db8:9::3", "port": 4790, "arp": "10.77.0.3"},
}
ELSEWHERE = {"ip": "2001:db8:9::3", "port": 4790}
ROUTER_AT = Target(ip=IPv4Address("198.51.100.11"), port=4789)
CLIENT_AT = Target(ip=IPv4Address("198.51.100.12"), port=4789)
SIX_AT = Target(ip=IPv6Address("2001:db8:9::3"), port=4790)


class TestConformance(PluginConformance):
    plugin = FilesPlugin
    answers = (
        (ROUTER, ROUTER_AT),
        (CLIENT, CLIENT_AT),
        (SIX, SIX_AT),
        (frame_query(BROADCAST, ethertype=EtherType.ARP), PROXY_ARP),
        (frame_query(BROADCAST, ethertype=EtherType.ARP, vlan=7), PROXY_ARP),
        (frame_query(ROUTER, ethertype=EtherType.ARP), ROUTER_AT),
        (frame_query(SOLICITED, ethertype=EtherType.IPV6), PROXY_NDP),
        (frame_query(BROADCAST, src=CLIENT), PROXY_DHCP),
        (frame_query(BROADCAST, src=ROUTER), PROXY_DHCP),
        (frame_query(BROADCAST, src=SIX), DROP),
    )
    neighbours = (
        (IPv4Address("10.77.0.1"), Neighbour(ROUTER, router=True)),
        (IPv6Address("fe80::1"), Neighbour(ROUTER, router=True)),
        (IPv4Address("10.77.0.2"), CLIENT),
        (IPv6Address("fd00:77::2"), CLIENT),
        (IPv4Address("10.77.0.4"), DROP),
        (IPv6Address("::10.77.0.2"), DROP),
    )
    dhcp = ((frame_query(BROADCAST, src=CLIENT), ROUTER), (frame_query(BROADCAST, src=SIX), DROP))
    unknown = (
        STRANGER,
        frame_query(STRANGER, ethertype=EtherType.ARP),
        frame_query(BROADCAST, ethertype=EtherType.IPV6),
        frame_query(BROADCAST, ethertype=None),
        frame_query("01:00:5e:00:00:fb"),
        frame_query(SOLICITED),
        refresh_query(STRANGER),
        refresh_query(BROADCAST),
        refresh_query(SOLICITED),
    )

    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        path, broken = tmp_path / "blue.json", tmp_path / "broken.json"
        path.write_text(json.dumps(FILE))
        broken.write_text("{")
        self.values = {CONFIG: str(path)}
        self.refused = [
            (CONFIG, "blue.json"),
            (CONFIG, str(broken)),
            (CONFIG, str(tmp_path / "missing.json")),
        ]


async def aside(function: Callable[..., object], *arguments: object) -> None:
    await asyncio.to_thread(function, *arguments)


async def write(path: Path, content: object) -> None:
    """Replace a file the careful way."""
    new = path.with_suffix(".new")
    await aside(new.write_text, content if isinstance(content, str) else json.dumps(content))
    await aside(new.replace, path)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def at_work(
    path: Path, content: object = None, *, local: Target | None = None
) -> AsyncIterator[tuple[FilesPlugin, FakeHost]]:
    """An instance that has started with `content` in its file."""
    await write(path, FILE if content is None else content)
    host = FakeHost(local=local)
    host.run(asyncio.get_running_loop())
    instance = FilesPlugin(host, VXLAN)
    instance.set_property(CONFIG, str(path))
    try:
        await instance.start()
        host.started()
        yield instance, host
        await instance.stop(StopReason.DELETED)
    finally:
        await host.stopped()
        instance.close()
        host.closed()
    assert host.faults == []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "blue.json"


@pytest.mark.parametrize(
    "kinds",
    [
        DestinationKind(0),
        DestinationKind.PORT,
        DestinationKind.ETHERNET,
        DestinationKind.ETHERNET | VXLAN,
    ],
)
def test_kinds_that_a_file_cannot_supply_are_refused(kinds: DestinationKind) -> None:
    with pytest.raises(Unsupported, match="files supplies IP\\+PORT or IP, the encapsulation"):
        FilesPlugin(FakeHost(), kinds)


async def test_start_without_a_file_names_the_property() -> None:
    with pytest.raises(PropertyMissing, match="files/config"):
        await FilesPlugin(FakeHost(), VXLAN).start()


async def test_start_with_a_broken_or_missing_file_says_what_is_wrong(path: Path) -> None:
    with pytest.raises(FilesError, match=r"blue\.json: line 1, column 3: expected"):
        async with at_work(path, "{ x"):
            pass
    instance = FilesPlugin(FakeHost(), VXLAN)
    instance.set_property(CONFIG, str(path / "x"))
    with pytest.raises(FilesError, match=r"blue\.json/x: Not a directory"):
        await instance.start()


async def test_frames_to_the_other_family_are_dropped(path: Path) -> None:
    local = Target(ip=IPv4Address("198.51.100.1"), port=4789)
    async with at_work(path, local=local) as (instance, host):
        assert instance.lookup(frame_query(ROUTER)) == ROUTER_AT
        assert instance.lookup(frame_query(SIX)) == DROP
        assert instance.arp(IPv4Address("10.77.0.3")) == SIX
        assert dict(instance.enumerate()) == {ROUTER: ROUTER_AT, CLIENT: CLIENT_AT}
        assert [values["first"] for level, _, values in host.log.lines if level == "warning"] == [
            str(SIX)
        ]


async def test_progress_and_oddities_are_logged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "PROGRESS_STEP", 2)
    async with at_work(path, FILE | {str(STRANGER): ELSEWHERE | {"vlan": 1}}) as (_, host):
        assert [(event, values.get("mappings")) for _, event, values in host.log.lines] == [
            ("reading mappings", 2),
            ("reading mappings", 4),
            ("mappings read", 4),
            ("unknown keys are ignored", None),
        ]


async def test_a_change_is_followed_and_only_what_changed_is_told(path: Path) -> None:
    async with at_work(path) as (instance, host):
        moved = FILE | {str(ROUTER): FILE[str(ROUTER)] | {"ip": "198.51.100.77"}}
        await write(path, moved)

        at = Target(ip=IPv4Address("198.51.100.77"), port=4789)
        await until(lambda: host.said)
        assert instance.lookup(frame_query(ROUTER)) == at
        assert host.said == [Invalidated(ROUTER)]


async def test_a_mac_that_goes_is_dropped_and_one_that_comes_is_found(path: Path) -> None:
    async with at_work(path) as (instance, host):
        await write(path, {str(ROUTER): FILE[str(ROUTER)], str(STRANGER): ELSEWHERE})

        await until(lambda: len(host.said) == 3)
        assert instance.lookup(frame_query(CLIENT)) == DROP
        assert instance.lookup(frame_query(STRANGER)) == SIX_AT
        assert set(map(str, host.said)) == {
            str(Invalidated(mac)) for mac in (CLIENT, SIX, STRANGER)
        }


async def test_guests_are_told_of_an_address_that_another_mac_has_now(path: Path) -> None:
    async with at_work(path) as (instance, host):
        router, client = dict(FILE[str(ROUTER)]), dict(FILE["2:0:5E:10:0:2"])
        router["arp"], client["arp"] = client["arp"], router["arp"]
        await write(path, {str(ROUTER): router, str(CLIENT): client, str(SIX): FILE[str(SIX)]})

        await until(lambda: len(host.said) == 2)
        assert instance.arp(IPv4Address("10.77.0.1")) == CLIENT
        assert {(said.mac, said.address) for said in host.said if isinstance(said, Announced)} == {
            (CLIENT, IPv4Address("10.77.0.1")),
            (ROUTER, IPv4Address("10.77.0.2")),
        }


@pytest.mark.parametrize(
    ("moved", "announced"), [(MAX_ANNOUNCED, True), (MAX_ANNOUNCED + 1, False)]
)
async def test_guests_are_not_flooded_with_addresses_that_moved(
    path: Path, moved: int, announced: bool
) -> None:
    def content(shift: int) -> dict[str, Any]:
        return {
            f"02:00:00:00:{at >> 8:02x}:{at & 255:02x}": {
                "ip": "198.51.100.1",
                "port": 4789,
                "arp": f"10.0.{(at + shift) % moved >> 8}.{(at + shift) % moved & 255}",
            }
            for at in range(moved)
        }

    async with at_work(path, content(0)) as (instance, host):
        await write(path, content(1))
        await instance.reload()

        assert len(host.said) == (moved if announced else 0)
        assert ("warning" in {level for level, _, _ in host.log.lines}) is not announced


async def test_a_broken_file_is_refused_and_told_until_it_is_mended(path: Path) -> None:
    async with at_work(path) as (instance, host):
        broken = json.dumps(FILE | {str(STRANGER): {"ip": "198.51.100.13", "port": 0}})
        await write(path, broken)

        await until(lambda: host.degraded)
        assert host.degraded is not None
        assert f"line 1: '{STRANGER}': port: 0 is not a whole number" in host.degraded
        assert instance.lookup(frame_query(ROUTER)) == ROUTER_AT
        assert instance.lookup(frame_query(STRANGER)) == DROP

        await write(path, FILE | {str(STRANGER): ELSEWHERE})
        await until(lambda: host.degraded is None)
        await until(lambda: Invalidated(STRANGER) in host.said)
        assert instance.lookup(frame_query(STRANGER)) == SIX_AT


async def test_a_file_that_is_being_written_is_taken_when_it_is_whole(path: Path) -> None:
    text = json.dumps(FILE | {str(STRANGER): ELSEWHERE})
    async with at_work(path) as (instance, host):
        await aside(path.write_text, text[:200])
        await until(lambda: host.degraded)
        assert instance.lookup(frame_query(ROUTER)) == ROUTER_AT

        await aside(path.write_text, text)
        await until(lambda: instance.lookup(frame_query(STRANGER)) == SIX_AT)
        await until(lambda: host.degraded is None)


async def test_the_mappings_stay_while_the_file_is_missing(path: Path) -> None:
    async with at_work(path) as (instance, host):
        await aside(path.unlink)
        await until(lambda: host.degraded)
        assert host.degraded is not None
        assert host.degraded.endswith("No such file or directory; the old mappings stay in force")
        assert instance.lookup(frame_query(ROUTER)) == ROUTER_AT

        await write(path, FILE)
        await until(lambda: host.degraded is None)
        assert not any(isinstance(said, Invalidated) for said in host.said)


async def test_a_link_that_is_turned_to_another_file_is_followed(tmp_path: Path) -> None:
    for name, content in (("one", FILE), ("two", {str(STRANGER): FILE[str(SIX)]})):
        await aside((tmp_path / name).mkdir)
        await write(tmp_path / name / "blue.json", content)
    await aside(os.symlink, "one", tmp_path / "..data")
    await aside(os.symlink, "..data/blue.json", tmp_path / "mounted.json")
    async with at_work(tmp_path / "unused.json") as (instance, host):
        changed = instance.set_property(CONFIG, str(tmp_path / "mounted.json"))
        assert changed is not None
        await changed
        assert host.said == []

        await aside(os.symlink, "two", tmp_path / "..data_tmp")
        await aside((tmp_path / "..data_tmp").replace, tmp_path / "..data")
        await until(lambda: instance.lookup(frame_query(STRANGER)) == SIX_AT)


async def test_another_file_is_taken_with_its_changes_told(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "red.json"
    await write(other, {str(ROUTER): FILE[str(ROUTER)]})
    async with at_work(path) as (instance, host):
        changed = instance.set_property(CONFIG, str(other))
        assert changed is not None
        await changed

        assert instance.get_property(CONFIG) == str(other)
        assert {str(said) for said in host.said} == {str(Invalidated(mac)) for mac in (CLIENT, SIX)}

        await write(other, FILE)
        await until(lambda: instance.lookup(frame_query(CLIENT)) == CLIENT_AT)


async def test_another_file_mends_what_was_wrong_with_the_first(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "red.json"
    await write(other, FILE)
    async with at_work(path) as (instance, host):
        await write(path, "{")
        await until(lambda: host.degraded)

        changed = instance.set_property(CONFIG, str(other))
        assert changed is not None
        await changed
        assert host.degraded is None


async def test_another_file_that_is_broken_is_refused_and_the_old_is_followed_on(
    path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "red.json"
    await write(other, '{"x": 1}')
    async with at_work(path) as (instance, host):
        with pytest.raises(PropertyInvalid, match=r"red\.json: line 1: 'x' is not a MAC address"):
            await instance.set_property(CONFIG, str(other))  # type: ignore[misc] # an awaitable
        assert instance.get_property(CONFIG) == str(path)
        assert host.degraded is None

        await write(path, {str(STRANGER): FILE[str(SIX)]})
        await until(lambda: instance.lookup(frame_query(STRANGER)) == SIX_AT)


async def test_a_relative_path_is_refused_and_so_is_none_at_work(path: Path) -> None:
    async with at_work(path) as (instance, _):
        for value in ("blue.json", None, ""):
            with pytest.raises(PropertyInvalid):
                instance.set_property(CONFIG, value)
        assert instance.get_property(CONFIG) == str(path)


async def test_what_is_enumerated_is_as_it_is_when_its_turn_comes(path: Path) -> None:
    async with at_work(path) as (instance, _):
        mappings = instance.enumerate()
        assert next(mappings) == (ROUTER, ROUTER_AT)

        await write(path, {str(ROUTER): FILE[str(ROUTER)], str(SIX): FILE["2:0:5E:10:0:2"]})
        await instance.reload()
        assert list(mappings) == [(SIX, CLIENT_AT)]


async def test_a_stop_calls_off_a_reload(path: Path) -> None:
    async with asyncio.TaskGroup() as group, at_work(path) as (instance, host):
        large = {
            f"02:00:00:00:{at >> 8:02x}:{at & 255:02x}": {"ip": "198.51.100.1", "port": 4789}
            for at in range(20_000)
        }
        await write(path, large)
        reload = group.create_task(instance.reload())
        await asyncio.sleep(0)
        await instance.stop(StopReason.SHUTDOWN)
        await reload

        assert host.said == []
        assert list(instance.enumerate()) == []


def many(ip: str) -> dict[str, Any]:
    """Return 5,000 mappings to one host."""
    return {
        f"02:00:00:00:{at >> 8:02x}:{at & 255:02x}": {"ip": ip, "port": 4789} for at in range(5_000)
    }


async def first_word(host: FakeHost) -> None:
    """Return in the turn of the loop after that in which something was said."""
    async with asyncio.timeout(PATIENCE):
        while not host.said:  # noqa: ASYNC110 - however short a sleep is, the rest may be said in it
            await asyncio.sleep(0)


async def test_a_change_that_is_called_off_half_way_is_told_to_its_end(path: Path) -> None:
    async with at_work(path, many("198.51.100.1")) as (instance, host):
        async with asyncio.TaskGroup() as group:
            await write(path, many("198.51.100.2"))
            reload = group.create_task(instance.reload())
            await first_word(host)
            reload.cancel()
        # Not in one go, which would hold up everybody else.
        assert len(host.said) < 5_000
        await until(lambda: len(host.said) == 5_000)


async def test_a_stop_half_way_through_a_change_does_not_wait_for_its_end(path: Path) -> None:
    async with at_work(path, many("198.51.100.1")) as (instance, host):
        async with asyncio.TaskGroup() as group:
            await write(path, many("198.51.100.2"))
            group.create_task(instance.reload())
            await first_word(host)
            await instance.stop(StopReason.DELETED)
        assert 0 < len(host.said) < 5_000
