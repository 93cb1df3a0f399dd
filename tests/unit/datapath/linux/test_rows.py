"""Rows as netlink messages, held against what pyroute2 reads in them."""

import errno
import socket
import struct
from ipaddress import ip_address
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from varpd.datapath.linux import netlink, rows
from varpd.datapath.linux.rows import Reply, Table
from varpd.provider.answers import Target

TABLE = Table(ifindex=17)
MACS = [bytes.fromhex("020000000001"), bytes.fromhex("0200000000ff"), bytes.fromhex("06aabbccddee")]
V4 = Target(ip_address("192.0.2.1"), 4789)
V6 = Target(ip_address("2001:db8::1"), 4790)

SELF, MASTER, STICKY = 0x02, 0x04, 0x40
REQUEST, REPLACE, CREATE, APPEND = 0x01, 0x100, 0x400, 0x800


def decode(data: bytes) -> list[Any]:
    messages = []
    while data:
        (length,) = struct.unpack_from("=I", data)
        assert length % 4 == 0
        message = ndmsg(data[:length])
        message.decode()
        messages.append(message)
        data = data[length:]
    return messages


def mac_of(message: Any) -> bytes:
    return bytes.fromhex(message.get_attr("NDA_LLADDR").replace(":", ""))


def refusal(message: bytes, number: int, flags: int = 0, behind: bytes = b"") -> bytes:
    """What the kernel sends about a refused message (netlink_ack in af_netlink.c)."""
    body = struct.pack("=i", -number) + message + behind
    return struct.pack("=IHHII", 16 + len(body), 2, flags, 0, 99) + body


@pytest.mark.parametrize("target", [V4, V6], ids=str)
def test_one_message_a_mac_writes_both_tables(target: Target) -> None:
    messages = decode(rows.encode_install(TABLE, target, MACS))

    assert [mac_of(message) for message in messages] == MACS
    for message in messages:
        assert message["header"]["type"] == netlink.RTM_NEWNEIGH
        assert message["header"]["flags"] == REQUEST | CREATE | REPLACE
        assert message["family"] == socket.AF_BRIDGE
        assert message["ifindex"] == 17
        assert message["state"] == 0x42
        assert message["flags"] == SELF | MASTER | STICKY
        assert message.get_attr("NDA_DST") == str(target.ip)
        assert message.get_attr("NDA_PORT") == target.port


def test_a_table_without_a_bridge_writes_to_the_device_alone() -> None:
    (message,) = decode(rows.encode_install(Table(17, master=False), V4, MACS[:1]))
    assert message["flags"] == SELF | STICKY

    (message,) = decode(rows.encode_remove(Table(17, master=False), MACS[:1]))
    assert message["flags"] == SELF


def test_a_removal_names_the_mac_and_both_tables() -> None:
    messages = decode(rows.encode_remove(TABLE, MACS))

    assert [mac_of(message) for message in messages] == MACS
    assert {message["header"]["type"] for message in messages} == {netlink.RTM_DELNEIGH}
    assert {message["flags"] for message in messages} == {SELF | MASTER}


def test_halves_are_removed_by_a_message_each() -> None:
    messages = decode(rows.encode_remove_halves(TABLE, MACS[:2]))

    assert sorted((mac_of(message), message["flags"]) for message in messages) == sorted(
        (mac, flag) for mac in MACS[:2] for flag in (SELF, MASTER)
    )


def test_a_table_without_a_bridge_has_one_half() -> None:
    assert len(decode(rows.encode_remove_halves(Table(17, master=False), MACS))) == len(MACS)


def test_a_destination_of_a_group_mac_is_appended_at_the_device_alone() -> None:
    mac = bytes.fromhex("01005e000001")
    (added,) = decode(rows.encode_append(TABLE, mac, V4))
    (removed,) = decode(rows.encode_remove_destination(TABLE, mac, V4))

    assert added["header"]["flags"] == REQUEST | CREATE | APPEND
    assert removed["header"]["type"] == netlink.RTM_DELNEIGH
    for message, flags in ((added, SELF | STICKY), (removed, SELF)):
        assert mac_of(message) == mac
        assert message["flags"] == flags
        assert message.get_attr("NDA_DST") == "192.0.2.1"
        assert message.get_attr("NDA_PORT") == 4789


def test_a_question_has_a_number_and_no_state() -> None:
    (message,) = decode(rows.encode_get(TABLE, MACS[0], 5))

    assert message["header"]["type"] == netlink.RTM_GETNEIGH
    assert message["header"]["sequence_number"] == 5
    assert message["state"] == 0
    assert message["flags"] == SELF
    assert mac_of(message) == MACS[0]


@pytest.mark.parametrize("target", [Target(ip_address("192.0.2.1")), Target(port=4789)], ids=str)
def test_a_row_needs_an_address_and_a_port(target: Target) -> None:
    with pytest.raises(ValueError, match="needs an address and a port"):
        rows.encode_install(TABLE, target, MACS)


def test_the_rows_of_no_mac_are_refused_before_they_become_a_row_of_nothing() -> None:
    assert rows.encode_install(TABLE, V4, []) == b""
    assert rows.encode_remove(TABLE, []) == b""


@pytest.mark.parametrize("target", [V4, V6], ids=str)
def test_a_refusal_is_read_back_to_its_mac(target: Target) -> None:
    messages = rows.encode_install(TABLE, target, MACS)
    second = messages[len(messages) // 3 : 2 * len(messages) // 3]

    assert list(rows.parse_replies(refusal(second, errno.EINVAL))) == [
        Reply(0, netlink.RTM_NEWNEIGH, MACS[1], errno.EINVAL, "Invalid argument")
    ]


def test_the_kernels_words_are_added_to_the_error() -> None:
    words = b"Unknown device\0"
    attribute = struct.pack("=HH", 4 + len(words), 1) + words + b"\0"
    reply = refusal(rows.encode_remove(TABLE, MACS[:1]), errno.ENOENT, 0x200, attribute)

    assert list(rows.parse_replies(reply)) == [
        Reply(
            0,
            netlink.RTM_DELNEIGH,
            MACS[0],
            errno.ENOENT,
            "No such file or directory: Unknown device",
        )
    ]


def test_several_replies_in_one_datagram_are_all_read() -> None:
    reply = refusal(rows.encode_remove(TABLE, MACS[:1]), errno.ENOENT)
    assert len(list(rows.parse_replies(reply * 3))) == 3


def test_an_acknowledgement_is_no_reply() -> None:
    assert list(rows.parse_replies(refusal(rows.encode_remove(TABLE, MACS[:1]), 0))) == []


def test_the_answer_about_a_row_tells_how_long_it_was_idle() -> None:
    header = struct.pack("=BxxxiHBB", socket.AF_BRIDGE, 17, 0x42, SELF, 0)
    mac = struct.pack("=HH6s2x", 10, 2, MACS[0])
    times = struct.pack("=HHIIII", 20, 3, 1, netlink.TICKS * 5, 2, 0)
    body = header + mac + times
    reply = struct.pack("=IHHII", 16 + len(body), netlink.RTM_NEWNEIGH, 0, 3, 99) + body

    assert list(rows.parse_replies(reply)) == [Reply(3, netlink.RTM_NEWNEIGH, MACS[0], idle=5.0)]


def test_a_reply_that_is_cut_anywhere_does_no_harm() -> None:
    reply = refusal(rows.encode_install(TABLE, V4, MACS[:1]), errno.EINVAL)
    for cut in range(len(reply)):
        list(rows.parse_replies(reply[:cut]))
