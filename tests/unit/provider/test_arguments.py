"""Tests of what may be said through a host."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wire import macs
from varpd.net.addresses import BROADCAST, ZERO, MacAddress
from varpd.provider.arguments import (
    MAX_MESSAGE,
    check_announcement,
    check_mac,
    check_message,
    check_station,
    is_station,
)

MAC = MacAddress.parse("02:00:5e:00:53:01")
IP = IPv4Address("10.0.0.1")


@given(macs)
def test_a_mac_is_a_stations_if_it_is_no_groups_and_not_zero(mac: MacAddress) -> None:
    assert is_station(mac) == (not mac.is_group and not mac.is_zero)
    assert check_mac(bytes(mac)) == mac


@pytest.mark.parametrize("mac", [None, "02:00:5e:00:53:01", b"", bytes(5), bytes(7), 1])
def test_what_is_not_six_bytes_is_no_mac(mac: object) -> None:
    assert not is_station(mac)
    with pytest.raises(ValueError, match="six bytes"):
        check_mac(mac)
    with pytest.raises(ValueError, match="six bytes"):
        check_station(mac)


@pytest.mark.parametrize("mac", [BROADCAST, ZERO])
def test_a_groups_address_is_nobodys(mac: MacAddress) -> None:
    assert check_mac(mac) == mac
    with pytest.raises(ValueError, match="one station"):
        check_station(mac)


def test_an_announcement_is_taken_as_it_is() -> None:
    ip = IPv6Address("fd00::1")

    assert check_announcement(MAC, IP, None, None) == (MAC, IP, None, None)
    assert check_announcement(MAC, ip, 4094, bytes(BROADCAST)) == (MAC, ip, 4094, BROADCAST)


@pytest.mark.parametrize("vlan", [0, 4095, -1, "5", True, 1.0])
def test_a_vlan_is_1_to_4094(vlan: object) -> None:
    with pytest.raises(ValueError, match="VLAN"):
        check_announcement(MAC, IP, vlan, None)


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])
def test_nobody_is_announced_at_an_address_that_nobody_has(text: str) -> None:
    with pytest.raises(ValueError, match="nobody"):
        check_announcement(MAC, ip_address(text), None, None)


@pytest.mark.parametrize(
    ("mac", "address", "destination"),
    [(BROADCAST, IP, None), (MAC, "10.0.0.1", None), (MAC, IP, b"x")],
)
def test_an_announcement_of_anything_else_is_refused(
    mac: object, address: object, destination: object
) -> None:
    with pytest.raises(ValueError, match="address"):
        check_announcement(mac, address, None, destination)


@given(st.text(min_size=1))
def test_a_message_is_cut_to_whole_characters(text: str) -> None:
    message = check_message(text)

    assert len(message.encode()) <= MAX_MESSAGE
    assert text.startswith(message)
    assert len(text.encode()) > MAX_MESSAGE or message == text


def test_a_long_message_is_not_cut_within_a_character() -> None:
    assert check_message("é" * 200) == "é" * 127


def test_a_message_that_is_no_unicode_is_mended() -> None:
    assert check_message("a\ud800") == "a?"


@pytest.mark.parametrize("message", ["", None, b"slow", 5])
def test_a_message_is_a_text_that_says_something(message: object) -> None:
    with pytest.raises(ValueError, match="not a message"):
        check_message(message)
