"""Routes, as far as the loopback interface has them."""

from ipaddress import ip_address

import pytest

from varpd.datapath.linux import routes
from varpd.datapath.linux.kernel import LOOPBACK


def test_a_route_to_this_host_is_local() -> None:
    found = routes.find(ip_address("127.0.0.1"), ip_address("127.0.0.2"))
    assert (found.device, found.local) == (LOOPBACK, True)


def test_what_cannot_be_sent_from_has_no_route() -> None:
    with pytest.raises(OSError, match=r"\w"):
        routes.find(ip_address("203.0.113.7"), ip_address("203.0.113.8"))


def test_a_neighbour_that_is_not_known_is_not_silent() -> None:
    assert not routes.is_silent(LOOPBACK, ip_address("192.0.2.1"))
