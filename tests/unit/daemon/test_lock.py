"""The locks: one daemon in a network namespace, one on a state directory."""

import os
from pathlib import Path

import pytest

from varpd.daemon import lock


@pytest.fixture
def name() -> str:
    """A name that no other test run in this network namespace uses."""
    return f"varpd-test-{os.getpid()}"


def test_the_second_in_a_network_namespace_is_told_who_has_the_lock(name: str) -> None:
    with (
        lock.namespace(name),
        pytest.raises(lock.Locked, match=rf"process {os.getpid()}, user {os.getuid()}"),
        lock.namespace(name),
    ):
        pytest.fail("both have the lock")


def test_the_lock_of_a_network_namespace_is_free_again_after_use(name: str) -> None:
    with lock.namespace(name):
        pass
    with lock.namespace(name):
        pass


def test_a_name_that_cannot_be_a_sockets_is_the_systems_error() -> None:
    with pytest.raises(OSError, match="too long"), lock.namespace("x" * 200):
        pytest.fail("such a name cannot be")


def test_a_state_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with lock.directory(tmp_path / "a" / "state"):
        assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700


def test_the_second_on_a_state_directory_is_told_who_uses_it(tmp_path: Path) -> None:
    with (
        lock.directory(tmp_path),
        pytest.raises(lock.Locked, match=rf"{tmp_path} \(process {os.getpid()}\)"),
        lock.directory(tmp_path),
    ):
        pytest.fail("both have the lock")


def test_a_state_directory_is_free_again_after_use(tmp_path: Path) -> None:
    with lock.directory(tmp_path):
        pass
    with lock.directory(tmp_path):
        pass


def test_a_state_directory_that_cannot_be_made_is_the_systems_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), lock.directory(tmp_path / "file" / "state"):
        pytest.fail("such a directory cannot be")
