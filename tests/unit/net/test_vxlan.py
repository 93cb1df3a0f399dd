"""The VXLAN header."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scapy_oracle import VXLAN
from support.wire import mangled
from varpd.net import vxlan
from varpd.net.decode import DecodeError, Reason

WIRE = bytes((0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0))
VNI = 0x123456
vnis = st.integers(0, vxlan.VNI_MAX)


def test_a_known_header_is_read_and_written() -> None:
    assert vxlan.Header.parse(WIRE) == vxlan.Header(VNI)
    assert vxlan.Header(VNI).serialize() == WIRE


def test_the_port_and_the_range_are_those_of_the_rfc() -> None:
    assert (vxlan.PORT, vxlan.VNI_MAX, vxlan.HEADER_SIZE) == (4789, 16_777_215, 8)


@given(vnis)
def test_what_is_written_is_read_back(vni: int) -> None:
    header = vxlan.Header(vni)
    assert vxlan.Header.parse(header.serialize()) == header
    assert len(header.serialize()) == vxlan.Header.SIZE == vxlan.HEADER_SIZE


@given(vnis)
def test_scapy_reads_what_we_write(vni: int) -> None:
    read = VXLAN(vxlan.Header(vni).serialize())
    assert (read.vni, int(read.flags), read.reserved2) == (vni, 0x08, 0)


@given(vnis)
def test_we_read_what_scapy_writes(vni: int) -> None:
    assert vxlan.Header.parse(bytes(VXLAN(vni=vni))).vni == vni


@given(vnis, st.binary(max_size=8))
def test_the_hot_path_functions_agree_with_the_message(vni: int, frame: bytes) -> None:
    assert vxlan.pack_header(vni) == vxlan.Header(vni).serialize()
    assert vxlan.vni_of(vxlan.pack_header(vni) + frame) == vni


def test_reserved_bits_are_not_looked_at() -> None:
    assert vxlan.vni_of(bytes((0xFF, 1, 2, 3, 0x12, 0x34, 0x56, 0xFF))) == VNI


@pytest.mark.parametrize("vni", [-1, vxlan.VNI_MAX + 1])
def test_a_vni_that_does_not_fit_is_refused(vni: int) -> None:
    with pytest.raises(ValueError, match="VNI out of range"):
        vxlan.Header(vni)
    with pytest.raises(ValueError, match="VNI out of range"):
        vxlan.pack_header(vni)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [(WIRE[:7], Reason.TRUNCATED), (b"", Reason.TRUNCATED), (bytes(8), Reason.VXLAN_FLAGS)],
)
def test_a_bad_header_says_what_is_wrong(wire: bytes, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        vxlan.vni_of(wire)
    assert caught.value.reason == reason


@given(mangled(WIRE))
def test_any_bytes_parse_or_raise_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        vxlan.Header.parse(data)
