"""Tests of the `direct` plugin."""

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from varpd.plugins.direct import DirectPlugin
from varpd.provider import (
    DROP,
    DestinationKind,
    PropertyInvalid,
    PropertyMissing,
    PropertyUnknown,
    Target,
    Unsupported,
    Value,
)
from varpd.provider.testing import FakeHost, conformance

VXLAN = DestinationKind.IP | DestinationKind.PORT
LOCAL = Target(ip=IPv4Address("192.0.2.1"), port=4789)
OTHER = IPv4Address("192.0.2.2")
VALUES: dict[str, Value] = {"direct/dest_ip": OTHER, "direct/dest_port": 4789}


TestVxlan = conformance(
    DirectPlugin,
    values=VALUES,
    default=Target(ip=OTHER, port=4789),
    local=LOCAL,
    refused=[
        ("direct/dest_ip", IPv4Address("127.0.0.1")),
        ("direct/dest_ip", IPv4Address("224.0.0.1")),
        ("direct/dest_ip", IPv4Address("192.0.2.1")),
    ],
)

TestNvgre = conformance(
    DirectPlugin,
    values={"direct/dest_ip": IPv6Address("2001:db8::2"), "direct/dest_port": 4789},
    default=Target(ip=IPv6Address("2001:db8::2")),
    destination=DestinationKind.IP,
)


def make(destination: DestinationKind = VXLAN, local: Target | None = LOCAL) -> DirectPlugin:
    host = FakeHost(local=local, destination=destination, point=True)
    return DirectPlugin(host, destination)


def test_everything_goes_to_the_one_destination() -> None:
    plugin = make()
    plugin.set_property("direct/dest_ip", OTHER)
    plugin.set_property("direct/dest_port", 4790)

    assert plugin.default() == Target(ip=OTHER, port=4790)


@pytest.mark.parametrize("name", VALUES)
def test_without_a_destination_everything_is_dropped(name: str) -> None:
    plugin = make()
    plugin.set_property(name, VALUES[name])

    assert plugin.default() == DROP


def test_the_destination_can_change_while_traffic_flows() -> None:
    assert all(declared.live for declared in DirectPlugin.properties(VXLAN))


def test_there_is_no_port_where_the_encapsulation_needs_none() -> None:
    plugin = make(DestinationKind.IP)

    with pytest.raises(PropertyUnknown):
        plugin.set_property("direct/dest_port", 4789)


def test_an_underlay_of_mac_addresses_is_refused_with_both_sides_named() -> None:
    with pytest.raises(Unsupported, match=r"direct supplies IP\+PORT or IP, .* needs ETHERNET"):
        make(DestinationKind.ETHERNET)


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.0.1"],
)
def test_an_address_that_is_no_other_hosts_is_refused(text: str) -> None:
    plugin = make()
    plugin.set_property("direct/dest_ip", OTHER)

    with pytest.raises(PropertyInvalid, match=text) as caught:
        plugin.set_property("direct/dest_ip", ip_address(text))

    assert caught.value.name == "direct/dest_ip"
    assert plugin.get_property("direct/dest_ip") == OTHER


def test_this_host_is_refused_as_destination() -> None:
    with pytest.raises(PropertyInvalid, match="this host itself"):
        make().set_property("direct/dest_ip", IPv4Address("192.0.2.1"))


def test_this_host_is_refused_in_its_ipv4_mapped_form_too() -> None:
    with pytest.raises(PropertyInvalid, match="this host itself"):
        make().set_property("direct/dest_ip", IPv6Address("::ffff:192.0.2.1"))


def test_an_address_of_the_other_family_is_refused() -> None:
    with pytest.raises(PropertyInvalid, match="the other family"):
        make().set_property("direct/dest_ip", IPv6Address("2001:db8::2"))


def test_an_ipv4_mapped_address_is_taken_as_ipv4() -> None:
    plugin = make()
    plugin.set_property("direct/dest_ip", IPv6Address("::ffff:192.0.2.2"))

    assert plugin.get_property("direct/dest_ip") == OTHER


def test_start_refuses_a_destination_that_was_restored_and_has_become_this_host() -> None:
    plugin = make(local=None)
    for name, value in VALUES.items():
        plugin.set_property(name, value)
    plugin.host = FakeHost(local=Target(ip=OTHER, port=4789), point=True)

    with pytest.raises(PropertyInvalid, match="this host itself"):
        asyncio.run(plugin.start())


def test_start_names_all_that_is_missing() -> None:
    with pytest.raises(PropertyMissing) as caught:
        asyncio.run(make().start())

    assert caught.value.names == ("direct/dest_ip", "direct/dest_port")


def test_going_back_to_no_destination_is_possible() -> None:
    plugin = make()
    plugin.set_property("direct/dest_ip", OTHER)
    plugin.set_property("direct/dest_ip", None)

    assert plugin.get_property("direct/dest_ip") is None
