"""DHCP for IPv4 over Ethernet."""

import contextlib
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import BOOTP, DHCP
from support.wire import ipv4_addresses, macs, mangled, uint8, uint16, uint32
from varpd.net import dhcpv4, udp
from varpd.net.addresses import MacAddress
from varpd.net.decode import DecodeError, Reason

MAC = MacAddress.parse("02:00:00:00:00:01")
DISCOVER = dhcpv4.Message(
    dhcpv4.Operation.REQUEST,
    xid=0x01020304,
    chaddr=MAC,
    broadcast=True,
    seconds=5,
    options=bytes((53, 1, 1, 255)),
)
WIRE = (
    bytes((1, 1, 6, 0, 1, 2, 3, 4, 0, 5, 0x80, 0))
    + bytes(16)
    + MAC
    + bytes(10 + 64 + 128)
    + bytes((99, 130, 83, 99))
    + bytes((53, 1, 1, 255))
)

# Client identifier, parameter list, padding: options that do not matter here.
other_options = st.lists(
    st.one_of(
        st.just(b"\x00"),
        st.tuples(st.sampled_from([55, 61, 82]), st.binary(max_size=20)).map(
            lambda option: bytes((option[0], len(option[1]))) + option[1]
        ),
    ),
    max_size=3,
).map(b"".join)
message_types = st.sampled_from(dhcpv4.MessageType)
messages = st.builds(
    dhcpv4.Message,
    st.sampled_from(dhcpv4.Operation),
    uint32,
    macs,
    st.booleans(),
    ipv4_addresses,
    ipv4_addresses,
    ipv4_addresses,
    ipv4_addresses,
    hops=uint8,
    seconds=uint16,
    server_name=st.binary(min_size=64, max_size=64),
    boot_file=st.binary(min_size=128, max_size=128),
    options=other_options,
)


def test_a_known_message_is_read_and_written() -> None:
    assert dhcpv4.Message.parse(WIRE) == DISCOVER
    assert DISCOVER.serialize() == WIRE
    assert DISCOVER.message_type == dhcpv4.MessageType.DISCOVER


def test_the_message_types_are_numbered_as_in_rfc_2132() -> None:
    names = ["DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"]
    assert [(kind.name, kind.value) for kind in dhcpv4.MessageType] == [
        (name, number) for number, name in enumerate(names, start=1)
    ]


@given(messages)
def test_what_is_written_is_read_back(message: dhcpv4.Message) -> None:
    assert dhcpv4.Message.parse(message.serialize()) == message


@given(messages)
def test_scapy_reads_what_we_write(message: dhcpv4.Message) -> None:
    read = BOOTP(message.serialize())

    assert (read.op, read.htype, read.hlen) == (message.operation, 1, 6)
    assert (read.xid, read.secs, read.hops) == (message.xid, message.seconds, message.hops)
    assert (read.flags.B, int(read.flags) & 0x7FFF) == (message.broadcast, 0)
    assert [read.ciaddr, read.yiaddr, read.siaddr, read.giaddr] == [
        str(address) for address in (message.ciaddr, message.yiaddr, message.siaddr, message.giaddr)
    ]
    assert bytes(read.chaddr)[:6] == message.chaddr
    assert (bytes(read.sname), bytes(read.file)) == (message.server_name, message.boot_file)


@given(messages, message_types, other_options)
def test_we_read_what_scapy_writes(
    message: dhcpv4.Message, kind: dhcpv4.MessageType, tail: bytes
) -> None:
    wire = BOOTP(
        op=int(message.operation),
        xid=message.xid,
        secs=message.seconds,
        hops=message.hops,
        flags="B" if message.broadcast else 0,
        ciaddr=str(message.ciaddr),
        yiaddr=str(message.yiaddr),
        siaddr=str(message.siaddr),
        giaddr=str(message.giaddr),
        chaddr=bytes(message.chaddr),
        sname=message.server_name,
        file=message.boot_file,
    ) / DHCP(options=[("message-type", int(kind)), ("client_id", tail), "end"])
    read = dhcpv4.Message.parse(bytes(wire))

    assert read.message_type == kind
    assert (read.operation, read.xid, read.chaddr) == (
        message.operation,
        message.xid,
        message.chaddr,
    )
    assert (read.seconds, read.hops, read.broadcast) == (
        message.seconds,
        message.hops,
        message.broadcast,
    )
    assert (read.ciaddr, read.yiaddr, read.siaddr, read.giaddr) == (
        message.ciaddr,
        message.yiaddr,
        message.siaddr,
        message.giaddr,
    )
    assert (read.server_name, read.boot_file) == (message.server_name, message.boot_file)


