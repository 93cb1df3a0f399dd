"""The table of encapsulations, with scapy as a second opinion on sizes and headers."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import IP, UDP, VXLAN, Ether, IPv6
from support.wire import mangled
from varpd.datapath.encapsulation import ENCAPSULATIONS, Encapsulation
from varpd.datapath.encapsulation import VXLAN as OURS
from varpd.net.decode import DecodeError
from varpd.provider.errors import PropertyInvalid
from varpd.provider.kinds import DestinationKind
from varpd.provider.properties import PropertyType

every = pytest.mark.parametrize("encapsulation", ENCAPSULATIONS.values(), ids=ENCAPSULATIONS)


@every
def test_an_encapsulation_is_found_by_its_name(encapsulation: Encapsulation) -> None:
    assert ENCAPSULATIONS[encapsulation.name] is encapsulation


@every
def test_an_encapsulation_owns_its_properties(encapsulation: Encapsulation) -> None:
    names = [item.name for item in encapsulation.properties]
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"{encapsulation.name}/") for name in names)


@every
def test_a_header_is_as_long_as_said_and_holds_the_vnetid(encapsulation: Encapsulation) -> None:
    for vnetid in (0, 1, encapsulation.vnetid_max):
        header = encapsulation.pack_header(vnetid)
        assert len(header) == encapsulation.header_size
        assert encapsulation.vnetid_of(header + b"frame") == vnetid


@every
def test_a_vnetid_out_of_range_has_no_header(encapsulation: Encapsulation) -> None:
    for vnetid in (-1, encapsulation.vnetid_max + 1):
        with pytest.raises(ValueError, match="out of range"):
            encapsulation.pack_header(vnetid)


@every
@given(data=st.data())
def test_any_datagram_has_a_vnetid_or_raises_decode_error(
    encapsulation: Encapsulation, data: st.DataObject
) -> None:
    datagram = data.draw(mangled(encapsulation.pack_header(1)))
    with contextlib.suppress(DecodeError):
        assert 0 <= encapsulation.vnetid_of(datagram) <= encapsulation.vnetid_max


def test_what_vxlan_needs_and_offers() -> None:
    assert OURS.kinds == DestinationKind.IP | DestinationKind.PORT
    assert OURS.vnetid_max == 2**24 - 1
    assert [(item.name, item.type, item.required, item.live) for item in OURS.properties] == [
        ("vxlan/listen_ip", PropertyType.IP, True, False),
        ("vxlan/listen_port", PropertyType.UINT, False, False),
        ("vxlan/local_ips", PropertyType.STRING, False, True),
        ("vxlan/underlay", PropertyType.STRING, False, True),
    ]


def test_the_listen_port_is_any_port_and_that_of_iana_unless_it_is_given() -> None:
    (port,) = (item for item in OURS.properties if item.name == "vxlan/listen_port")
    assert port.default == 4789
    assert [port.check(number) for number in (1, 65535)] == [1, 65535]
    for number in (0, 65536):
        with pytest.raises(PropertyInvalid):
            port.check(number)


@given(vnetid=st.integers(0, 2**24 - 1))
def test_scapy_reads_the_header_that_is_packed(vnetid: int) -> None:
    assert VXLAN(OURS.pack_header(vnetid)).vni == vnetid
    assert OURS.vnetid_of(bytes(VXLAN(vni=vnetid, flags="Instance"))) == vnetid


@pytest.mark.parametrize(("family", "outer", "bytes_"), [(4, IP(), 50), (6, IPv6(), 70)])
def test_guests_have_that_much_less_than_the_underlay(
    family: int, outer: IP | IPv6, bytes_: int
) -> None:
    assert OURS.overhead(family) == bytes_
    assert OURS.overhead(family) == len(outer / UDP() / VXLAN() / Ether())
