"""Reading netlink messages, against pyroute2's encoding of them."""

import errno
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from varpd.datapath.linux import netlink

AF_INET, AF_INET6, AF_BRIDGE = 2, 10, 7
MAC = bytes.fromhex("020000000009")


def encode(message: object, kind: int, **fields: object) -> bytes:
    """Let pyroute2 encode a message."""
    for name, value in fields.items():
        message[name] = value  # type: ignore[index]
    message["header"]["type"] = kind  # type: ignore[index]
    message.encode()  # type: ignore[attr-defined]
    return bytes(message.data)  # type: ignore[attr-defined]


def only(data: bytes) -> netlink.Message:
    (message,) = netlink.messages(data)
    return message


@pytest.mark.parametrize("ip", ["198.51.100.1", "2001:db8::1"])
def test_a_row_of_a_device_has_its_target(ip: str) -> None:
    data = encode(
        ndmsg(),
        netlink.RTM_NEWNEIGH,
        family=AF_BRIDGE,
        ifindex=7,
        state=0x42,
        flags=netlink.NTF_SELF,
        attrs=[["NDA_LLADDR", MAC.hex(":")], ["NDA_DST", ip], ["NDA_PORT", 789]],
    )
    row = netlink.parse_fdb_row(data, only(data))
    assert row is not None
    assert (row.ifindex, row.state, row.flags, row.mac) == (7, 0x42, netlink.NTF_SELF, MAC)
    assert netlink.ip_of(row.destination) == ip_address(ip)
    assert (row.port, row.master, row.vlan) == (789, 0, 0)


def test_a_row_of_a_bridge_has_its_bridge_and_vlan() -> None:
    data = encode(
        ndmsg(),
        netlink.RTM_NEWNEIGH,
        family=AF_BRIDGE,
        ifindex=7,
        attrs=[["NDA_LLADDR", MAC.hex(":")], ["NDA_MASTER", 3], ["NDA_VLAN", 5]],
    )
    row = netlink.parse_fdb_row(data, only(data))
    assert row is not None
    assert (row.master, row.vlan, row.destination, row.port) == (3, 5, b"", None)


def test_a_neighbour_is_no_row_of_an_fdb() -> None:
    data = encode(
        ndmsg(), netlink.RTM_NEWNEIGH, family=AF_INET, attrs=[["NDA_LLADDR", MAC.hex(":")]]
    )
    assert netlink.parse_fdb_row(data, only(data)) is None


def test_the_near_end_of_a_point_to_point_link_is_the_local_address() -> None:
    data = encode(
        ifaddrmsg(),
        netlink.RTM_NEWADDR,
        family=AF_INET,
        index=4,
        prefixlen=32,
        attrs=[["IFA_ADDRESS", "192.0.2.9"], ["IFA_LOCAL", "192.0.2.1"]],
    )
    address = netlink.parse_address(data, only(data))
    assert address == netlink.LocalAddress(4, 32, ip_address("192.0.2.1").packed)


def test_an_ipv6_address_is_read() -> None:
    data = encode(
        ifaddrmsg(),
        netlink.RTM_NEWADDR,
        family=AF_INET6,
        index=4,
        prefixlen=64,
        attrs=[["IFA_ADDRESS", "2001:db8::1"]],
    )
    address = netlink.parse_address(data, only(data))
    assert address == netlink.LocalAddress(4, 64, ip_address("2001:db8::1").packed)


def test_a_port_is_read() -> None:
    data = encode(
        ifinfmsg(), netlink.RTM_NEWLINK, index=9, attrs=[["IFLA_IFNAME", "p"], ["IFLA_MASTER", 3]]
    )
    assert netlink.parse_port(data, only(data)) == (9, "p", 3)


def test_messages_of_one_datagram_are_told_apart() -> None:
    row = encode(ndmsg(), netlink.RTM_NEWNEIGH, family=AF_BRIDGE)
    done = struct.pack("=IHHIIi", 20, netlink.NLMSG_DONE, 2, 1, 0, -errno.EPERM)
    found = list(netlink.messages(row + done))
    assert [message.kind for message in found] == [netlink.RTM_NEWNEIGH, netlink.NLMSG_DONE]
    assert netlink.error_of(row + done, found[1]) == errno.EPERM


@given(data=st.binary(max_size=200))
def test_no_bytes_lead_astray(data: bytes) -> None:
    for message in netlink.messages(data):
        assert 0 <= message.start <= len(data)
        assert message.end <= len(data)


def test_a_deletion_names_the_one_table_of_the_row() -> None:
    own = netlink.FdbRow(7, 0x42, netlink.NTF_SELF, MAC, b"\1\2\3\4", None, 0, 0)
    of_bridge = netlink.FdbRow(7, 0x42, 0, MAC, b"", None, 3, 5)
    for row, flags, vlan in ((own, netlink.NTF_SELF, None), (of_bridge, netlink.NTF_MASTER, 5)):
        decoded = ndmsg(netlink.fdb_row_deletion(row))
        decoded.decode()
        assert decoded["header"]["type"] == netlink.RTM_DELNEIGH
        assert (decoded["ifindex"], decoded["flags"]) == (7, flags)
        assert decoded.get_attr("NDA_LLADDR") == MAC.hex(":")
        assert decoded.get_attr("NDA_VLAN") == vlan


@pytest.mark.parametrize("request_", [netlink.fdb_of_port(7), netlink.all_addresses()])
def test_a_request_for_a_table_says_how_long_it_is(request_: bytes) -> None:
    length, _, flags, _, _ = netlink.HEADER.unpack_from(request_)
    assert length == len(request_)
    assert flags == netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP


def test_the_request_for_ports_names_the_bridge() -> None:
    decoded = ifinfmsg(netlink.links_of_bridge(3))
    decoded.decode()
    assert decoded.get_attr("IFLA_MASTER") == 3


def test_the_reserved_addresses_that_a_port_forwards_are_read() -> None:
    port = {"attrs": [["IFLA_BRPORT_STATE", 3], ["IFLA_BRPORT_GROUP_FWD_MASK", 4]]}
    info = [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", port)]
    data = encode(
        ifinfmsg(), netlink.RTM_NEWLINK, index=9, attrs=[["IFLA_LINKINFO", {"attrs": info}]]
    )
    assert netlink.port_forwards(data, only(data)) == 4


def test_a_link_that_is_no_port_forwards_none() -> None:
    data = encode(ifinfmsg(), netlink.RTM_NEWLINK, index=9, attrs=[["IFLA_IFNAME", "p"]])
    assert netlink.port_forwards(data, only(data)) == 0
