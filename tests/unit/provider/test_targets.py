"""Tests of the one check for targets."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.net.addresses import BROADCAST, ZERO, MacAddress
from varpd.provider.answers import DROP, Target
from varpd.provider.errors import TargetInvalid
from varpd.provider.kinds import COMBINATIONS, DestinationKind
from varpd.provider.targets import check_address, check_target

IP = IPv4Address("192.0.2.1")
IPV6 = IPv6Address("2001:db8::1")
MAC = MacAddress.parse("02:00:5e:00:53:01")
VXLAN = DestinationKind.IP | DestinationKind.PORT

UNUSABLE = [
    ("0.0.0.0", "unspecified"),
    ("::", "unspecified"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("::1", "loopback"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("ff02::1", "multicast"),
    ("255.255.255.255", "broadcast"),
    ("169.254.0.1", "link-local"),
    ("fe80::1", "link-local"),
    ("::c000:201", "IPv4-compatible"),
    ("2002:c000:201::1", "6to4"),
    ("2001:db8::1%eth0", "zone"),
]


@pytest.mark.parametrize(("text", "why"), UNUSABLE)
def test_an_address_that_is_not_one_hosts_is_refused(text: str, why: str) -> None:
    with pytest.raises(TargetInvalid, match=why) as caught:
        check_address(ip_address(text))
    assert text in str(caught.value)
    with pytest.raises(TargetInvalid, match=why):
        check_target(Target(ip=ip_address(text), port=4789), VXLAN)


@pytest.mark.parametrize("text", ["127.0.0.1", "224.0.0.1", "255.255.255.255", "169.254.0.1"])
def test_an_ipv4_mapped_address_is_no_way_round(text: str) -> None:
    with pytest.raises(TargetInvalid):
        check_address(IPv6Address(f"::ffff:{text}"))


def test_an_ipv4_mapped_address_is_taken_as_ipv4() -> None:
    mapped = IPv6Address("::ffff:192.0.2.1")

    assert check_address(mapped) == IP
    assert check_target(Target(ip=mapped, port=4789), VXLAN, 4) == Target(ip=IP, port=4789)
    with pytest.raises(TargetInvalid, match="IPv4"):
        check_target(Target(ip=mapped, port=4789), VXLAN, 6)


@pytest.mark.parametrize(
    "address", [IP, IPV6, IPv4Address("10.255.255.255"), IPv6Address("fd00::1")]
)
def test_any_hosts_address_will_do(address: IPv4Address | IPv6Address) -> None:
    target = Target(ip=address, port=4789)

    assert check_target(target, VXLAN) is target
    assert check_target(target, VXLAN, address.version) is target


@pytest.mark.parametrize(("address", "family"), [(IP, 6), (IPV6, 4)])
def test_the_other_family_is_refused(address: IPv4Address | IPv6Address, family: int) -> None:
    with pytest.raises(TargetInvalid, match=f"underlay is IPv{family}"):
        check_target(Target(ip=address, port=4789), VXLAN, family)


@given(st.booleans(), st.booleans(), st.booleans(), st.sampled_from(COMBINATIONS))
def test_exactly_the_kinds_that_are_needed_are_set(
    ip: bool, port: bool, mac: bool, kinds: DestinationKind
) -> None:
    target = Target(ip=IP if ip else None, port=4789 if port else None, mac=MAC if mac else None)
    fits = (
        ip == (DestinationKind.IP in kinds)
        and port == (DestinationKind.PORT in kinds)
        and mac == (DestinationKind.ETHERNET in kinds)
    )

    if fits:
        assert check_target(target, kinds) is target
    else:
        with pytest.raises(TargetInvalid, match=r"lacks|has") as caught:
            check_target(target, kinds)
        assert str(kinds) in str(caught.value)


@pytest.mark.parametrize("port", [0, -1, 65536, "4789", 4789.0, True])
def test_a_port_is_1_to_65535(port: Any) -> None:
    with pytest.raises(TargetInvalid, match="65535"):
        check_target(Target(ip=IP, port=port), VXLAN)


@pytest.mark.parametrize("port", [1, 65535])
def test_both_ends_of_the_ports_will_do(port: int) -> None:
    assert check_target(Target(ip=IP, port=port), VXLAN).port == port


@pytest.mark.parametrize("mac", [BROADCAST, ZERO, b"12345", "02:00:5e:00:53:01", "123456", 5])
def test_an_underlay_mac_is_one_stations(mac: Any) -> None:
    with pytest.raises(TargetInvalid, match="MAC address of one host"):
        check_target(Target(mac=mac), DestinationKind.ETHERNET)


@pytest.mark.parametrize("ip", ["192.0.2.1", 5, b"1234"])
def test_an_address_is_no_text(ip: Any) -> None:
    with pytest.raises(TargetInvalid, match="not an IP address"):
        check_target(Target(ip=ip), DestinationKind.IP)


@pytest.mark.parametrize("junk", [None, DROP, "192.0.2.1:4789", (IP, 4789), Target])
def test_anything_else_is_no_target(junk: object) -> None:
    with pytest.raises(TargetInvalid, match="not a Target but"):
        check_target(junk, VXLAN)
