"""What every store promises, tried with each: in memory, and in a file that is opened anew."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from support.stores import BLUE, Open, memory_stores, overlay, sqlite_stores
from varpd.store.base import Phase, StoredOverlay, StoredPort


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return memory_stores() if request.param == "memory" else sqlite_stores(tmp_path)


async def stored(opened: Open) -> list[StoredOverlay]:
    """Return what whoever opens the store next finds."""
    async with opened() as store:
        return await store.load()


async def test_a_new_store_is_empty(opened: Open) -> None:
    assert await stored(opened) == []


async def test_an_overlay_is_found_again_as_it_was_stored(opened: Open) -> None:
    async with opened() as store:
        await store.create(BLUE)
    assert await stored(opened) == [BLUE]


async def test_overlays_come_in_the_order_of_their_names(opened: Open) -> None:
    async with opened() as store:
        for name in ("red", "blue", "green"):
            await store.create(overlay(name))
    assert [item.name for item in await stored(opened)] == ["blue", "green", "red"]


async def test_an_overlay_takes_the_place_of_what_was_stored_under_its_name(opened: Open) -> None:
    async with opened() as store:
        await store.create(BLUE)
        await store.create(overlay("blue"))
    assert await stored(opened) == [overlay("blue")]


@pytest.mark.parametrize("phase", Phase)
async def test_how_far_the_life_of_an_overlay_has_come_is_kept(opened: Open, phase: Phase) -> None:
    async with opened() as store:
        await store.create(BLUE)
        await store.set_phase("blue", phase)
    assert await stored(opened) == [structs.replace(BLUE, phase=phase)]


async def test_properties_are_set_and_set_back(opened: Open) -> None:
    async with opened() as store:
        await store.create(overlay("blue", properties={"a": 1, "b": "x"}, defaults={"b": "y"}))
        await store.set_properties("blue", {"a": "other", "b": None, "c": 3, "never": None})
    (found,) = await stored(opened)
    assert found.properties == {"a": "other", "c": 3}
    assert found.defaults == {"b": "y"}


async def test_entries_are_set_replaced_and_deleted(opened: Open) -> None:
    async with opened() as store:
        await store.create(overlay("blue"))
        await store.set_entry("blue", "02:00:00:00:00:01", "drop")
        await store.set_entry("blue", "02:00:00:00:00:01", "[2001:db8::1]:4789")
        await store.set_entry("blue", "02:00:00:00:00:02", "drop")
        await store.delete_entry("blue", "02:00:00:00:00:02")
        await store.delete_entry("blue", "02:00:00:00:00:03")
    (found,) = await stored(opened)
    assert found.entries == {"02:00:00:00:00:01": "[2001:db8::1]:4789"}


async def test_ports_are_set_replaced_and_forgotten(opened: Open) -> None:
    tap = StoredPort("02:00:00:00:00:01", ("10.0.0.1", "fd00::1"), "mac+ip")
    async with opened() as store:
        await store.create(overlay("blue", ports={"old": tap}))
        await store.set_port("blue", "tap1", StoredPort())
        await store.set_port("blue", "tap0", tap)
        await store.set_port("blue", "tap0", structs.replace(tap, antispoof=None))
        await store.set_port("blue", "tap1", None)
        await store.set_port("blue", "never", None)
        await store.set_port("none", "tap0", tap)
    (found,) = await stored(opened)
    assert found.ports == {"old": tap, "tap0": structs.replace(tap, antispoof=None)}


async def test_a_state_is_replaced_and_forgotten(opened: Open) -> None:
    async with opened() as store:
        await store.create(overlay("blue"))
        await store.save_state("blue", {})
    assert (await stored(opened))[0].state == {}
    async with opened() as store:
        await store.save_state("blue", {"n": [1]})
    assert (await stored(opened))[0].state == {"n": [1]}
    async with opened() as store:
        await store.save_state("blue", None)
    assert (await stored(opened))[0].state is None


async def test_what_is_deleted_leaves_nothing(opened: Open) -> None:
    async with opened() as store:
        await store.create(BLUE)
        await store.create(overlay("red"))
        await store.delete("blue")
        await store.create(overlay("blue"))
        await store.delete("never")
    assert await stored(opened) == [overlay("blue"), overlay("red")]


async def test_what_is_said_of_an_overlay_that_is_not_there_is_ignored(opened: Open) -> None:
    async with opened() as store:
        await store.set_phase("blue", Phase.DELETING)
        await store.set_properties("blue", {"a": 1})
        await store.set_entry("blue", "02:00:00:00:00:01", "drop")
        await store.delete_entry("blue", "02:00:00:00:00:01")
        await store.save_state("blue", {})
        await store.save_state("blue", None)
    assert await stored(opened) == []


async def test_changes_take_place_in_the_order_of_the_calls(opened: Open) -> None:
    async with opened() as store:
        await store.create(overlay("blue"))
        await asyncio.gather(*(store.set_properties("blue", {"n": n}) for n in range(50)))
    assert (await stored(opened))[0].properties == {"n": 49}


async def test_a_caller_who_is_cancelled_waits_for_the_end_of_the_change(opened: Open) -> None:
    async with opened() as store:
        async with asyncio.TaskGroup() as group:
            creating = group.create_task(store.create(BLUE))
            await asyncio.sleep(0)
            creating.cancel()
        assert await store.load() == [BLUE]
