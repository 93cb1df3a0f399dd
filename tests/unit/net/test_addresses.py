"""MAC and IP addresses."""

import contextlib
import pickle
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wire import ipv4_addresses, ipv6_addresses, macs
from varpd.net import addresses
from varpd.net.addresses import IpAddress, Mac, MacAddress

RAW = bytes((0, 0x1B, 2, 0xAC, 0x0D, 0xFF))


def test_an_address_is_found_in_a_table_by_its_plain_bytes_and_the_other_way_round() -> None:
    by_bytes: dict[Mac, int] = {RAW: 1}
    by_address: dict[Mac, int] = {MacAddress(RAW): 1}

    assert by_bytes[MacAddress(RAW)] == by_address[RAW] == 1
    assert MacAddress(RAW) == RAW


@pytest.mark.parametrize("size", [0, 5, 7, 12])
def test_an_address_is_six_bytes(size: int) -> None:
    with pytest.raises(ValueError, match=f"6 bytes, got {size}"):
        MacAddress(bytes(size))


@pytest.mark.parametrize("wrong", [6, "abcdef", None])
def test_an_address_is_made_of_bytes_only(wrong: object) -> None:
    with pytest.raises(TypeError):
        MacAddress(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "00:1b:02:ac:0d:ff",
        "00:1B:02:AC:0D:FF",
        "0:1b:2:ac:d:ff",
        "00-1b-02-ac-0d-ff",
        "0-1B-2-AC-D-FF",
    ],
)
def test_every_notation_is_read(text: str) -> None:
    assert MacAddress.parse(text) == RAW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00:1b:02:ac:0d",
        "00:1b:02:ac:0d:ff:00",
        "00:1b:02:ac:0d:fg",
        "00:1b:02:ac:0d:1ff",
        "00:1b:02-ac-0d-ff",
        "00:1b:02:ac::ff",
        "001b02ac0dff",
        "001b.02ac.0dff",
        " 00:1b:02:ac:0d:ff",
        "00:1b:02:ac:0d:ff\n",
        "\N{ARABIC-INDIC DIGIT ZERO}0:1b:02:ac:0d:ff",
    ],
)
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="not a MAC address") as caught:
        MacAddress.parse(text)
    assert repr(text) in str(caught.value)


@given(macs)
def test_what_is_written_is_read_back(mac: MacAddress) -> None:
    assert MacAddress.parse(str(mac)) == mac
    assert MacAddress.parse(str(mac).replace(":", "-").upper()) == mac


@given(st.text(max_size=20))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert len(MacAddress.parse(text)) == 6


def test_an_address_is_written_in_lower_case_between_colons() -> None:
    mac = MacAddress(RAW)

    assert str(mac) == f"{mac}" == "00:1b:02:ac:0d:ff"
    assert repr(mac) == "MacAddress('00:1b:02:ac:0d:ff')"


def test_an_address_stays_one_when_pickled() -> None:
    copy = pickle.loads(pickle.dumps(MacAddress(RAW)))  # noqa: S301 - our own bytes
    assert isinstance(copy, MacAddress)
    assert copy == RAW


@pytest.mark.parametrize(
    ("text", "group", "broadcast", "zero", "local"),
    [
        ("00:00:00:00:00:00", False, False, True, False),
        ("ff:ff:ff:ff:ff:ff", True, True, False, True),
        ("01:00:5e:00:00:01", True, False, False, False),
        ("33:33:00:00:00:01", True, False, False, True),
        ("02:00:00:00:00:01", False, False, False, True),
        ("00:1b:21:00:00:01", False, False, False, False),
    ],
)
def test_what_an_address_says_of_itself(
    text: str, group: bool, broadcast: bool, zero: bool, local: bool
) -> None:
    mac = MacAddress.parse(text)

    assert mac.is_group is group
    assert mac.is_broadcast is broadcast
    assert mac.is_zero is zero
    assert mac.is_local_admin is local


@pytest.mark.parametrize(
    ("mac", "text"),
    [
        (addresses.ZERO, "00:00:00:00:00:00"),
        (addresses.BROADCAST, "ff:ff:ff:ff:ff:ff"),
        (addresses.ALL_NODES_V6, "33:33:00:00:00:01"),
        (addresses.ALL_ROUTERS_V6, "33:33:00:00:00:02"),
        (addresses.ALL_MLDV2_ROUTERS_V6, "33:33:00:00:00:16"),
        (addresses.ALL_DHCP_AGENTS_V6, "33:33:00:01:00:02"),
    ],
)
def test_the_known_addresses(mac: MacAddress, text: str) -> None:
    assert str(mac) == text


def test_the_solicited_node_address_ends_in_the_last_three_bytes_of_the_address() -> None:
    # The example of RFC 4291, section 2.7.1.
    solicited = addresses.solicited_node(IPv6Address("4037::1:800:200e:8c6c"))

    assert solicited == IPv6Address("ff02::1:ff0e:8c6c")
    assert str(addresses.ipv6_multicast_mac(solicited)) == "33:33:ff:0e:8c:6c"


def test_the_solicited_node_address_keeps_every_bit_of_the_last_three_bytes() -> None:
    low, full = IPv6Address("fe80::"), IPv6Address("fe80::ffff:ffff")

    assert addresses.solicited_node(low) == IPv6Address("ff02::1:ff00:0")
    assert addresses.solicited_node(full) == IPv6Address("ff02::1:ffff:ffff")


@given(ipv6_addresses)
def test_a_solicited_node_address_is_known_by_its_prefix(address: IPv6Address) -> None:
    solicited = addresses.solicited_node(address)

    assert addresses.is_solicited_node(solicited)
    assert addresses.ipv6_multicast_mac(solicited).startswith(addresses.SOLICITED_NODE_PREFIX)


@pytest.mark.parametrize("text", ["ff02::1", "ff02::1:fe00:1", "ff02::2:ff00:1", "fe80::1", "::"])
def test_other_addresses_are_no_solicited_node_address(text: str) -> None:
    assert not addresses.is_solicited_node(IPv6Address(text))


def test_a_unicast_address_has_no_multicast_mac() -> None:
    with pytest.raises(ValueError, match="not a multicast address: fe80::1"):
        addresses.ipv6_multicast_mac(IPv6Address("fe80::1"))


@given(st.one_of(ipv4_addresses, ipv6_addresses))
def test_an_ip_address_is_read_back(address: IpAddress) -> None:
    assert addresses.parse_ip(str(address)) == address


def test_the_text_decides_the_family() -> None:
    assert isinstance(addresses.parse_ip("192.0.2.1"), IPv4Address)
    assert isinstance(addresses.parse_ip("2001:db8::1"), IPv6Address)


@pytest.mark.parametrize(
    "text",
    ["", "192.0.2", "192.0.2.256", "192.0.2.1/24", "192.0.2.01", "fe80::1%eth0", "::1::", "host"],
)
def test_what_is_no_ip_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="not an IP address") as caught:
        addresses.parse_ip(text)
    assert repr(text) in str(caught.value)
