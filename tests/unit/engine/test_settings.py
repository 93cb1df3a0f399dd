"""What the engine is told of an overlay."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from msgspec import structs

from support.script import settings
from varpd.engine.classify import KINDS
from varpd.engine.settings import KIB, MIB, Limits, Rate, Totals, rate
from varpd.net.addresses import IpAddress

LIMITS, TOTALS = Limits(), Totals()


def test_a_bucket_lets_twice_its_rate_through_at_once() -> None:
    assert rate(50) == Rate(rate=50, burst=100)


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("unicast", 20_000),
        ("arp", 5_000),
        ("nd", 5_000),
        ("dhcp", 200),
        ("multicast", 1_000),
        ("source_unicast", 0),
        ("source_arp", 500),
        ("source_nd", 500),
        ("source_dhcp", 20),
        ("source_multicast", 200),
    ],
)
def test_the_rates_that_hold_unless_others_are_given(name: str, frames: int) -> None:
    assert getattr(LIMITS, name) == Rate(frames, 2 * frames)


def test_every_kind_of_frame_has_a_limit_for_the_overlay_and_for_a_source() -> None:
    named = {field.name for field in structs.fields(Limits)}
    assert {*KINDS, *(f"source_{kind}" for kind in KINDS)} <= named


def test_the_bounds_that_hold_unless_others_are_given() -> None:
    assert (LIMITS.waiting_mac, LIMITS.waiting, TOTALS.waiting) == (128 * KIB, 16 * MIB, 64 * MIB)
    assert (LIMITS.targets, TOTALS.targets) == (262_144, 1_048_576)
    assert LIMITS.lookups == 4_096
    assert LIMITS.lookups < TOTALS.lookups


def test_times_that_hold_unless_others_are_given() -> None:
    given = settings()
    assert (given.lookup_timeout, given.negative_ttl, given.ttl) == (5.0, 1.0, None)


@pytest.mark.parametrize(
    ("listen_ip", "family"),
    [(None, None), (IPv4Address("192.0.2.1"), 4), (IPv6Address("2001:db8::1"), 6)],
)
def test_the_underlay_is_of_the_family_of_the_listen_address(
    listen_ip: IpAddress | None, family: int | None
) -> None:
    assert settings(listen_ip=listen_ip).family == family


def test_settings_are_values() -> None:
    assert settings() == settings()
    with pytest.raises(AttributeError):
        settings().vnetid = 1  # type: ignore[misc]
