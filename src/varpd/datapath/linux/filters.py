"""Socket filters in classic BPF (linux/filter.h, linux/bpf_common.h): what a socket takes at all.

A filter of a UDP socket sees the datagram from its UDP header on; what stands before that is
reached by offsets from `_NETWORK`. A load from beyond the end ends the filter, and the datagram.
"""

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final

from varpd.net.addresses import IpAddress

_LOAD_WORD: Final = 0x20
"""BPF_LD | BPF_W | BPF_ABS: four bytes at an offset, big-endian."""

LOAD_HALF: Final = 0x28
"""BPF_LD | BPF_H | BPF_ABS: two bytes."""

LOAD_BYTE: Final = 0x30
"""BPF_LD | BPF_B | BPF_ABS: one byte."""

_LOAD_SIZE: Final = 0x80
"""BPF_LD | BPF_W | BPF_LEN: the size of the datagram with its UDP header."""

JUMP_EQUAL: Final = 0x15
"""BPF_JMP | BPF_JEQ | BPF_K."""

JUMP_SET: Final = 0x45
"""BPF_JMP | BPF_JSET | BPF_K: whether any of these bits is set."""

_JUMP_AT_LEAST: Final = 0x35
"""BPF_JMP | BPF_JGE | BPF_K."""

_JUMP_GREATER: Final = 0x25
"""BPF_JMP | BPF_JGT | BPF_K."""

RETURN: Final = 0x06
"""BPF_RET | BPF_K: how many bytes are taken, 0 for none."""

_NETWORK: Final = -0x100000 & 0xFFFFFFFF
"""SKF_NET_OFF: offsets from here begin at the IP header."""

_INTERFACE: Final = (-0x1000 + 8) & 0xFFFFFFFF
"""SKF_AD_OFF + SKF_AD_IFINDEX: the index of the interface by which it came."""

_LOOPBACK: Final = 1
"""Index of `lo` in every network namespace."""

_SOURCE_AT: Final = {4: 12, 6: 8}
"""Where the source address stands in the IP header of a version."""

# Not in Python's socket module (asm-generic/socket.h).
_SO_ATTACH_FILTER: Final = 26

_UDP_HEADER: Final = 8
_ETHERNET_HEADER: Final = 14
ALL: Final = 0xFFFFFFFF
"""For `RETURN`: the whole datagram."""


_INSTRUCTION = struct.Struct("=HBBI")
_PROGRAM = struct.Struct("@HP")
_LOADS: Final = ((4, _LOAD_WORD), (2, LOAD_HALF), (1, LOAD_BYTE))

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


def punt_filter(
    listen_ip: IpAddress, header: bytes, size: int, *, loopback_only: bool = False
) -> list[Instruction]:
    """Return the program of a punt socket.

    It takes datagrams from `listen_ip` that begin with `header`, hold an Ethernet header at least,
    and are not longer than `size` bytes; with `loopback_only` those that came by `lo`.
    """
    least = _UDP_HEADER + len(header) + _ETHERNET_HEADER
    checks: list[tuple[Instruction, int, int, bool]] = [
        ((_LOAD_SIZE, 0, 0, 0), _JUMP_AT_LEAST, least, True),
        ((_LOAD_SIZE, 0, 0, 0), _JUMP_GREATER, _UDP_HEADER + size, False),
    ]
    if loopback_only:
        checks.append(((_LOAD_WORD, 0, 0, _INTERFACE), JUMP_EQUAL, _LOOPBACK, True))
    source = _NETWORK + _SOURCE_AT[listen_ip.version]
    checks += _equal(source, listen_ip.packed)
    checks += _equal(_UDP_HEADER, header)
    # Each check is a load and a jump over the rest to the last instruction, the refusal.
    program: list[Instruction] = []
    for number, (load, jump, operand, wanted) in enumerate(checks):
        away = 2 * (len(checks) - number - 1) + 1
        program.append(load)
        program.append((jump, 0 if wanted else away, away if wanted else 0, operand))
    return [*program, (RETURN, 0, 0, ALL), (RETURN, 0, 0, 0)]


def attach(to: socket.socket, program: Sequence[Instruction]) -> None:
    """Give a socket its filter, in place of one that it has.

    Raises:
        OSError: the kernel refuses the program.
    """
    code = b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)
    # Named, so that it lives until the kernel has read it.
    memory = ctypes.create_string_buffer(code, len(code))
    to.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        _PROGRAM.pack(len(program), ctypes.addressof(memory)),
    )


def _equal(at: int, data: bytes) -> list[tuple[Instruction, int, int, bool]]:
    """Return the checks that `data` stands at an offset."""
    checks: list[tuple[Instruction, int, int, bool]] = []
    while data:
        width, load = next((width, load) for width, load in _LOADS if len(data) >= width)
        operand = int.from_bytes(data[:width], "big")
        checks.append(((load, 0, 0, at), JUMP_EQUAL, operand, True))
        at, data = at + width, data[width:]
    return checks
