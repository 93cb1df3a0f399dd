"""Which targets are this host."""

from ipaddress import IPv4Address

from support.script import HERE, settings, target
from varpd.engine.here import Here, Locality
from varpd.provider.answers import Target


def test_a_target_is_local_by_address_and_port_together() -> None:
    locality = Locality()
    here = Here(locality, settings())
    assert not here.has(target(1))
    locality.addresses = frozenset({HERE})
    assert here.has(target(1))
    assert not here.has(Target(ip=HERE, port=4790))
    assert not here.has(Target(port=4789))
    assert not here.has(target(2))


def test_an_address_in_front_of_a_nat_counts_as_local() -> None:
    here = Here(Locality(), settings())
    assert not here.has(target(9))
    here.settings = settings(local_ips=frozenset({IPv4Address("192.0.2.9")}))
    assert here.has(target(9))
    assert here.addresses == {IPv4Address("192.0.2.9")}


def test_of_several_targets_the_others_are_named_once() -> None:
    locality = Locality()
    locality.addresses = frozenset({HERE})
    here = Here(locality, settings())
    assert here.others((target(2), target(1), target(3), target(2))) == (target(2), target(3))
    assert here.has_all((target(1), target(1)))
    assert not here.has_all((target(1), target(2)))
