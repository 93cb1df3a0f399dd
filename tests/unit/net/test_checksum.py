"""The internet checksum and its pseudo-headers."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import scapy_oracle
from varpd.net.checksum import internet_checksum, pseudo_header

SRC_V4, DST_V4 = IPv4Address("192.0.2.1"), IPv4Address("198.51.100.2")
SRC_V6, DST_V6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # The example of RFC 1071, section 3: the sum is 0xddf2.
        (bytes((0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7)), 0xDDF2 ^ 0xFFFF),
        (b"", 0xFFFF),
        (bytes(4), 0xFFFF),
        (b"\xff\xff", 0),
        (b"\xff\xff\xff\xff", 0),
        (b"\x80\x00\x7f\xff", 0),
        (b"\x01", 0xFEFF),
    ],
)
def test_known_sums(data: bytes, expected: int) -> None:
    assert internet_checksum(data) == expected


@given(st.binary(max_size=200))
def test_scapy_has_the_same_sum(data: bytes) -> None:
    assert internet_checksum(data) == scapy_oracle.checksum(data)


@given(st.binary(min_size=1, max_size=100).filter(any))
def test_data_with_its_checksum_in_place_sums_to_zero(data: bytes) -> None:
    even = data + bytes(len(data) % 2)
    assert internet_checksum(even + internet_checksum(even).to_bytes(2, "big")) == 0


def test_a_pseudo_header_of_ipv4() -> None:
    expected = SRC_V4.packed + DST_V4.packed + bytes((0, 17, 0x01, 0x02))
    assert pseudo_header(SRC_V4, DST_V4, 17, 0x0102) == expected


def test_a_pseudo_header_of_ipv6() -> None:
    expected = SRC_V6.packed + DST_V6.packed + bytes((0, 0, 0x01, 0x02, 0, 0, 0, 58))
    assert pseudo_header(SRC_V6, DST_V6, 58, 0x0102) == expected


def test_a_pseudo_header_has_one_family() -> None:
    with pytest.raises(ValueError, match="different families"):
        pseudo_header(SRC_V4, DST_V6, 17, 8)