@given(messages, other_options, message_types)
def test_the_message_type_is_found_among_other_options(
    message: dhcpv4.Message, before: bytes, kind: dhcpv4.MessageType
) -> None:
    wire = message.serialize() + before + bytes((53, 1, kind, 255)) + b"after the end"
    assert dhcpv4.Message.parse(wire).message_type == kind


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (b"", None),
        (b"\x00\x00\x00", None),
        (b"\xff", None),
        (bytes((255, 53, 1, 1)), None),
        (bytes((61, 3, 53, 1, 2)), None),
        (bytes((53, 1, 3)), dhcpv4.MessageType.REQUEST),
        (bytes((0, 0, 53, 1, 13, 255)), 13),
    ],
)
def test_a_message_may_have_no_type_and_no_end(options: bytes, kind: int | None) -> None:
    assert dhcpv4.Message.parse(WIRE[:240] + options).message_type == kind


def overwritten(at: int, value: int) -> bytes:
    return WIRE[:at] + bytes((value,)) + WIRE[at + 1 :]


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (WIRE[:239], Reason.TRUNCATED),
        (overwritten(0, 0), Reason.DHCP_OPERATION),
        (overwritten(0, 3), Reason.DHCP_OPERATION),
        (overwritten(1, 6), Reason.DHCP_HARDWARE_TYPE),
        (overwritten(2, 16), Reason.DHCP_ADDRESS_LENGTH),
        (overwritten(2, 0), Reason.DHCP_ADDRESS_LENGTH),
        (overwritten(236, 0), Reason.DHCP_COOKIE),
        (WIRE[:240] + bytes((53,)), Reason.DHCP_OPTION),
        (WIRE[:240] + bytes((53, 1)), Reason.DHCP_OPTION),
        (WIRE[:240] + bytes((61, 4, 1, 2, 3)), Reason.DHCP_OPTION),
        (WIRE[:240] + bytes((53, 0, 255)), Reason.DHCP_OPTION),
        (WIRE[:240] + bytes((53, 2, 1, 1, 255)), Reason.DHCP_OPTION),
        (WIRE + bytes(udp.PAYLOAD_MAX), Reason.DHCP_LENGTH),
    ],
)
def test_a_bad_message_says_what_is_wrong(wire: bytes, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        dhcpv4.Message.parse(wire)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("xid", -1),
        ("xid", 1 << 32),
        ("hops", 256),
        ("seconds", 1 << 16),
        ("server_name", bytes(63)),
        ("boot_file", bytes(129)),
        ("options", bytes((53, 2, 1, 1))),
    ],
)
def test_what_does_not_fit_the_message_is_refused(field: str, value: int | bytes) -> None:
    fields: dict[str, Any] = {"xid": 1, field: value}
    with pytest.raises(ValueError, match=r"out of range|bytes"):
        dhcpv4.Message(dhcpv4.Operation.REQUEST, chaddr=MAC, **fields)


def test_the_longest_message_fills_a_datagram() -> None:
    message = dhcpv4.Message(
        dhcpv4.Operation.REPLY, 1, MAC, options=bytes(dhcpv4.OPTIONS_MAX), yiaddr=IPv4Address(1)
    )
    assert len(udp.Datagram(67, 68, message.serialize()).payload) == udp.PAYLOAD_MAX


@given(st.one_of(mangled(WIRE), st.binary(max_size=40).map(lambda tail: WIRE[:240] + tail)))
def test_any_bytes_parse_or_raise_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        dhcpv4.Message.parse(data)
