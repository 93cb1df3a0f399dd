"""Strategies for what stands in packets, and for packets with something wrong in them."""

from ipaddress import IPv6Address, IPv6Network

from hypothesis import strategies as st

from varpd.net.addresses import MacAddress

V4_MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses written as IPv6 addresses (RFC 4291, section 2.5.5.2)."""

uint8 = st.integers(0, (1 << 8) - 1)
uint16 = st.integers(0, (1 << 16) - 1)
uint32 = st.integers(0, (1 << 32) - 1)

macs = st.binary(min_size=6, max_size=6).map(MacAddress)
ipv4_addresses = st.ip_addresses(v=4)
ipv6_addresses = st.ip_addresses(v=6)
ipv6_unicast_addresses = ipv6_addresses.filter(
    lambda address: not address.is_multicast and address != IPv6Address("::")
)
ip_addresses = st.one_of(
    ipv4_addresses, ipv6_addresses.filter(lambda address: address not in V4_MAPPED)
)
"""Addresses of both families, each IPv4 address in the one form it has on its own."""
payloads = st.binary(max_size=64)
padding = st.binary(max_size=18)
"""What a short Ethernet frame is filled up with; not always zeros."""


@st.composite
def mangled(draw: st.DrawFn, wire: bytes) -> bytes:
    """`wire` with some bytes overwritten, cut anywhere, with anything behind it."""
    data = bytearray(wire)
    for at in draw(st.lists(st.integers(0, len(wire) - 1), max_size=3)):
        data[at] = draw(uint8)
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=16))
