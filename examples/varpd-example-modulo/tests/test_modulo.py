"""Tests of the ``modulo`` plugin: the conformance suite, and what is its own."""

from ipaddress import IPv4Address

from varpd_modulo import ModuloPlugin

from varpd.provider import DROP, PROXY_ARP, DestinationKind, MacAddress, Target
from varpd.provider.testing import FakeHost, conformance, frame_query

ZERO, ONE = (Target(ip=IPv4Address(f"192.0.2.{host}"), port=4789) for host in (10, 11))
BROADCAST = "ff:ff:ff:ff:ff:ff"

TestConformance = conformance(
    ModuloPlugin,
    values={"modulo/hosts": "192.0.2.10, 192.0.2.11"},
    refused=[("modulo/hosts", "192.0.2.10, 224.0.0.1"), ("modulo/hosts", "example.com")],
    answers=[
        ("02:00:0a:00:00:02", ZERO),
        ("02:00:0a:00:00:03", ONE),
        (frame_query(BROADCAST, ethertype=0x0806), PROXY_ARP),
    ],
    neighbours=[
        (IPv4Address("10.0.0.3"), MacAddress.parse("02:00:0a:00:00:03")),
        (IPv4Address("192.168.0.3"), DROP),
    ],
    unknown=["02:01:0a:00:00:02", BROADCAST],
)


def test_another_list_of_hosts_moves_the_guests() -> None:
    plugin = ModuloPlugin(FakeHost(), DestinationKind.IP | DestinationKind.PORT)
    plugin.set_property("modulo/hosts", "192.0.2.10,192.0.2.11")
    assert plugin.lookup(frame_query("02:00:0a:00:00:03")) == ONE

    plugin.set_property("modulo/hosts", "192.0.2.10")
    assert plugin.lookup(frame_query("02:00:0a:00:00:03")) == ZERO
