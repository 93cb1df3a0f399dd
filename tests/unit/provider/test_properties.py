"""Tests of declared properties."""

import json
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.provider.errors import PropertyInvalid
from varpd.provider.properties import (
    INT_MAX,
    INT_MIN,
    MAX_NAME,
    MAX_STRING,
    UINT_MAX,
    Property,
    PropertyType,
    Protection,
    Range,
    Value,
    dump,
    load,
    render,
)

UINT, INT, IP, STRING = PropertyType

texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1)


def value_of(kind: PropertyType) -> st.SearchStrategy[Value]:
    match kind:
        case PropertyType.UINT:
            return st.integers(0, UINT_MAX)
        case PropertyType.INT:
            return st.integers(INT_MIN, INT_MAX)
        case PropertyType.IP:
            return st.ip_addresses()
        case PropertyType.STRING:
            return texts


def refusal_of(operation: Callable[[], object]) -> PropertyInvalid | None:
    try:
        operation()
    except PropertyInvalid as exc:
        return exc
    return None


@given(st.data(), st.sampled_from(PropertyType))
def test_every_value_of_its_type_comes_back_from_text_and_from_json(
    data: st.DataObject, kind: PropertyType
) -> None:
    declared = Property("a/b", kind)
    value = data.draw(value_of(kind))

    assert declared.check(value) == value
    assert declared.parse(render(value)) == value
    assert load(declared, json.loads(json.dumps(dump(value)))) == value


@given(
    st.sampled_from(PropertyType),
    st.one_of(texts, st.integers(), st.ip_addresses(), st.booleans(), st.none(), st.floats()),
)
def test_whatever_is_checked_is_possible_or_refused_with_its_name(
    kind: PropertyType, value: object
) -> None:
    declared = Property("a/b", kind)
    refusal = refusal_of(lambda: declared.check(value))

    if refusal is None:
        assert declared.check(value) == value
        assert not isinstance(value, bool)
    else:
        assert refusal.name == "a/b"
        assert str(refusal).startswith("a/b=")


@given(st.sampled_from(PropertyType), st.text())
def test_whatever_is_parsed_is_possible_or_refused_with_its_name(
    kind: PropertyType, text: str
) -> None:
    declared = Property("a/b", kind)
    refusal = refusal_of(lambda: declared.parse(text))

    if refusal is None:
        value = declared.parse(text)
        assert declared.check(value) == value
    else:
        assert refusal.name == "a/b"


@given(st.integers(), st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1))
def test_a_number_is_possible_if_it_is_in_one_of_the_ranges(
    number: int, pairs: list[tuple[int, int]]
) -> None:
    ranges = tuple(Range(min(pair), max(pair)) for pair in pairs)
    declared = Property("a/b", UINT, possible=ranges)
    refusal = refusal_of(lambda: declared.check(number))

    if any(item.low <= number <= item.high for item in ranges):
        assert refusal is None
    else:
        assert declared.possible_text() in str(refusal)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(
            (UINT, text)
            for text in ("-1", str(1 << 64), "1.0", "0x10", "", "1_000", " 1", "1 ", "٣")
        ),
        *((INT, text) for text in (str(1 << 63), str(-(1 << 63) - 1), "--1", "one")),
        *((IP, text) for text in ("", "1.2.3", "1.2.3.4/24", "::1%lo", "example.com", "1.2.3.04")),
        *(
            (STRING, text)
            for text in ("", "a\0b", "x" * (MAX_STRING + 1), "é" * MAX_STRING, "\ud800")
        ),
    ],
)
def test_what_is_no_value_of_the_type_is_refused(kind: PropertyType, text: str) -> None:
    with pytest.raises(PropertyInvalid):
        Property("a/b", kind).parse(text)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (UINT, "0", 0),
        (UINT, str(UINT_MAX), UINT_MAX),
        (INT, str(INT_MIN), INT_MIN),
        (INT, str(INT_MAX), INT_MAX),
        (IP, "192.0.2.1", IPv4Address("192.0.2.1")),
        (IP, "2001:db8::1", IPv6Address("2001:db8::1")),
        (STRING, "é" * (MAX_STRING // 2), "é" * (MAX_STRING // 2)),
    ],
)
def test_the_limits_of_a_type_are_possible(kind: PropertyType, text: str, value: Value) -> None:
    assert Property("a/b", kind).parse(text) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [(UINT, True), (UINT, "1"), (UINT, 1.0), (IP, "192.0.2.1"), (STRING, 1), (STRING, b"x")],
)
def test_a_value_of_another_type_is_refused(kind: PropertyType, value: Any) -> None:
    with pytest.raises(PropertyInvalid):
        Property("a/b", kind).check(value)


