"""What the messages of SVP share."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given

from support.wire import ip_addresses
from varpd.net.addresses import IpAddress
from varpd.net.decode import DecodeError, Reason
from varpd.plugins.svp import fields


def test_an_ipv4_address_travels_v4_mapped() -> None:
    packed = bytes.fromhex("00000000000000000000ffffc0a84d02")
    assert fields.pack_ip(IPv4Address("192.168.77.2")) == packed
    assert fields.unpack_ip(packed) == IPv4Address("192.168.77.2")


@given(ip_addresses)
def test_an_address_that_passes_the_check_is_read_back(address: IpAddress) -> None:
    fields.check_ip(address)
    assert fields.unpack_ip(fields.pack_ip(address)) == address


def test_a_v4_mapped_address_is_refused() -> None:
    with pytest.raises(ValueError, match="give it as IPv4: ::ffff:"):
        fields.check_ip(IPv6Address("::ffff:10.0.0.1"))


def test_the_type_is_that_of_the_address() -> None:
    assert fields.l3_type(IPv4Address(1)).value == 1
    assert fields.l3_type(IPv6Address(1)).value == 2


@pytest.mark.parametrize("number", range(5))
def test_a_known_status_is_read(number: int) -> None:
    assert fields.parse_status(number) == number


def test_an_unknown_status_is_refused_by_its_number() -> None:
    with pytest.raises(DecodeError, match="unknown SVP status 5") as caught:
        fields.parse_status(5)
    assert caught.value.reason == fields.Fault.STATUS


@pytest.mark.parametrize(("size", "reason"), [(3, Reason.TRUNCATED), (5, fields.Fault.SIZE)])
def test_a_body_of_another_size_is_refused(size: int, reason: str) -> None:
    fields.check_body("thing", bytes(4), 4)
    with pytest.raises(DecodeError, match="thing") as caught:
        fields.check_body("thing", bytes(size), 4)
    assert caught.value.reason == reason
