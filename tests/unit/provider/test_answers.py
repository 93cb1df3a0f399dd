"""Tests of answers."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from varpd.net.addresses import MacAddress
from varpd.provider.answers import DROP, Drop, Neighbour, Replicate, Target

IP = IPv4Address("192.0.2.1")
MAC = MacAddress.parse("02:00:5e:00:53:01")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target(ip=IP), "192.0.2.1"),
        (Target(ip=IP, port=4789), "192.0.2.1:4789"),
        (Target(ip=IPv6Address("2001:db8::1")), "2001:db8::1"),
        (Target(ip=IPv6Address("2001:db8::1"), port=4789), "[2001:db8::1]:4789"),
        (Target(mac=MAC), "02:00:5e:00:53:01"),
        (Target(mac=MAC, ip=IP, port=1), "02:00:5e:00:53:01,192.0.2.1:1"),
        (Target(port=4789), ":4789"),
        (Target(), ""),
    ],
)
def test_a_target_reads_as_operators_write_it(target: Target, text: str) -> None:
    assert str(target) == text


def test_equal_targets_are_one_key() -> None:
    assert len({Target(ip=IP, port=1), Target(ip=IPv4Address(str(IP)), port=1)}) == 1
    assert Target(ip=IP, port=1) != Target(ip=IP, port=2)


def test_an_answer_cannot_be_changed() -> None:
    target = Target(ip=IP)
    with pytest.raises(AttributeError):
        target.ip = None  # type: ignore[misc]  # the very thing


def test_a_drop_holds_for_the_overlays_time_unless_it_says_otherwise() -> None:
    assert DROP.hold is None
    assert Drop() == DROP
    assert Drop(hold=0) != DROP


def test_a_frame_is_replicated_to_the_targets_that_are_named() -> None:
    one, two = Target(ip=IP), Target(ip=IPv4Address("192.0.2.2"))
    assert Replicate.to(one, two) == Replicate((one, two))


def test_a_neighbour_is_no_router_unless_it_says_so() -> None:
    assert not Neighbour(MAC).router
