"""What operators write."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.cli import parsing


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("23", 23),
        ("010", 10),
        ("0x17", 23),
        ("0XfF", 255),
        ("18446744073709551615", (1 << 64) - 1),
        ("0xffffffffffffffff", (1 << 64) - 1),
    ],
)
def test_a_vnetid_is_decimal_or_hexadecimal(text: str, number: int) -> None:
    assert parsing.VNETID.convert(text, None, None) == number


@pytest.mark.parametrize(
    "text",
    [
        "", "-1", "+1", "1 ", " 1", "1x", "23abc", "1.5", "1_000", "0x", "0xg", "x17", "0b1", "0o7",
        "\u0661", "1\n", "18446744073709551616", "0x10000000000000000", "9" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_vnetid_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no number"):
        parsing.VNETID.convert(text, None, None)


@given(st.integers(0, (1 << 64) - 1))
def test_every_vnetid_can_be_written_both_ways(number: int) -> None:
    assert parsing.VNETID.convert(str(number), None, None) == number
    assert parsing.VNETID.convert(hex(number), None, None) == number


def test_an_assignment_is_split_at_the_first_equals_sign_only() -> None:
    assert parsing.PROPERTY.convert("a/b=c=d,e=f", None, None) == ("a/b", "c=d,e=f")


def test_a_property_may_be_given_nothing() -> None:
    assert parsing.PROPERTY.convert("mtu=", None, None) == ("mtu", "")


@pytest.mark.parametrize("text", ["", "mtu", "=", "=1400"])
def test_a_property_without_name_or_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not NAME=VALUE"):
        parsing.PROPERTY.convert(text, None, None)


@pytest.mark.parametrize("text", ["", "02:00:00:00:00:01", "02:00:00:00:00:01=", "=drop"])
def test_an_entry_without_mac_or_target_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="MAC=drop"):
        parsing.ENTRY.convert(text, None, None)


def test_a_property_given_nothing_goes_back_to_its_default() -> None:
    assert parsing.properties([("mtu", ""), ("a/b", "1,2")]) == {"mtu": None, "a/b": "1,2"}


def test_a_property_given_twice_is_refused() -> None:
    with pytest.raises(click.UsageError, match="mtu is given twice"):
        parsing.properties([("mtu", "1"), ("mtu", "2")])


def test_fields_are_known_in_any_case() -> None:
    assert parsing.fields("target,Link", ["LINK", "TARGET"]) == ["TARGET", "LINK"]


@pytest.mark.parametrize("text", ["", "colour", "link,", "link;target"])
def test_an_unknown_field_is_refused_and_the_known_are_named(text: str) -> None:
    with pytest.raises(click.UsageError, match="there are LINK,TARGET"):
        parsing.fields(text, ["LINK", "TARGET"])
