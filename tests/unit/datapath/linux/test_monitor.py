"""What the monitor makes of addresses; the rest of it is tested with the kernel."""

from ipaddress import ip_address

import pytest

from support.linux_host import Recorder
from varpd.datapath.linux import monitor
from varpd.datapath.linux.datapath import LinuxDatapath
from varpd.datapath.linux.netlink import LocalAddress


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("192.0.2.1", True),
        ("127.0.0.1", True),
        ("2001:db8::1", True),
        ("fe80::1", False),
        ("169.254.1.1", False),
    ],
)
def test_an_address_is_told_if_a_target_may_have_it(address: str, told: bool) -> None:
    found = monitor.local_ips([LocalAddress(1, 32, ip_address(address).packed)])
    assert (ip_address(address) in found) is told


def test_an_address_on_two_interfaces_is_one() -> None:
    packed = ip_address("192.0.2.1").packed
    assert len(monitor.local_ips([LocalAddress(1, 32, packed), LocalAddress(2, 24, packed)])) == 1


async def test_a_monitor_that_never_began_ends_quietly() -> None:
    sink = Recorder()
    watcher = LinuxDatapath(sink).monitor
    watcher.taken("blue", [bytes(6)])
    watcher.unwatch("blue")
    watcher.stop()
    assert sink.events == []
    assert watcher.passed_over == 0
