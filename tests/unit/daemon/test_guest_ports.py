"""What is said of guests' ports: read, merged, shown."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.control.messages import ControlError, SetPort
from varpd.daemon import guest_ports
from varpd.datapath.base import Antispoof
from varpd.store.base import StoredPort

MAC = "02:00:00:00:00:01"


@pytest.mark.parametrize("name", ["", "sixteen-letters-", "a b", "a/b", "a:b", ".", "..", "\x01"])
def test_what_no_link_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(ControlError, match="cannot be the name of a link"):
        guest_ports.check_name(name, "blue")


@pytest.mark.parametrize("name", ["blue", "vx-blue"])
def test_links_of_the_overlay_itself_are_no_guests(name: str) -> None:
    with pytest.raises(ControlError, match="of the overlay itself"):
        guest_ports.check_name(name, "blue")


def test_what_is_not_said_stays_as_it_is() -> None:
    known = guest_ports.changed(guest_ports.NOTHING, SetPort(mac="2:0:0:0:0:1"))
    assert known == StoredPort(MAC)
    known = guest_ports.changed(known, SetPort(addresses=("10.0.0.1", "FD00::1", "10.0.0.1")))
    assert known == StoredPort(MAC, ("10.0.0.1", "fd00::1"))
    known = guest_ports.changed(known, SetPort(antispoof="mac"))
    assert known == StoredPort(MAC, ("10.0.0.1", "fd00::1"), "mac")
    assert guest_ports.changed(known, SetPort(antispoof=None)).antispoof is None


@pytest.mark.parametrize(
    "mac", ["x", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "33:33:00:00:00:01"]
)
def test_a_mac_of_no_one_guest_is_refused(mac: str) -> None:
    with pytest.raises(ControlError):
        guest_ports.changed(guest_ports.NOTHING, SetPort(mac=mac))


@pytest.mark.parametrize(
    "text",
    ["x", "10.0.0.1/24", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "127.0.0.1", "255.255.255.255"],
)
def test_an_address_of_no_one_guest_is_refused(text: str) -> None:
    with pytest.raises(ControlError) as caught:
        guest_ports.parse_address(text)
    assert caught.value.field == "addresses"


def test_addresses_need_a_mac_and_have_an_end() -> None:
    with pytest.raises(ControlError, match="give it, too"):
        guest_ports.changed(guest_ports.NOTHING, SetPort(addresses=("10.0.0.1",)))
    many = tuple(f"10.0.1.{number}" for number in range(guest_ports.ADDRESSES + 1))
    with pytest.raises(ControlError, match="may have 64"):
        guest_ports.changed(StoredPort(MAC), SetPort(addresses=many))


@given(st.text())
def test_whatever_is_written_is_an_address_or_refused(text: str) -> None:
    with contextlib.suppress(ControlError):
        assert not guest_ports.parse_address(text).is_multicast


def test_the_overlays_value_holds_where_the_port_has_none() -> None:
    ports = {"b": StoredPort(MAC, ("10.0.0.1",)), "a": StoredPort(antispoof="off")}
    first, second = guest_ports.of(ports, {"antispoof": "mac+ip"})
    assert (first.name, first.mac, first.antispoof) == ("a", None, Antispoof.OFF)
    assert (second.antispoof, [str(ip) for ip in second.addresses]) == (
        Antispoof.MAC_AND_IP,
        ["10.0.0.1"],
    )


def test_ports_that_are_there_and_those_that_are_known_are_shown() -> None:
    ports = {"tap0": StoredPort(MAC), "tap1": StoredPort(MAC, antispoof="off")}
    found = guest_ports.infos("blue", ports, "mac", ["tap0", "tap2"], {"tap2": 5}, {})
    assert [(p.port, p.state, p.antispoof, p.own, p.refused) for p in found] == [
        ("tap0", "present", "mac", False, 0),
        ("tap1", "absent", "off", True, 0),
        ("tap2", "blocked", "mac", False, 5),
    ]


def test_a_port_whose_guest_is_elsewhere_is_in_conflict_while_it_is_there() -> None:
    ports = {name: StoredPort(MAC) for name in ("tap0", "tap1")}
    conflicts = dict.fromkeys(ports, "host-b has it")
    found = guest_ports.infos("blue", ports, "mac", ["tap0"], {}, conflicts)
    assert [(p.state, p.conflict) for p in found] == [
        ("conflict", "host-b has it"),
        ("absent", "host-b has it"),
    ]
