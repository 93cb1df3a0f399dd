"""varpd's own properties: their order, and what each value does."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from varpd.daemon import catalogue
from varpd.datapath.encapsulation import VXLAN
from varpd.engine.settings import Limits, Mode, Rate, Settings
from varpd.provider.errors import PropertyInvalid
from varpd.provider.properties import Protection, Value


def settings(ttl: float | None = None, **values: Value) -> Settings:
    """Return the settings of an overlay with the default of each property but for `values`."""
    given: dict[str, Value] = {
        item.name: item.default
        for item in (*catalogue.declarations(), *VXLAN.properties)
        if item.default is not None
    }
    given |= {"vnetid": 7, "vxlan/listen_ip": IPv4Address("192.0.2.1")}
    given |= {name.replace("__", "/"): value for name, value in values.items()}
    return catalogue.settings_of(given, VXLAN, Mode.DYNAMIC, ttl)


def test_the_order_of_the_properties_is_fixed() -> None:
    assert [item.name for item in catalogue.declarations()] == [
        "mtu",
        "guest_mtu",
        "vnetid",
        "encap",
        "search",
        "varpd/id",
        "datapath",
        "drift",
        "lookup_timeout",
        "negative_ttl",
        "target_ttl",
        "max_lookups",
        "preload",
        "host_access",
        "allow_from",
        "antispoof",
        "limit_unicast",
        "limit_arp",
        "limit_nd",
        "limit_dhcp",
        "limit_multicast",
        "limit_source_unicast",
        "limit_source_arp",
        "limit_source_nd",
        "limit_source_dhcp",
        "limit_source_multicast",
        "limit_waiting_mac",
        "limit_waiting",
        "limit_targets",
    ]


def test_what_identifies_an_overlay_can_only_be_read() -> None:
    told = [item.name for item in catalogue.declarations() if item.protection is Protection.R]
    assert told == ["guest_mtu", "vnetid", "encap", "search", "varpd/id", "datapath"]


def test_every_property_says_what_it_is_for() -> None:
    assert all(item.doc.endswith(".") for item in catalogue.declarations())


def test_the_defaults_are_those_of_the_engine() -> None:
    assert settings() == Settings(
        vnetid=7,
        mode=Mode.DYNAMIC,
        kinds=VXLAN.kinds,
        headroom=VXLAN.header_size,
        listen_ip=IPv4Address("192.0.2.1"),
        listen_port=4789,
    )


@pytest.mark.parametrize(
    "name", [name for name in Limits.__struct_fields__ if isinstance(getattr(Limits(), name), Rate)]
)
def test_a_rate_is_taken_with_a_burst_of_twice_that(name: str) -> None:
    assert getattr(settings(**{f"limit_{name}": 30}).limits, name) == Rate(30, 60)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("limit_waiting_mac", "waiting_mac"),
        ("limit_waiting", "waiting"),
        ("limit_targets", "targets"),
        ("max_lookups", "lookups"),
    ],
)
def test_a_bound_is_taken(name: str, field: str) -> None:
    assert getattr(settings(**{name: 12_345}).limits, field) == 12_345


def test_every_bound_of_the_engine_has_its_property() -> None:
    names = {item.name for item in catalogue.declarations()}
    wanted = {f"limit_{field}" for field in Limits.__struct_fields__} - {"limit_lookups"}
    assert wanted <= names


def test_times_are_taken_as_seconds() -> None:
    found = settings(lookup_timeout=3, negative_ttl=0, target_ttl=60)
    assert (found.lookup_timeout, found.negative_ttl, found.ttl) == (3.0, 0.0, 60.0)


def test_the_plugins_ttl_holds_unless_the_overlay_has_one() -> None:
    assert settings(ttl=30.0).ttl == 30.0
    assert settings(ttl=30.0, target_ttl=60).ttl == 60.0


def test_further_addresses_of_this_host_are_a_list() -> None:
    found = settings(vxlan__local_ips="198.51.100.1, 2001:db8::1")
    assert found.local_ips == {IPv4Address("198.51.100.1"), IPv6Address("2001:db8::1")}


def test_an_address_in_that_list_that_is_none_is_refused() -> None:
    with pytest.raises(PropertyInvalid, match="vxlan/local_ips"):
        settings(vxlan__local_ips="198.51.100.1,here")


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "169.254.1.1", "::", "::1", "ff02::1"]
)
def test_an_address_that_no_other_host_could_send_to_is_refused(address: str) -> None:
    with pytest.raises(PropertyInvalid, match="not the address of one host") as caught:
        settings(vxlan__listen_ip=ip_address(address))
    assert caught.value.name == "vxlan/listen_ip"
    with pytest.raises(PropertyInvalid, match="vxlan/local_ips"):
        settings(vxlan__local_ips=f"192.0.2.1,{address}")


def test_a_mapped_address_in_the_list_is_taken_as_ipv4() -> None:
    assert settings(vxlan__local_ips="::ffff:192.0.2.9").local_ips == {IPv4Address("192.0.2.9")}


def test_a_mapped_listen_address_is_taken_as_ipv4() -> None:
    found = settings(vxlan__listen_ip=IPv6Address("::ffff:192.0.2.9"))
    assert found.listen_ip == IPv4Address("192.0.2.9")


@pytest.mark.parametrize(
    ("release", "targets"),
    [
        ("6.16.0", 262_144),
        ("7.0-rc1", 262_144),
        ("6.15.9-generic", 16_384),
        ("6.5.0", 16_384),
        ("unknown", 262_144),
    ],
)
def test_old_kernels_get_a_smaller_table(release: str, targets: int) -> None:
    assert catalogue.default_targets(release) == targets
    declared = {item.name: item for item in catalogue.declarations(targets)}
    assert declared["limit_targets"].default == targets


def test_a_value_of_the_wrong_type_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="vnetid"):
        settings(vnetid="7")


def given(**changes: str) -> dict[str, Value]:
    values: dict[str, Value] = {"allow_from": "any"}
    return values | {name.replace("__", "/"): value for name, value in changes.items()}


def test_who_may_send_is_everybody_or_targets_or_a_list() -> None:
    assert catalogue.sources_of(given()) is None
    assert catalogue.sources_of(given(allow_from="targets")) == "targets"
    found = catalogue.sources_of(given(allow_from="192.0.2.0/24, 198.51.100.1"))
    assert found == (ip_network("192.0.2.0/24"), ip_network("198.51.100.1"))


@pytest.mark.parametrize("text", ["everybody", "192.0.2.0/24,", "192.0.2.1/24"])
def test_a_list_of_what_are_no_networks_is_refused(text: str) -> None:
    with pytest.raises(PropertyInvalid, match="allow_from"):
        catalogue.sources_of(given(allow_from=text))


def test_a_list_without_an_address_of_the_overlays_family_is_refused() -> None:
    with pytest.raises(PropertyInvalid, match="IPv4"):
        settings(allow_from="2001:db8::/32")
    settings(allow_from="2001:db8::/32,192.0.2.0/24")


def test_interfaces_of_the_underlay_are_a_list() -> None:
    assert catalogue.underlay_of(given(), VXLAN) == ()
    found = catalogue.underlay_of(given(vxlan__underlay="eth0, bond1.100,eth0"), VXLAN)
    assert found == ("eth0", "bond1.100")


@pytest.mark.parametrize("text", ["eth0,", "a/b", "a name", "sixteen-long-name"])
def test_what_cannot_be_an_interface_is_refused(text: str) -> None:
    with pytest.raises(PropertyInvalid, match="vxlan/underlay"):
        settings(vxlan__underlay=text)
