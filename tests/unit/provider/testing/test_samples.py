"""Tests of the values that the suite tries."""

from ipaddress import ip_address

import pytest

from varpd.provider import Property, PropertyType, Range
from varpd.provider.testing.samples import samples


@pytest.mark.parametrize("kind", PropertyType)
def test_every_sample_is_allowed_by_the_declaration(kind: PropertyType) -> None:
    declared = Property("a/b", kind)
    values = samples(declared)

    assert len(values) > 1
    assert [declared.check(value) for value in values] == values


def test_the_ends_of_ranges_are_samples() -> None:
    declared = Property("a/b", PropertyType.UINT, possible=(Range(5, 9), Range(20, 30)))

    assert samples(declared) == [5, 9, 20, 30]


def test_listed_values_are_the_samples() -> None:
    assert samples(Property("a/b", PropertyType.STRING, possible=("on", "off"))) == ["on", "off"]


def test_addresses_that_are_no_hosts_are_among_the_samples() -> None:
    assert ip_address("224.0.0.1") in samples(Property("a/b", PropertyType.IP))
