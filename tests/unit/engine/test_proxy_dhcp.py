"""The DHCPv4 proxy, with scapy as a second opinion."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import BOOTP, DHCP, IP, UDP, Dot1Q, Ether
from support.wire import ipv4_addresses, macs, mangled, padding, uint16, uint32
from varpd.engine import proxy_dhcp
from varpd.engine.proxy_dhcp import Direction
from varpd.net.addresses import BROADCAST, MacAddress
from varpd.net.decode import DecodeError

CLIENT = MacAddress.parse("02:00:00:00:00:09")
TO_SERVER, TO_CLIENT = (68, 67, 1), (67, 68, 2)
"""Source port, destination port and operation of each direction."""

stations = macs.filter(lambda mac: not mac.is_group and not mac.is_zero)
tags = st.none() | st.builds(Dot1Q, vlan=st.integers(0, 4095), prio=st.integers(0, 7))
types = {
    Direction.TO_SERVER: st.sampled_from([1, 3, 4, 7, 8]),
    Direction.TO_CLIENT: st.sampled_from([2, 5, 6]),
}


def message(
    way: tuple[int, int, int] = TO_SERVER,
    *,
    client: MacAddress = CLIENT,
    destination: MacAddress = BROADCAST,
    tag: Dot1Q | None = None,
    ip: dict[str, Any] | None = None,
    udp: dict[str, Any] | None = None,
    bootp: dict[str, Any] | None = None,
    kind: int = 1,
) -> bytes:
    """Return a DHCP message as scapy writes it."""
    source, port, operation = way
    outer = Ether(dst=str(destination), src="02:00:00:00:00:07")
    packet = IP(**{"src": "0.0.0.0", "dst": "255.255.255.255", **(ip or {})})
    packet /= UDP(**{"sport": source, "dport": port, **(udp or {})})
    packet /= BOOTP(**{"op": operation, "chaddr": bytes(client), **(bootp or {})})
    packet /= DHCP(options=[("message-type", kind), "end"])
    return bytes((outer if tag is None else outer / tag) / packet)


def refused(frame: bytes) -> str:
    """Return the reason for which a frame is not passed on."""
    with pytest.raises(DecodeError) as caught:
        proxy_dhcp.parse(frame)
    return caught.value.reason


@given(
    data=st.data(),
    direction=st.sampled_from(Direction),
    client=stations,
    tag=tags,
    addresses=st.tuples(ipv4_addresses, ipv4_addresses),
    xid=uint32,
    seconds=uint16,
    has_checksum=st.booleans(),
    tail=padding,
)
def test_a_broadcast_message_says_who_the_client_is_and_where_it_goes(
    data: st.DataObject,
    direction: Direction,
    client: MacAddress,
    tag: Dot1Q | None,
    addresses: tuple[object, object],
    xid: int,
    seconds: int,
    has_checksum: bool,
    tail: bytes,
) -> None:
    frame = message(
        TO_SERVER if direction is Direction.TO_SERVER else TO_CLIENT,
        client=client,
        tag=tag,
        ip={"src": str(addresses[0]), "dst": str(addresses[1])},
        udp={} if has_checksum else {"chksum": 0},
        bootp={"xid": xid, "secs": seconds},
        kind=data.draw(types[direction]),
    )
    assert proxy_dhcp.parse(frame + tail) == proxy_dhcp.Request(direction, client)


def test_a_message_to_one_host_is_left_to_it() -> None:
    assert refused(message(destination=CLIENT)) == "dhcp-unicast"
    assert refused(message(destination=MacAddress.parse("01:00:5e:00:00:01"))) == "dhcp-unicast"


@pytest.mark.parametrize("fields", [{"flags": "MF"}, {"frag": 1}, {"flags": "MF", "frag": 100}])
def test_fragments_are_not_passed_on(fields: dict[str, Any]) -> None:
    assert refused(message(ip=fields)) == "dhcp-fragment"


def test_a_message_that_must_not_be_fragmented_is_none() -> None:
    assert proxy_dhcp.parse(message(ip={"flags": "DF"})).client == CLIENT


def test_options_of_the_ip_header_are_passed_over() -> None:
    assert proxy_dhcp.parse(message(ip={"options": b"\x01" * 8})).client == CLIENT


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"version": 6}, "ipv4-version"),
        ({"ihl": 4}, "ipv4-length"),
        ({"len": 19}, "ipv4-length"),
        ({"len": 1500}, "truncated"),
        ({"len": 27}, "truncated"),
        ({"chksum": 1}, "ipv4-checksum"),
        ({"proto": 6}, "dhcp-protocol"),
    ],
)
def test_a_wrong_ip_header_is_not_passed_on(fields: dict[str, Any], reason: str) -> None:
    assert refused(message(ip=fields)) == reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"len": 7}, "udp-length"),
        ({"len": 1500}, "truncated"),
        ({"len": 100, "chksum": 0}, "truncated"),
        ({"chksum": 1}, "udp-checksum"),
    ],
)
def test_a_wrong_udp_header_is_not_passed_on(fields: dict[str, Any], reason: str) -> None:
    assert refused(message(udp=fields)) == reason


@pytest.mark.parametrize("ports", [(67, 67), (68, 68), (68, 69), (1067, 68), (67, 1068)])
def test_other_ports_are_not_passed_on(ports: tuple[int, int]) -> None:
    assert refused(message((*ports, 1))) == "dhcp-ports"


@pytest.mark.parametrize("way", [(68, 67, 2), (67, 68, 1)])
def test_clients_ask_and_servers_answer(way: tuple[int, int, int]) -> None:
    assert refused(message(way)) == "dhcp-operation"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"op": 3}, "dhcp-operation"),
        ({"htype": 6}, "dhcp-hardware-type"),
        ({"hlen": 16}, "dhcp-address-length"),
        ({"options": b"none"}, "dhcp-cookie"),
    ],
)
def test_a_wrong_message_is_not_passed_on(fields: dict[str, Any], reason: str) -> None:
    assert refused(message(bootp=fields)) == reason


@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT])
@pytest.mark.parametrize("client", ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
def test_a_client_is_one_station(way: tuple[int, int, int], client: str) -> None:
    assert refused(message(way, client=MacAddress.parse(client))) == "dhcp-client"


def test_a_frame_that_is_not_ipv4_is_not_passed_on() -> None:
    frame = message()
    assert refused(frame[:12] + b"\x86\xdd" + frame[14:]) == "dhcp-ethertype"


def test_a_message_that_is_cut_off_is_not_passed_on() -> None:
    frame = message()
    assert {refused(frame[:size]) for size in range(len(frame))} == {"truncated"}


@given(mangled(message()) | mangled(message(TO_CLIENT, tag=Dot1Q(vlan=7), udp={"chksum": 0})))
def test_any_bytes_are_a_message_or_raise_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        proxy_dhcp.parse(data)
