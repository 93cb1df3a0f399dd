"""Messages about the log, as bodies."""

import contextlib
from ipaddress import IPv4Address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wire import ip_addresses, macs, mangled, uint16, uint32
from varpd.net.addresses import MacAddress
from varpd.net.decode import DecodeError, Reason
from varpd.plugins.svp import log_messages as log
from varpd.plugins.svp.fields import Fault, Status

ID = UUID("de305d54-75b4-431b-adb2-eb6b9e546001")
MAC = MacAddress.parse("90:b8:d0:01:00:02")
VL2 = log.Vl2Record(ID, MAC, 100)
VL3 = log.Vl3Record(ID, IPv4Address("10.0.0.2"), 4, 100)
OK = bytes(4)

records = st.one_of(
    st.builds(log.Vl2Record, st.uuids(), macs, uint32),
    st.builds(log.Vl3Record, st.uuids(), ip_addresses, uint16, uint32),
)
any_message = st.one_of(
    st.builds(log.LogRequest, uint32, ip_addresses),
    st.builds(log.LogAck, st.sampled_from(Status), st.lists(records, max_size=5).map(tuple)),
    st.builds(log.LogRemove, st.lists(st.uuids(), max_size=5).map(tuple)),
    st.builds(log.LogRemoveAck, st.sampled_from(Status)),
)


@given(any_message)
def test_what_is_written_is_read_back(message: log.LogAck) -> None:
    assert type(message).parse(message.serialize()) == message


@given(any_message, st.data())
def test_any_body_parses_or_raises_decode_error(message: log.LogAck, data: st.DataObject) -> None:
    with contextlib.suppress(DecodeError):
        type(message).parse(data.draw(mangled(message.serialize())))


def test_records_have_the_sizes_of_the_protocol() -> None:
    assert (len(VL2.serialize()), len(VL3.serialize())) == (32, 44)


def test_the_vlan_of_a_record_is_kept() -> None:
    assert log.LogAck.parse(OK + VL3.serialize()).records == (VL3,)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (bytes((0, 0, 0, 9)), Fault.STATUS),
        (OK + VL2.serialize()[:-1], Fault.RECORD),
        (OK + VL2.serialize() + bytes(3), Reason.TRUNCATED),
    ],
)
def test_a_log_that_is_wrong_anywhere_gives_no_record(body: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        log.LogAck.parse(body)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("count", "reason"), [(2, Reason.TRUNCATED), (0, Fault.SIZE)])
def test_a_removal_has_as_many_ids_as_it_says(count: int, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        log.LogRemove.parse(count.to_bytes(4, "big") + ID.bytes)
    assert caught.value.reason == reason


def test_what_the_wire_cannot_carry_does_not_exist() -> None:
    with pytest.raises(ValueError, match="vlan"):
        log.Vl3Record(ID, IPv4Address(1), 1 << 16, 100)
    with pytest.raises(ValueError, match="vnetid"):
        log.Vl2Record(ID, MAC, 1 << 32)
    with pytest.raises(ValueError, match="count"):
        log.LogRequest(-1, IPv4Address(1))


def test_a_record_of_unknown_type_ends_the_reading_and_what_stands_before_it_counts() -> None:
    body = OK + VL2.serialize() + bytes((0, 0, 0, 3)) + bytes(40) + VL2.serialize()
    found = log.LogAck.parse(body)
    assert (found.records, found.unknown) == ((VL2,), 3)
