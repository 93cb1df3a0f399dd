"""Seeing that files change, however it happens. Nothing here depends on how fast."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from varpd.plugins.files.loader import Signature, signature_of
from varpd.plugins.files.watcher import Subscription, Watcher

PATIENCE = 30.0


@pytest.fixture
async def watcher() -> AsyncIterator[Watcher]:
    watcher = Watcher()
    yield watcher
    watcher.close()


async def aside(function: Callable[..., object], *arguments: object) -> None:
    await asyncio.to_thread(function, *arguments)


async def signature(path: Path) -> Signature:
    return signature_of(await asyncio.to_thread(path.stat))


async def follow(watcher: Watcher, path: Path) -> Subscription:
    """Follow a file as it is now, until the watcher has begun to look at it."""
    return watcher.follow(str(path), await signature(path), asyncio.Event())


async def told(subscription: Subscription, seen: Signature | None) -> None:
    """Wait until the watcher has told of the state `seen`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await subscription.changed.wait()
            subscription.changed.clear()
            if subscription.seen == seen:
                return


async def test_a_write_is_told(tmp_path: Path, watcher: Watcher) -> None:
    path = tmp_path / "blue.json"
    await aside(path.write_text, "one")
    subscription = await follow(watcher, path)

    await aside(path.write_text, "another")

    await told(subscription, await signature(path))


async def test_a_change_before_the_first_look_is_told(tmp_path: Path, watcher: Watcher) -> None:
    path = tmp_path / "blue.json"
    await aside(path.write_text, "one")
    before = await signature(path)
    await aside(path.write_text, "another")

    subscription = watcher.follow(str(path), before, asyncio.Event())

    await told(subscription, await signature(path))


async def test_a_rename_over_the_file_is_told(tmp_path: Path, watcher: Watcher) -> None:
    path, other = tmp_path / "blue.json", tmp_path / "new"
    await aside(path.write_text, "one")
    subscription = await follow(watcher, path)

    await aside(other.write_text, "two")
    await aside(other.replace, path)

    await told(subscription, await signature(path))


async def test_a_file_that_goes_and_comes_back_is_told_twice(
    tmp_path: Path, watcher: Watcher
) -> None:
    path = tmp_path / "blue.json"
    await aside(path.write_text, "one")
    subscription = await follow(watcher, path)

    await aside(path.unlink)
    await told(subscription, None)
    await aside(path.write_text, "one")
    await told(subscription, await signature(path))


async def test_a_directory_that_goes_and_comes_back_is_followed(
    tmp_path: Path, watcher: Watcher
) -> None:
    directory = tmp_path / "varpd"
    path = directory / "blue.json"
    await aside(directory.mkdir)
    await aside(path.write_text, "one")
    subscription = await follow(watcher, path)

    await aside(shutil.rmtree, directory)
    await told(subscription, None)
    await aside(directory.mkdir)
    await aside(path.write_text, "one")
    await told(subscription, await signature(path))
    await aside(path.write_text, "another")
    await told(subscription, await signature(path))


async def test_a_symbolic_link_that_is_turned_is_told(tmp_path: Path, watcher: Watcher) -> None:
    for name in ("one", "two"):
        await aside((tmp_path / name).mkdir)
        await aside((tmp_path / name / "blue.json").write_text, "same")
    await aside(os.symlink, "one", tmp_path / "..data")
    path = tmp_path / "blue.json"
    await aside(os.symlink, "..data/blue.json", path)
    subscription = await follow(watcher, path)

    await aside(os.symlink, "two", tmp_path / "..data_tmp")
    await aside((tmp_path / "..data_tmp").replace, tmp_path / "..data")

    await told(subscription, await signature(tmp_path / "two" / "blue.json"))


async def test_a_write_behind_a_link_into_another_directory_is_told(
    tmp_path: Path, watcher: Watcher
) -> None:
    far, path = tmp_path / "far" / "blue.json", tmp_path / "near" / "blue.json"
    await aside(far.parent.mkdir)
    await aside(path.parent.mkdir)
    await aside(far.write_text, "one")
    await aside(os.symlink, far, path)
    subscription = await follow(watcher, path)

    await aside(far.write_text, "another")

    await told(subscription, await signature(far))


async def test_each_is_told_of_its_own_file_only(tmp_path: Path, watcher: Watcher) -> None:
    paths = [tmp_path / name for name in ("blue.json", "red.json", "green.json")]
    subscriptions = []
    for path in paths:
        await aside(path.write_text, "one")
        subscriptions.append(await follow(watcher, path))

    await aside(paths[1].write_text, "another")
    await told(subscriptions[1], await signature(paths[1]))
    await aside(paths[2].write_text, "another")
    await told(subscriptions[2], await signature(paths[2]))

    assert not subscriptions[0].changed.is_set()
    assert not subscriptions[1].changed.is_set()


async def test_reading_a_file_is_no_change(tmp_path: Path, watcher: Watcher) -> None:
    path, other = tmp_path / "blue.json", tmp_path / "red.json"
    await aside(path.write_text, "one")
    await aside(other.write_text, "one")
    read, changed = await follow(watcher, path), await follow(watcher, other)
    await aside(other.write_text, "another")
    await told(changed, await signature(other))

    await aside(path.read_text)
    await aside(other.write_text, "yet another")
    await told(changed, await signature(other))

    assert not read.changed.is_set()


async def test_who_has_left_is_told_no_more(tmp_path: Path, watcher: Watcher) -> None:
    path = tmp_path / "blue.json"
    await aside(path.write_text, "one")
    gone, other = await follow(watcher, path), await follow(watcher, path)
    gone.end()
    gone.end()

    await aside(path.write_text, "another")
    await told(other, await signature(path))

    assert not gone.changed.is_set()


def test_a_watcher_that_nobody_asked_is_closed_without_a_thread() -> None:
    Watcher().close()


def test_a_loop_that_is_closed_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "blue.json"
    path.write_text("one")
    watcher = Watcher()
    asyncio.run(follow(watcher, path))

    async def another() -> None:
        subscription = await follow(watcher, path)
        await aside(path.write_text, "another")
        await told(subscription, await signature(path))

    asyncio.run(another())
    watcher.close()
