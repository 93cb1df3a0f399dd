"""How a TCP stream carries messages, held against frames of a real Portolan server."""

import contextlib
import random
import zlib
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wire import uint32
from varpd.net.addresses import MacAddress
from varpd.net.decode import DecodeError
from varpd.plugins.svp import log_messages, messages, wire
from varpd.plugins.svp.fields import Fault, Operation, Status

MAC: Final = MacAddress.parse("90:b8:d0:01:00:02")
HOST: Final = IPv4Address("192.168.77.2")
GUEST: Final = IPv4Address("10.0.0.2")
GUEST6: Final = IPv6Address("fd01:100::2")
RECORDS: Final = (
    log_messages.Vl2Record(UUID("de305d54-75b4-431b-adb2-eb6b9e546001"), MAC, 100),
    log_messages.Vl3Record(UUID("de305d54-75b4-431b-adb2-eb6b9e546002"), GUEST, 4, 100),
    log_messages.Vl3Record(UUID("de305d54-75b4-431b-adb2-eb6b9e546003"), GUEST6, 0, 100),
)

SAMPLES: Final[list[tuple[str, wire.Message]]] = [
    (
        "0001000100000000112233444f78dbb2",
        messages.Ping(),
    ),
    (
        "000100020000000011223344f2b2b77c",
        messages.Pong(),
    ),
    (
        "000100030000000c0000000177012ecd90b8d0010002000000000064",
        messages.Vl2Request(MAC, 100),
    ),
    (
        "0001000400000014000000017237fc89000012b500000000000000000000ffffc0a84d02",
        messages.Vl2Ack(Status.OK, 4789, HOST),
    ),
    (
        "000100030000000c00000003c0ed8b3090b8d0010004000000000064",
        messages.Vl2Request(MacAddress.parse("90:b8:d0:01:00:04"), 100),
    ),
    (
        "0001000400000014000000038c35a65f000012b5fd000077000000000000000000000004",
        messages.Vl2Ack(Status.OK, 4789, IPv6Address("fd00:77::4")),
    ),
    (
        "000100030000000c000000049e0e824f02dead000001000000000064",
        messages.Vl2Request(MacAddress.parse("02:de:ad:00:00:01"), 100),
    ),
    (
        "000100040000001400000004204d450f0002000000000000000000000000000000000000",
        messages.Vl2Ack(Status.NOT_FOUND),
    ),
    (
        "000100050000001800000006dc910dab00000000000000000000ffff0a0000020000000100000064",
        messages.Vl3Request(GUEST, 100),
    ),
    (
        "000100060000001c000000063a9985d50000000090b8d001000212b500000000000000000000ffffc0a84d02",
        messages.Vl3Ack(Status.OK, MAC, 4789, HOST),
    ),
    (
        "0001000500000018000000081070299cfd0101000000000000000000000000020000000200000064",
        messages.Vl3Request(GUEST6, 100),
    ),
    (
        "000100060000001c00000008e05366260000000090b8d001000212b500000000000000000000ffffc0a84d02",
        messages.Vl3Ack(Status.OK, MAC, 4789, HOST),
    ),
    (
        "00010005000000180000000a080dcb5a00000000000000000000ffff0a0000fa0000000100000064",
        messages.Vl3Request(IPv4Address("10.0.0.250"), 100),
    ),
    (
        "000100060000001c0000000a987ad8fc00000002000000000000000000000000000000000000000000000000",
        messages.Vl3Ack(Status.NOT_FOUND),
    ),
    (
        "00010009000000140000000ba48aad5f0000100000000000000000000000ffffc0a84d01",
        log_messages.LogRequest(4096, IPv4Address("192.168.77.1")),
    ),
    (
        "0001000a0000007c0000000b12efbc8e0000000000000001de305d5475b4431b"
        "adb2eb6b9e54600190b8d001000200000000006400000002de305d5475b4431b"
        "adb2eb6b9e54600200000000000000000000ffff0a0000020000000400000064"
        "00000002de305d5475b4431badb2eb6b9e546003fd0101000000000000000000"
        "000000020000000000000064",
        log_messages.LogAck(Status.OK, RECORDS),
    ),
    (
        "0001000b000000140000000c0a9f2d2800000001de305d5475b4431badb2eb6b9e546001",
        log_messages.LogRemove((RECORDS[0].id,)),
    ),
    (
        "0001000c000000040000000c6ba2ea0600000000",
        log_messages.LogRemoveAck(Status.OK),
    ),
    (
        "00010009000000140000000de53eea6d0000100000000000000000000000ffffc0a84dfa",
        log_messages.LogRequest(4096, IPv4Address("192.168.77.250")),
    ),
    (
        "0001000a000000040000000dacea79db00000001",
        log_messages.LogAck(Status.FATAL),
    ),
]
"""Frames as a real client and a real server sent them."""

