"""Names, MACs and addresses of overlays."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.linux_host import make_link
from varpd.datapath.base import DatapathError, DatapathErrorCode
from varpd.datapath.linux import names


@pytest.mark.parametrize("name", ["blue", "a", "twelve-chars", "net.1_x", "...", "grün"])
def test_a_name_that_a_bridge_can_have_is_taken(name: str) -> None:
    names.check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "all", "default", "lo", ".", "..", "a/b", "a b", "a:b", "a%d", "a\n"),
        *("thirteen-char", "ü" * 7),
    ],
)
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(DatapathError) as refused:
        names.check_name(name)
    assert refused.value.code is DatapathErrorCode.NAME_TAKEN
    assert repr(name) in str(refused.value)


def test_the_longest_name_leaves_room_for_the_device() -> None:
    kernel_name_max = 15
    assert len(names.device_name("x" * names.NAME_MAX)) == kernel_name_max


def test_macs_are_locally_administered_unicast_and_of_this_link_and_host_alone() -> None:
    here, there = make_link(), make_link(listen_ip="192.0.2.2")
    macs = [
        names.link_mac(here, "blue"),
        names.link_mac(here, "vx-blue"),
        names.link_mac(there, "blue"),
        names.link_mac(make_link("red"), "red"),
    ]
    assert len(set(macs)) == len(macs)
    assert all(mac.is_local_admin and not mac.is_group for mac in macs)
    assert names.link_mac(here, "blue") == macs[0]


@given(number=st.integers(1, 65535))
def test_a_punt_address_is_made_from_the_number_and_known_again(number: int) -> None:
    four = names.punt_address(make_link(number=number))
    six = names.punt_address(make_link(listen_ip="2001:db8::1", number=number))

    assert str(four) == f"127.86.{number >> 8}.{number & 255}"
    assert str(six) == f"fd76:6172:7064::{number:x}"
    assert names.is_punt_address(four)
    assert names.is_punt_address(six)


@pytest.mark.parametrize("other", ["127.0.0.1", "127.87.0.1", "192.0.2.1", "fd76:6172:7065::1"])
def test_other_addresses_are_no_punt_addresses(other: str) -> None:
    assert not names.is_punt_address(ip_address(other))
