"""Shared objects: one for each key, closed with the last user."""

import threading

import pytest

from support.probes import GoodProbe, PointProbe
from varpd.daemon.shared import SharedObjects


class Thing:
    def close(self) -> None:
        """Nothing to let go of."""


def test_all_who_ask_with_one_key_get_one_object_and_other_plugins_another() -> None:
    shared = SharedObjects()
    one = shared.acquire((GoodProbe, "etcd"), "a", Thing)
    assert shared.acquire((GoodProbe, "etcd"), "b", Thing) is one
    assert shared.acquire((PointProbe, "etcd"), "a", Thing) is not one
    assert shared.acquire((GoodProbe, "other"), "a", Thing) is not one


def test_only_the_last_user_gets_the_object_back() -> None:
    shared = SharedObjects()
    one = shared.acquire((GoodProbe, "etcd"), "a", Thing)
    shared.acquire((GoodProbe, "etcd"), "b", Thing)
    shared.acquire((GoodProbe, "etcd"), "b", Thing)
    assert shared.release((GoodProbe, "etcd"), "a") is None
    assert shared.release((GoodProbe, "etcd"), "a") is None
    assert shared.release((GoodProbe, "etcd"), "b") is one
    assert shared.acquire((GoodProbe, "etcd"), "c", Thing) is not one


def test_what_a_factory_raises_goes_to_the_caller_and_leaves_nothing() -> None:
    def fail() -> Thing:
        raise OSError("no server")

    shared = SharedObjects()
    with pytest.raises(OSError, match="no server"):
        shared.acquire((GoodProbe, "etcd"), "a", fail)
    assert shared.release((GoodProbe, "etcd"), "a") is None
    assert isinstance(shared.acquire((GoodProbe, "etcd"), "a", Thing), Thing)


def test_a_factory_may_ask_for_another_object() -> None:
    shared = SharedObjects()

    def outer() -> Thing:
        return shared.acquire((GoodProbe, "inner"), "a", Thing)  # type: ignore[no-any-return] # Any

    assert isinstance(shared.acquire((GoodProbe, "outer"), "a", outer), Thing)


def test_threads_that_ask_at_once_get_one_object() -> None:
    shared = SharedObjects()
    start = threading.Barrier(8)
    got: list[Thing] = []

    def ask(number: int) -> None:
        start.wait()
        got.append(shared.acquire((GoodProbe, "etcd"), number, Thing))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len(set(got)) == 1