GOLDEN: Final = [(bytes.fromhex(text), message) for text, message in SAMPLES]

REPLIES: Final = [data for data, message in GOLDEN if message.OPERATION % 2 == 0]
VL2_ACK: Final = GOLDEN[3][0]


def frames(stream: wire.Stream, data: bytes) -> list[wire.Frame]:
    stream.feed(data)
    return list(iter(stream.next_frame, None))


def with_checksum(data: bytes) -> bytes:
    """`data` with the checksum that its other bytes want."""
    checksum = zlib.crc32(data[:12] + bytes(4) + data[16:])
    return data[:12] + checksum.to_bytes(4, "big") + data[16:]


@pytest.mark.parametrize(("data", "message"), GOLDEN)
def test_a_real_frame_is_read_and_written(data: bytes, message: wire.Message) -> None:
    (frame,) = frames(wire.Stream(), data)
    assert frame.message() == message
    assert frame.operation == message.OPERATION
    assert wire.serialize(frame.id, message) == data


def test_every_operation_has_its_message() -> None:
    assert set(wire.MESSAGES) == set(Operation)
    assert all(operation == kind.OPERATION for operation, kind in wire.MESSAGES.items())


def test_frames_come_out_however_the_stream_is_cut() -> None:
    data = b"".join(each for each, _ in GOLDEN)
    at_once = frames(wire.Stream(), data)
    stream = wire.Stream()
    assert [frame for byte in data for frame in frames(stream, bytes((byte,)))] == at_once
    assert [frame.message() for frame in at_once] == [message for _, message in GOLDEN]


@given(uint32)
def test_the_id_is_kept(number: int) -> None:
    (frame,) = frames(wire.Stream(), wire.serialize(number, messages.Ping()))
    assert frame == wire.Frame(Operation.PING, number, b"")


def test_an_id_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="id out of range"):
        wire.serialize(1 << 32, messages.Ping())


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (1, 2, Fault.VERSION),
        (3, 0, Fault.OPERATION),
        (3, 14, Fault.OPERATION),
        (15, VL2_ACK[15] ^ 1, Fault.CHECKSUM),
        (35, VL2_ACK[35] ^ 1, Fault.CHECKSUM),
    ],
)
def test_a_fault_is_named_after_the_good_frames(at: int, value: int, reason: Fault) -> None:
    bad = bytearray(VL2_ACK)
    bad[at] = value
    stream = wire.Stream()
    stream.feed(VL2_ACK + bytes(bad))
    assert stream.next_frame() is not None
    with pytest.raises(DecodeError) as caught:
        stream.next_frame()
    assert caught.value.reason == reason


def test_a_body_that_is_too_long_is_refused_before_it_is_there() -> None:
    stream = wire.Stream(max_body=19)
    stream.feed(VL2_ACK[: wire.HEADER_SIZE])
    with pytest.raises(DecodeError, match="20 bytes; at most 19") as caught:
        stream.next_frame()
    assert caught.value.reason == Fault.SIZE


def test_a_body_may_be_as_long_as_is_taken() -> None:
    assert len(frames(wire.Stream(max_body=20), VL2_ACK)) == 1


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_mutated_reply_never_gives_another_message(count: int) -> None:
    chance = random.Random(count)
    for _ in range(count):
        reply = bytearray(chance.choice(REPLIES))
        at = chance.randrange(len(reply))
        for place in range(at, min(at + 4, len(reply))):
            reply[place] ^= chance.randrange(256)
        changed = bytes(reply)
        if changed in REPLIES:
            continue
        with contextlib.suppress(DecodeError):
            assert frames(wire.Stream(), changed) == []


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_mutated_body_with_a_good_checksum_parses_or_raises_decode_error(count: int) -> None:
    chance = random.Random(count)
    for _ in range(count):
        reply = bytearray(chance.choice(REPLIES))
        for _ in range(3):
            reply[chance.randrange(len(reply))] = chance.randrange(256)
        with contextlib.suppress(DecodeError):
            for frame in frames(wire.Stream(), with_checksum(bytes(reply))):
                # What was read is what was sent, but for padding and v4-mapped addresses.
                again = wire.serialize(frame.id, message := frame.message())
                assert frames(wire.Stream(), again)[0].message() == message


@given(st.binary(max_size=128))
def test_any_bytes_give_frames_or_raise_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        for frame in frames(wire.Stream(), data):
            frame.message()