def test_a_refusal_says_what_is_possible() -> None:
    with pytest.raises(PropertyInvalid, match=r"a/b=7: out of range; possible: 1-5,9"):
        Property("a/b", UINT, possible=(Range(1, 5), Range(9, 9))).parse("7")
    with pytest.raises(PropertyInvalid, match=r"not a whole number; possible: 1-5"):
        Property("a/b", UINT, possible=(Range(1, 5),)).parse("x")
    with pytest.raises(PropertyInvalid, match=r"a/b=auto: possible: off,on"):
        Property("a/b", STRING, possible=("off", "on")).parse("auto")


@pytest.mark.parametrize(
    "name",
    ["mtu", "lookup_timeout", "varpd/id", "vxlan/listen_ip", "my-plugin/x2_y", "a" * MAX_NAME],
)
def test_names_are_words_joined_by_underscores(name: str) -> None:
    assert Property(name, UINT).name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a/",
        "/b",
        "A",
        "a b",
        "a__b",
        "_a",
        "a_",
        "a/b/c",
        "1a",
        "a-b",
        "ä",
        "a" * 64,
        None,
    ],
)
def test_any_other_name_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="property name"):
        Property(name, UINT)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "uint"},
        {"type": UINT, "protection": "rw"},
        {"type": UINT, "required": 1},
        {"type": UINT, "possible": [Range(1, 2)]},
        {"type": UINT, "possible": (Range(2, 1),)},
        {"type": UINT, "possible": (Range(-1, 5),)},
        {"type": UINT, "possible": (Range(0, UINT_MAX + 1),)},
        {"type": INT, "possible": (Range(INT_MIN - 1, 0),)},
        {"type": UINT, "possible": (Range(False, 5),)},
        {"type": UINT, "possible": ("1",)},
        {"type": UINT, "possible": (Range(1, 2), "3")},
        {"type": STRING, "possible": ("on", Range(1, 2))},
        {"type": STRING, "possible": ("on", "")},
        {"type": STRING, "possible": ("on", 1)},
        {"type": IP, "possible": ("192.0.2.1",)},
        {"type": IP, "possible": (Range(1, 2),)},
        {"type": UINT, "default": "1"},
        {"type": UINT, "default": 7, "possible": (Range(1, 5),)},
        {"type": STRING, "default": "auto", "possible": ("on", "off")},
        {"type": IP, "default": "192.0.2.1"},
        {"type": UINT, "required": True, "protection": Protection.R},
        {"type": UINT, "live": None},
        {"type": UINT, "doc": None},
    ],
    ids=str,
)
def test_a_declaration_that_breaks_the_rules_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a/b"):
        Property("a/b", **fields)


def test_a_range_reads_as_people_write_it() -> None:
    assert str(Range(1, 65535)) == "1-65535"
    assert str(Range(7, 7)) == "7"
    assert Property("a/b", INT, possible=(Range(1, 2), Range(9, 9))).possible_text() == "1-2,9"
    assert Property("a/b", INT).possible_text() == ""


def test_a_stored_value_that_is_no_longer_possible_is_refused() -> None:
    with pytest.raises(PropertyInvalid):
        load(Property("a/b", UINT, possible=(Range(1, 5),)), 7)
    with pytest.raises(PropertyInvalid):
        load(Property("a/b", IP), 7)


@pytest.mark.parametrize(
    "declared",
    [
        Property("a/key", UINT, possible=(Range(1, 9),), secret=True),
        Property("a/key", IP, secret=True),
        Property("a/key", STRING, possible=("this", "that"), secret=True),
    ],
)
def test_a_secret_is_not_in_the_error_that_refuses_it(declared: Property) -> None:
    for refused in (
        refusal_of(lambda: declared.parse("12345x")),
        refusal_of(lambda: declared.check(b"12345x")),
    ):
        assert refused is not None
        assert "12345" not in str(refused)
        assert "12345" not in repr(refused)
        assert refused.__suppress_context__


def test_a_secret_that_is_possible_is_taken_as_usual() -> None:
    declared = Property("a/key", STRING, secret=True)
    assert declared.parse("opensesame") == "opensesame"


@pytest.mark.parametrize(
    "more", [{"default": "opensesame"}, {"protection": Protection.R}, {"secret": "yes"}]
)
def test_a_secret_can_be_set_and_has_no_default(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="secret"):
        Property("a/key", STRING, **{"secret": True, **more})
