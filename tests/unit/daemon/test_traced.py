"""Frames that are traced: what the engine's own parsers make of them."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from varpd.control.messages import ControlError
from varpd.control.tracing import TraceRequest
from varpd.daemon.traced import ASKER, describe, make_frame
from varpd.engine import classify, proxy_arp, proxy_dhcp, proxy_ndp

MAC = "02:00:00:00:00:01"


def test_an_arp_request_is_one_that_the_proxy_answers() -> None:
    frame = make_frame(TraceRequest("arp", address="10.0.0.2", src=MAC, vlan=7))
    assert classify.group_kind(frame) == classify.ARP
    request = proxy_arp.parse(frame)
    assert (request.address, str(request.frame.src)) == (IPv4Address("10.0.0.2"), MAC)
    assert not request.is_probe
    assert request.frame.tag is not None


@pytest.mark.parametrize("address", ["fd00::1", "fd00::", "fe80::ff:fe00:1"])
def test_a_solicitation_is_one_that_the_proxy_answers(address: str) -> None:
    frame = make_frame(TraceRequest("nd", address=address))
    assert classify.group_kind(frame) == classify.ND
    request = proxy_ndp.parse(frame)
    assert (request.address, request.frame.src) == (IPv6Address(address), ASKER)


def test_a_discovery_is_one_that_the_proxy_passes_on() -> None:
    frame = make_frame(TraceRequest("dhcp", src=MAC))
    assert classify.group_kind(frame) == classify.DHCP
    request = proxy_dhcp.parse(frame)
    assert request.direction is proxy_dhcp.Direction.TO_SERVER
    assert str(request.client) == MAC


def test_a_frame_has_the_size_and_type_that_was_asked_for() -> None:
    frame = make_frame(TraceRequest(dst=MAC, ethertype=0x88B5, vlan=9, size=100))
    assert len(frame) == 100
    assert describe(frame) == (f"ethertype 0x88b5, VLAN 9, 100 bytes, from {ASKER} to {MAC}")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (TraceRequest(), "dst"),
        (TraceRequest(dst="nobody"), "dst"),
        (TraceRequest(dst=MAC, src="nobody"), "src"),
        (TraceRequest(dst=MAC, src="ff:ff:ff:ff:ff:ff"), "src"),
        (TraceRequest(dst=MAC, size=10), "size"),
        (TraceRequest(dst=MAC, size=9001), "size"),
        (TraceRequest(dst=MAC, ethertype=5), None),
        (TraceRequest(dst=MAC, vlan=5000), None),
        (TraceRequest("arp"), "address"),
        (TraceRequest("arp", address="fd00::1"), "address"),
        (TraceRequest("nd", address="10.0.0.1"), "address"),
        (TraceRequest("nd", address="ff02::1"), None),
        (TraceRequest("nd", address="x"), "address"),
    ],
)
def test_what_is_no_frame_is_refused(request_: TraceRequest, field: str | None) -> None:
    with pytest.raises(ControlError) as refused:
        make_frame(request_)
    assert refused.value.field == field
