"""Socket filters, run by a small machine of classic BPF written from its description."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.datapath.linux import filters
from varpd.net import vxlan

HEADER = vxlan.pack_header(0x123456)
FRAME = bytes(range(60))
SIZE = 200
NETWORK = 0xFFF00000


class _EndedError(Exception):
    """A load from beyond the end."""


def run(program: list[filters.Instruction], network: bytes, transport: bytes) -> int:
    """Return what the program returns for a packet, split where its transport header begins."""
    accumulator = 0
    at = 0
    try:
        while True:
            code, true, false, operand = program[at]
            at += 1
            match code:
                case 0x20:
                    accumulator = load(network, transport, operand, 4)
                case 0x28:
                    accumulator = load(network, transport, operand, 2)
                case 0x30:
                    accumulator = load(network, transport, operand, 1)
                case 0x80:
                    accumulator = len(transport)
                case 0x15:
                    at += true if accumulator == operand else false
                case 0x25:
                    at += true if accumulator > operand else false
                case 0x35:
                    at += true if accumulator >= operand else false
                case 0x06:
                    return operand
                case _:
                    raise AssertionError(f"unknown instruction {code:#x}")
    except _EndedError:
        return 0


def load(network: bytes, transport: bytes, at: int, width: int) -> int:
    data, start = (network + transport, at - NETWORK) if at >= NETWORK else (transport, at)
    if start + width > len(data):
        raise _EndedError
    return int.from_bytes(data[start : start + width], "big")


def ip_header(source: IPv4Address | IPv6Address) -> bytes:
    before = 12 if source.version == 4 else 8
    return bytes(before) + source.packed + bytes(len(source.packed))


ADDRESSES = pytest.mark.parametrize(
    "address", [ip_address("192.0.2.1"), ip_address("2001:db8::1")], ids=str
)


@ADDRESSES
def test_a_frame_from_our_device_passes_whole(address: IPv4Address | IPv6Address) -> None:
    program = filters.punt_filter(address, HEADER, SIZE)
    assert run(program, ip_header(address), bytes(8) + HEADER + FRAME) == 0xFFFFFFFF


@ADDRESSES
def test_another_source_is_refused_whichever_byte_differs(
    address: IPv4Address | IPv6Address,
) -> None:
    program = filters.punt_filter(address, HEADER, SIZE)
    for at in range(len(address.packed)):
        packed = bytearray(address.packed)
        packed[at] ^= 0x01
        other = ip_header(ip_address(bytes(packed)))
        assert run(program, other, bytes(8) + HEADER + FRAME) == 0


@given(st.binary(min_size=8, max_size=8))
def test_only_our_own_header_passes(header: bytes) -> None:
    address = ip_address("192.0.2.1")
    program = filters.punt_filter(address, HEADER, SIZE)
    passes = run(program, ip_header(address), bytes(8) + header + FRAME) != 0
    assert passes == (header == HEADER)


@ADDRESSES
@pytest.mark.parametrize(
    ("size", "passes"),
    [(0, False), (8, False), (21, False), (22, True), (SIZE, True), (SIZE + 1, False)],
)
def test_only_sizes_that_frames_have_pass(
    address: IPv4Address | IPv6Address, size: int, passes: bool
) -> None:
    program = filters.punt_filter(address, HEADER, SIZE)
    datagram = (HEADER + bytes(SIZE))[:size]
    assert (run(program, ip_header(address), bytes(8) + datagram) != 0) == passes


def test_a_header_of_any_size_can_be_asked_for() -> None:
    address = ip_address("192.0.2.1")
    header = b"\x01\x02\x03\x04\x05\x06\x07"
    program = filters.punt_filter(address, header, SIZE)
    assert run(program, ip_header(address), bytes(8) + header + FRAME)
    assert not run(program, ip_header(address), bytes(8) + header[:6] + b"\x08" + FRAME)


def test_the_kernel_runs_what_is_attached() -> None:
    address = ip_address("127.0.0.1")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.settimeout(5)
        receiver.bind(("127.0.0.1", 0))
        filters.attach(receiver, filters.punt_filter(address, HEADER, SIZE))
        for datagram in (HEADER, FRAME, HEADER + bytes(SIZE), HEADER + FRAME):
            sender.sendto(datagram, receiver.getsockname())
        assert receiver.recv(1000) == HEADER + FRAME


def test_a_socket_at_the_listen_address_takes_only_what_came_by_the_loopback_interface() -> None:
    usual = filters.punt_filter(IPv4Address("192.0.2.1"), HEADER, SIZE)
    narrow = filters.punt_filter(IPv4Address("192.0.2.1"), HEADER, SIZE, loopback_only=True)
    # Two more instructions: load the index of the interface (SKF_AD_OFF + 8), compare it to 1.
    assert len(narrow) == len(usual) + 2
    place = next(n for n, one in enumerate(narrow) if one[0] == 0x20 and one[3] == 0xFFFFF008)
    assert narrow[place + 1][0] == filters.JUMP_EQUAL
    assert narrow[place + 1][3] == 1
    # What is not so is refused.
    assert place + 2 + narrow[place + 1][2] == len(narrow) - 1
