"""What the entries of a mapping file mean."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.net.addresses import MacAddress
from varpd.plugins.files.content import MAX_UNKNOWN_KEYS, Builder, Content, EntryError
from varpd.provider import DestinationKind, Target

VXLAN = DestinationKind.IP | DestinationKind.PORT
NVGRE = DestinationKind.IP

MAC = "02:00:5e:10:00:01"
OTHER = "02:00:5e:10:00:02"
HERE = {"ip": "198.51.100.11", "port": 4789}


def mac(text: str) -> bytes:
    return bytes(MacAddress.parse(text))


def build(
    entries: dict[str, Any], kinds: DestinationKind = VXLAN, family: int | None = None
) -> Content:
    builder = Builder(kinds, family)
    for key, entry in entries.items():
        builder.add(key, entry)
    return builder.content


def no_pause() -> None:
    pass


def test_an_entry_says_where_a_mac_is() -> None:
    content = build({MAC: HERE, OTHER: {"ip": "2001:db8:9::3", "port": 4790}})

    assert content.targets == {
        mac(MAC): Target(ip=IPv4Address("198.51.100.11"), port=4789),
        mac(OTHER): Target(ip=IPv6Address("2001:db8:9::3"), port=4790),
    }
    assert len(content) == 2


@pytest.mark.parametrize("text", ["2:0:5E:a:0:1", "02:00:5e:0A:00:01", "02-00-5e-0a-00-01"])
def test_a_mac_may_be_written_in_any_way(text: str) -> None:
    assert list(build({text: HERE}).targets) == [mac("02:00:5e:0a:00:01")]


def test_equal_targets_are_one_object() -> None:
    content = build({MAC: HERE, OTHER: dict(HERE)})

    assert content.targets[mac(MAC)] is content.targets[mac(OTHER)]


def test_an_address_or_a_list_of_them_has_an_owner() -> None:
    content = build(
        {
            MAC: HERE | {"arp": "10.77.0.1", "ndp": ["fd00:77::1", "fe80::1"]},
            OTHER: HERE | {"arp": ["10.77.0.2", "10.77.0.3"], "ndp": []},
        }
    )

    owners = {text: content.owner(ip_address(text)) for text in ("10.77.0.1", "fe80::1")}
    assert owners == {"10.77.0.1": mac(MAC), "fe80::1": mac(MAC)}
    assert content.owner(IPv4Address("10.77.0.3")) == mac(OTHER)
    assert content.owner(IPv4Address("10.77.0.4")) is None
    assert content.owner(IPv6Address("::10.77.0.1")) is None


def test_routers_and_dhcp_servers_are_kept_for_those_that_have_them() -> None:
    content = build(
        {
            MAC: HERE | {"router": True},
            OTHER: HERE | {"router": False, "dhcp-proxy": "2:0:5e:10:0:1"},
        }
    )

    assert content.routers == {mac(MAC)}
    assert content.dhcp == {mac(OTHER): mac(MAC)}
    assert content.servers == {mac(MAC)}


def test_a_port_is_left_out_where_the_encapsulation_needs_none() -> None:
    content = build({MAC: HERE, OTHER: {"ip": "198.51.100.11"}}, NVGRE)

    assert set(content.targets.values()) == {Target(ip=IPv4Address("198.51.100.11"))}


def test_an_ipv4_mapped_address_is_taken_as_ipv4() -> None:
    content = build({MAC: HERE | {"ip": "::ffff:198.51.100.11"}}, family=4)

    assert content.targets == {mac(MAC): Target(ip=IPv4Address("198.51.100.11"), port=4789)}


def test_a_target_of_the_other_family_is_kept_aside() -> None:
    content = build({MAC: HERE, OTHER: HERE | {"arp": "10.77.0.2"}}, family=6)

    assert content.targets == {}
    assert set(content.other_family) == {mac(MAC), mac(OTHER)}
    assert content.owner(IPv4Address("10.77.0.2")) == mac(OTHER)


def test_unknown_keys_are_ignored_and_noted_up_to_a_bound() -> None:
    builder = Builder(VXLAN, None)
    builder.add(MAC, HERE | {"vlan": 3, "comment": {"by": ["me"]}})
    assert builder.unknown_keys == {"vlan", "comment"}

    for at in range(100):
        builder.add(f"02:00:5e:11:00:{at:02x}", HERE | {f"key{at}": None})
    assert len(builder.unknown_keys) == MAX_UNKNOWN_KEYS


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (None, "None is not an object with ip and port"),
        ([], "[] is not an object with ip and port"),
        ({"port": 4789}, "ip is missing"),
        ({"ip": "198.51.100.11"}, "port is missing"),
        ({"ip": "198.51.100.300", "port": 1}, "ip: '198.51.100.300' is not an IP address"),
        ({"ip": 7, "port": 1}, "ip: 7 is not an IP address"),
        ({"ip": ["198.51.100.11"], "port": 1}, "ip: ['198.51.100.11'] is not an IP address"),
        ({"ip": "fe80::1%eth0", "port": 1}, "ip: 'fe80::1%eth0' is not an IP address"),
        ({"ip": "0.0.0.0", "port": 1}, "ip: 0.0.0.0 is unspecified, not the address of one host"),
        (HERE | {"port": 0}, "port: 0 is not a whole number from 1 to 65535"),
        (HERE | {"port": 65536}, "port: 65536 is not a whole number from 1 to 65535"),
        (HERE | {"port": 4789.0}, "port: 4789.0 is not a whole number from 1 to 65535"),
        (HERE | {"port": True}, "port: True is not a whole number from 1 to 65535"),
        (HERE | {"port": "4789"}, "port: '4789' is not a whole number from 1 to 65535"),
        (HERE | {"port": None}, "port: None is not a whole number from 1 to 65535"),
        (HERE | {"arp": "10.0.0"}, "arp: '10.0.0' is not an IPv4 address"),
        (HERE | {"arp": "fd00::1"}, "arp: 'fd00::1' is not an IPv4 address"),
        (HERE | {"arp": ["10.0.0.1", 5]}, "arp: 5 is not an IPv4 address"),
        (HERE | {"arp": None}, "arp: None is not an IPv4 address"),
        (HERE | {"arp": "224.0.0.1"}, "arp: '224.0.0.1' is not the address of one station"),
        (HERE | {"ndp": "10.0.0.1"}, "ndp: '10.0.0.1' is not an IPv6 address"),
        (HERE | {"ndp": "\ud800"}, r"ndp: '\ud800' is not an IPv6 address"),
        (HERE | {"ndp": "ff02::1"}, "ndp: 'ff02::1' is not the address of one station"),
        (HERE | {"ndp": "::"}, "ndp: '::' is not the address of one station"),
        (HERE | {"dhcp-proxy": "x"}, "dhcp-proxy: 'x' is not a MAC address"),
        (HERE | {"dhcp-proxy": 5}, "dhcp-proxy: 5 is not a MAC address"),
        (
            HERE | {"dhcp-proxy": "ff:ff:ff:ff:ff:ff"},
            "dhcp-proxy: 'ff:ff:ff:ff:ff:ff' is a multicast or broadcast MAC, "
            "not that of one station",
        ),
        (HERE | {"router": 1}, "router: 1 is neither true nor false"),
    ],
)
def test_a_wrong_entry_is_refused_with_mac_key_and_value(entry: object, message: str) -> None:
    with pytest.raises(EntryError) as caught:
        build({MAC: entry})
    assert str(caught.value) == f"'{MAC}': {message}"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("gateway", "'gateway' is not a MAC address"),
        ("02:00:5e:10:00", "'02:00:5e:10:00' is not a MAC address"),
        ("01:00:5e:00:00:01", "is a multicast or broadcast MAC, not that of one station"),
        ("0:0:0:0:0:0", "'0:0:0:0:0:0' is nobody's MAC address"),
    ],
)
def test_a_key_that_is_no_stations_mac_is_refused(key: str, message: str) -> None:
    with pytest.raises(EntryError, match=message):
        build({key: HERE})


@pytest.mark.parametrize("family", [4, 6])
def test_a_mac_that_is_listed_twice_is_refused_in_any_spelling(family: int) -> None:
    with pytest.raises(EntryError, match="'2:0:5E:10:0:1': this MAC is listed twice"):
        build({MAC: HERE, "2:0:5E:10:0:1": HERE}, family=family)


@pytest.mark.parametrize(
    ("key", "one", "other"), [("arp", "10.0.0.1", "10.0.0.1"), ("ndp", "fd00::1", "FD00:0::1")]
)
def test_an_address_that_two_macs_claim_is_refused(key: str, one: str, other: str) -> None:
    with pytest.raises(EntryError) as caught:
        build({MAC: HERE | {key: one}, OTHER: HERE | {key: [other]}})
    assert str(caught.value) == f"'{OTHER}': {key}: '{other}' is already the address of {MAC}"


def test_an_address_that_one_mac_names_twice_is_its_own() -> None:
    assert len(build({MAC: HERE | {"arp": ["10.0.0.1", "10.0.0.1"]}}).ipv4) == 1


stations = st.binary(min_size=6, max_size=6).filter(lambda data: not data[0] & 1 and any(data))
hosts = st.integers(1, 254).map(lambda last: f"198.51.100.{last}")
plain_entries = st.fixed_dictionaries(
    {"ip": hosts, "port": st.integers(1, 65535)},
    optional={
        "router": st.booleans(),
        "dhcp-proxy": stations.map(lambda data: data.hex(":")),
        "note": st.none() | st.text(max_size=3),
    },
)


@given(st.dictionaries(stations, plain_entries, max_size=8))
def test_any_valid_file_means_what_it_says(entries: dict[bytes, dict[str, Any]]) -> None:
    for at, entry in enumerate(entries.values()):
        entry["arp"] = f"10.0.0.{at}"
        entry["ndp"] = [f"fd00::{at + 1:x}", f"fd00::1:{at:x}"]
    content = build({key.hex(":"): entry for key, entry in entries.items()})

    assert content.targets == {
        key: Target(ip=IPv4Address(entry["ip"]), port=entry["port"])
        for key, entry in entries.items()
    }
    for at, key in enumerate(entries):
        assert content.owner(IPv4Address(f"10.0.0.{at}")) == key
        assert content.owner(IPv6Address(f"fd00::1:{at:x}")) == key
    assert content.routers == {key for key, entry in entries.items() if entry.get("router")}
    assert content.dhcp == {
        key: mac(entry["dhcp-proxy"]) for key, entry in entries.items() if "dhcp-proxy" in entry
    }
    assert content.servers == set(content.dhcp.values())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | hosts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.text(max_size=20) | stations.map(lambda data: data.hex(":")),
    json_values
    | st.dictionaries(
        st.sampled_from(["ip", "port", "arp", "ndp", "dhcp-proxy", "router"]), json_values
    )
    | st.dictionaries(st.sampled_from(["arp", "ndp", "dhcp-proxy", "router"]), json_values).map(
        lambda entry: HERE | entry
    ),
)
def test_any_entry_is_taken_or_refused_with_an_entry_error(key: str, entry: object) -> None:
    builder = Builder(VXLAN, None)
    refusal = None
    try:
        builder.add(key, entry)
    except EntryError as exc:
        refusal = str(exc)
    assert len(builder.content) == 1 if refusal is None else refusal.isascii()


def test_discarding_empties_everything_with_pauses() -> None:
    content = build(
        {
            MAC: HERE | {"arp": "10.0.0.1", "ndp": "fd00::1", "router": True},
            OTHER: HERE | {"dhcp-proxy": MAC},
        }
    )
    pauses: list[None] = []

    content.discard(lambda: pauses.append(None))

    assert content == Content()
    assert pauses


def test_discarding_nothing_is_well() -> None:
    content = Content()
    content.discard(no_pause)
    assert content == Content()
