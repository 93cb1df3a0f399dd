"""Tests of the host's face to plugins."""

import inspect

from varpd.provider.host import Host
from varpd.provider.testing import FakeHost

COMPLETE = {
    *("overlay", "vnetid", "encapsulation", "local", "log"),
    *("set_target", "invalidate", "inject_arp", "endpoint_taken", "degrade", "restore", "panic"),
    *("save_soon", "start_task", "shared"),
}


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


def test_a_host_has_all_that_a_plugin_may_use_and_no_more() -> None:
    assert public(Host) == COMPLETE


def test_every_method_says_what_it_means() -> None:
    assert [name for name in COMPLETE if not inspect.getdoc(getattr(Host, name))] == []


def test_nothing_that_a_plugin_says_is_awaited() -> None:
    assert not any(inspect.iscoroutinefunction(getattr(Host, name)) for name in COMPLETE)


def test_the_fake_takes_the_same_arguments() -> None:
    for name in COMPLETE & public(FakeHost):
        real, fake = getattr(Host, name), getattr(FakeHost, name)
        if callable(real):
            assert inspect.signature(real) == inspect.signature(fake), name
