"""What rules look at."""

import sys

import pytest

from varpd.datapath.linux.guard import matches
from varpd.datapath.linux.nft.expressions import Compare, Meta
from varpd.net import vxlan


@pytest.mark.parametrize("vnetid", [0, 7, 2**24 - 1])
def test_the_key_of_a_tunnel_is_what_stands_in_the_datagram(vnetid: int) -> None:
    udp = bytes.fromhex("c000 12b5 0020 0000")
    datagram = udp + vxlan.pack_header(vnetid)
    port, vni = matches.TUNNEL[2:]
    loaded = b""
    for step in (port, vni):
        at, size = (int.from_bytes(step.attributes[n], "big") for n in (3, 4))
        loaded += datagram[at : at + size].ljust(4, b"\0")
    assert loaded == matches.tunnel_key(4789, vnetid)


def test_numbers_of_the_host_are_in_its_byte_order() -> None:
    assert matches.index(1) == (1).to_bytes(4, sys.byteorder)
    assert matches.port_key(4789) == b"\x12\xb5"


def test_what_comes_by_the_loopback_interface_is_known_by_its_index() -> None:
    load, compare = matches.by_loopback(Compare.UNEQUAL)
    assert load.attributes[2] == Meta.IIF.to_bytes(4, "big")
    assert compare.attributes[2] == Compare.UNEQUAL.to_bytes(4, "big")


def test_what_is_dropped_is_counted() -> None:
    assert [step.name for step in matches.counted_drop()] == ["counter", "immediate"]
