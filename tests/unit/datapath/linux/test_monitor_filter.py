"""What the monitor's socket filter lets through, by an interpreter of the few instructions."""

import struct

import pytest

from support import bpf
from varpd.datapath.linux import netlink
from varpd.datapath.linux.monitor_filter import monitor_filter

AF_INET, AF_BRIDGE = 2, 7


def passes(data: bytes) -> bool:
    return bpf.passes(monitor_filter(), data)


def message(kind: int, family: int = AF_BRIDGE, flags: int = 0) -> bytes:
    body = struct.pack("=BxxxiHBB", family, 7, 0, flags, 0)
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 0, 0, 0) + body


@pytest.mark.parametrize("kind", [netlink.RTM_NEWADDR, netlink.RTM_DELADDR])
def test_addresses_pass(kind: int) -> None:
    assert passes(message(kind, AF_INET, 0x42))


@pytest.mark.parametrize("kind", [netlink.RTM_NEWNEIGH, netlink.RTM_DELNEIGH])
def test_rows_that_a_bridge_learns_pass_and_nothing_else_of_neighbours(kind: int) -> None:
    assert passes(message(kind))
    assert not passes(message(kind, flags=netlink.NTF_SELF))
    assert not passes(message(kind, flags=netlink.NTF_STICKY))
    assert not passes(message(kind, AF_INET))


def test_other_messages_do_not_pass() -> None:
    assert not passes(message(netlink.RTM_NEWLINK))
