"""Multicast queries of guests: a bridge that snooped on them would stop asking varpd."""

from collections.abc import Iterator
from functools import partial

import pytest
from scapy.layers.inet import IPOption_Router_Alert
from scapy.layers.inet6 import ICMPv6MLQuery, IPv6ExtHdrHopByHop, RouterAlert

from support.guests import Guest
from support.lab import Host, Lab
from support.observers import punted, punts
from support.scapy_oracle import IP, Ether, IPv6, Raw, checksum
from support.wire_tap import Tap

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    return lab.hosts("a", "b")


def mld_query(guest: Guest) -> Ether:
    """A general query (RFC 2710, section 3).

    A bridge that heeds it does so after the time that hosts have for their reports, milliseconds.
    """
    return (
        Ether(src=str(guest.mac), dst="33:33:00:00:00:01")
        / IPv6(src=guest.identity.link_local, dst="ff02::1", hlim=1)
        / IPv6ExtHdrHopByHop(options=[RouterAlert()])
        / ICMPv6MLQuery(mladdr="::", mrd=1)
    )


def igmp_query(guest: Guest) -> Ether:
    """A general query (RFC 2236, section 2), to be answered within a tenth of a second."""
    query = bytes.fromhex("1101 0000 0000 0000")
    query = query[:2] + checksum(query).to_bytes(2, "big") + query[4:]
    return (
        Ether(src=str(guest.mac), dst="01:00:5e:00:00:01")
        / IP(src=guest.ipv4, dst="224.0.0.1", ttl=1, proto=2, options=[IPOption_Router_Alert()])
        / Raw(query)
    )


def test_ndp_and_arp_resolve_after_mld_and_igmp_queries_from_a_guest(
    lab: Lab, hosts: list[Host]
) -> None:
    a, b = hosts
    querier, web, db = lab.files_overlay("blue", 7, {"querier": a, "web": a, "db": b})
    with Tap(querier.namespace, "eth0") as tap, punts(a) as seen:
        for query in (mld_query(querier), igmp_query(querier)):
            tap.send(query)
        for group in ("33:33:00:00:00:01", "01:00:5e:00:00:01"):
            # The bridge has seen it, then.
            seen.wait(f"the query to {group}", partial(is_query, querier, group))

    for guest in (querier, web):
        assert guest.ping(db.ipv6).lost == 0
        assert guest.ping(db.ipv4).lost == 0


def is_query(querier: Guest, group: str, frame: Ether) -> bool:
    inner = punted(frame)
    return inner is not None and (inner.src, inner.dst) == (str(querier.mac), group)
