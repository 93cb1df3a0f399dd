"""What the drift monitor's socket filter lets through, by an interpreter of the instructions."""

import socket
import struct

import pytest

from support import bpf
from varpd.datapath.linux import netlink
from varpd.datapath.linux.drift_filter import drift_filter

SELF, STICKY, MASTER = netlink.NTF_SELF, netlink.NTF_STICKY, netlink.NTF_MASTER
STATIC, LEARNED = netlink.NUD_NOARP, 0x02
NEW, GONE = netlink.RTM_NEWNEIGH, netlink.RTM_DELNEIGH


def passes(data: bytes) -> bool:
    return bpf.passes(drift_filter(), data)


def message(kind: int, flags: int = 0, state: int = 0, family: int = socket.AF_BRIDGE) -> bytes:
    body = struct.pack("=BxxxiHBB", family, 7, state, flags, 0)
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 0, 0, 0) + body


@pytest.mark.parametrize("kind", [netlink.RTM_NEWLINK, netlink.RTM_DELLINK, netlink.RTM_DELADDR])
def test_links_and_addresses_that_go_pass(kind: int) -> None:
    assert passes(message(kind, family=socket.AF_UNSPEC))


@pytest.mark.parametrize(
    ("flags", "state", "expected"),
    [
        (SELF | STICKY, STATIC | LEARNED, False),  # as varpd writes them
        (STICKY, STATIC, False),
        (SELF, STATIC, True),  # somebody else's
        (SELF, LEARNED, True),
        (0, STATIC, True),
        (0, LEARNED, False),  # as bridges learn them
        (0, netlink.NUD_PERMANENT, True),  # of a port itself, or made so
    ],
)
def test_written_rows(flags: int, state: int, expected: bool) -> None:
    assert passes(message(NEW, flags, state)) is expected


@pytest.mark.parametrize(
    ("flags", "expected"), [(SELF, True), (SELF | STICKY, True), (STICKY, True), (0, False)]
)
def test_removed_rows(flags: int, expected: bool) -> None:
    assert passes(message(GONE, flags)) is expected


@pytest.mark.parametrize("kind", [NEW, GONE])
def test_neighbours_of_other_families_do_not_pass(kind: int) -> None:
    assert not passes(message(kind, SELF, STATIC, socket.AF_INET))


def test_new_addresses_do_not_pass() -> None:
    assert not passes(message(netlink.RTM_NEWADDR))
