"""Messages about liveness and mappings, as bodies."""

import contextlib
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wire import ip_addresses, macs, mangled, uint16, uint32
from varpd.net.addresses import MacAddress
from varpd.net.decode import DecodeError, Reason
from varpd.plugins.svp import messages
from varpd.plugins.svp.fields import BulkType, Fault, Status

MAC = MacAddress.parse("90:b8:d0:01:00:02")

statuses = st.sampled_from(Status)

any_message = st.one_of(
    st.just(messages.Ping()),
    st.just(messages.Pong()),
    st.builds(messages.Vl2Request, macs, uint32),
    st.builds(messages.Shootdown, macs, uint32),
    st.builds(messages.Vl2Ack, statuses, uint16, ip_addresses),
    st.builds(messages.Vl3Request, ip_addresses, uint32),
    st.builds(messages.Vl3Ack, statuses, macs, uint16, ip_addresses),
    st.builds(messages.BulkRequest, st.sampled_from(BulkType)),
    st.builds(messages.BulkAck, st.binary(max_size=64)),
)


@given(any_message)
def test_what_is_written_is_read_back(message: messages.Ping) -> None:
    assert type(message).parse(message.serialize()) == message


@given(any_message, st.data())
def test_any_body_parses_or_raises_decode_error(
    message: messages.Ping, data: st.DataObject
) -> None:
    wire = message.serialize()
    body = data.draw(mangled(wire)) if wire else data.draw(st.binary(max_size=8))
    with contextlib.suppress(DecodeError):
        type(message).parse(body)


def test_padding_is_not_looked_at() -> None:
    body = MAC + b"\xff\xff" + bytes((0, 0, 0, 100))
    assert messages.Vl2Request.parse(body) == messages.Vl2Request(MAC, 100)


def test_an_answer_without_a_mapping_is_all_zero() -> None:
    not_found = Status.NOT_FOUND
    assert messages.Vl2Ack(not_found).serialize() == bytes((0, 2)) + bytes(18)
    assert messages.Vl3Ack(not_found).serialize() == bytes((0, 0, 0, 2)) + bytes(24)


@pytest.mark.parametrize("kind", [0, 2, 3])
def test_a_vl3_request_whose_type_is_not_its_address_is_refused(kind: int) -> None:
    body = messages.Vl3Request(IPv4Address("10.0.0.2"), 100).serialize()
    wrong = body[:16] + kind.to_bytes(4, "big") + body[20:]
    with pytest.raises(DecodeError, match=f"type {kind} for 10.0.0.2") as caught:
        messages.Vl3Request.parse(wrong)
    assert caught.value.reason == Fault.L3_TYPE


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (messages.Ping, bytes(1), Fault.SIZE),
        (messages.Vl2Request, bytes(11), Reason.TRUNCATED),
        (messages.Vl2Ack, bytes((0, 9)) + bytes(18), Fault.STATUS),
        (messages.Vl3Ack, bytes(29), Fault.SIZE),
        (messages.BulkRequest, bytes(4), Fault.BULK_TYPE),
    ],
)
def test_a_bad_body_says_what_is_wrong(kind: type[messages.Ping], body: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        kind.parse(body)
    assert caught.value.reason == reason


def test_what_the_wire_cannot_carry_does_not_exist() -> None:
    with pytest.raises(ValueError, match="vnetid"):
        messages.Vl2Request(MAC, 1 << 32)
    with pytest.raises(ValueError, match="vnetid"):
        messages.Vl3Request(IPv4Address(1), -1)
    with pytest.raises(ValueError, match="port"):
        messages.Vl2Ack(Status.OK, 1 << 16)
    with pytest.raises(ValueError, match="port"):
        messages.Vl3Ack(Status.OK, MAC, -1)
    with pytest.raises(ValueError, match="v4-mapped"):
        messages.Vl2Ack(Status.OK, 1, IPv6Address("::ffff:10.0.0.1"))
