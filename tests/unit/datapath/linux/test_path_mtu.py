"""Paths' MTUs are measured, held for a while, and bounded."""

from ipaddress import ip_address

import pytest

from varpd.datapath.linux import path_mtu
from varpd.datapath.linux.path_mtu import PathMtus
from varpd.net.addresses import IpAddress

HERE = ip_address("192.0.2.1")
FAR, OTHER = ip_address("198.51.100.1"), ip_address("198.51.100.2")


class Paths:
    """Paths that say when they are measured, and the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[IpAddress] = []
        self.mtus = {FAR: 1450}
        self.cached = PathMtus(HERE, lambda: self.now, self.measure)

    def measure(self, source: IpAddress, target: IpAddress) -> int:
        assert source == HERE
        self.asked.append(target)
        if target not in self.mtus:
            raise OSError
        return self.mtus[target]


def test_a_path_is_measured_again_only_after_a_while() -> None:
    paths = Paths()
    assert (paths.cached(FAR), paths.cached(FAR)) == (1450, 1450)
    assert paths.asked == [FAR]
    paths.mtus[FAR] = 1300
    paths.now = path_mtu.HOLD
    assert paths.cached(FAR) == 1300


def test_no_path_is_a_wide_one_since_sending_fails_by_itself() -> None:
    paths = Paths()
    assert paths.cached(OTHER) == path_mtu.UNKNOWN
    assert paths.cached(OTHER) == path_mtu.UNKNOWN
    assert paths.asked == [OTHER]


def test_a_bounded_number_of_paths_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_mtu, "PATHS_MAX", 1)
    paths = Paths()
    for target in (FAR, OTHER, FAR):
        paths.cached(target)
    assert paths.asked == [FAR, OTHER, FAR]


@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
def test_the_way_to_this_host_is_as_wide_as_the_loopback_interface(loopback: str) -> None:
    address = ip_address(loopback)
    assert path_mtu.measure(address, address) >= 1280


async def test_measuring_does_not_hold_the_event_loop() -> None:
    address = ip_address("127.0.0.1")
    assert path_mtu.measure(address, address) >= 1280
