"""JSON objects read member by member, whatever the bytes are."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.plugins.files.document import MAX_MEMBER, Document
from varpd.plugins.files.errors import FilesError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
space = st.text(" \t\n\r", max_size=5)


class Drip:
    """A file that gives a few bytes at a time."""

    def __init__(self, data: bytes, at_once: int) -> None:
        self._file = io.BytesIO(data)
        self._at_once = at_once

    def read(self, _: int) -> bytes:
        return self._file.read(self._at_once)


def members(data: bytes, at_once: int = 1 << 30) -> list[tuple[str, object]]:
    return list(Document("/m.json", Drip(data, at_once).read))


def error(data: bytes) -> FilesError:
    with pytest.raises(FilesError) as caught:
        members(data)
    return caught.value


@given(st.dictionaries(st.text(), json_values, max_size=6), st.data())
def test_any_object_comes_back_member_by_member(value: dict[str, Any], data: st.DataObject) -> None:
    def gap() -> str:
        return data.draw(space)

    text = ",".join(
        f"{gap()}{json.dumps(key)}{gap()}:{gap()}{json.dumps(item)}{gap()}"
        for key, item in value.items()
    )
    wire = f"{gap()}{{{gap()}{text}}}{gap()}".encode()

    assert members(wire, data.draw(st.integers(1, 50))) == list(value.items())


@given(st.binary(max_size=80) | st.text('{}[]",: \\u0e-+.nulltrue', max_size=40).map(str.encode))
def test_any_bytes_are_read_as_pythons_decoder_reads_them_or_refused(data: bytes) -> None:
    try:
        found = members(data)
    except FilesError:
        return
    assert dict(found) == json.loads(data)


@given(
    st.dictionaries(st.text(max_size=5), json_values, min_size=1, max_size=4),
    st.integers(0, 200),
    st.binary(max_size=4),
)
def test_a_text_that_is_cut_or_goes_on_is_refused(
    value: dict[str, Any], cut: int, tail: bytes
) -> None:
    wire = json.dumps(value).encode()
    broken = wire[:cut] + tail
    try:
        expected = json.loads(broken)
    except ValueError:
        error(broken)
    else:
        assert isinstance(expected, dict)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: expected '{': the file is one JSON object"),
        ("[]", "line 1, column 1: expected '{': the file is one JSON object"),
        ('{\n "a": 1\n', "line 3, column 1: expected ',' or '}'"),
        ('{"a": 1,}', 'line 1, column 9: expected a MAC address in "'),
        ('{"a": 1\n,, "b": 2}', 'line 2, column 2: expected a MAC address in "'),
        ('{"a" 1}', "line 1, column 6: expected ':'"),
        ('{"a": }', "line 1, column 7: Expecting value"),
        ('{"a": {"b": [1,\n   2}}', "line 2, column 5: Expecting ',' delimiter"),
        ('{"a": "b}', "line 1, column 7: Unterminated string starting at"),
        ('{"a\n": 1}', "line 1, column 4: Invalid control character at"),
        ('{"a": 1}}', "line 1, column 9: more text behind the end of the object"),
        ('{"a": 1} {}', "line 1, column 10: more text behind the end of the object"),
        ('{\n"a": {"port": NaN}}', "line 2, column 6: 'a': NaN is no JSON"),
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "line 1, column 7: 'a': key 'b' stands there twice"),
        ('{"a": ' + "[" * 100_000, "line 1, column 7: nested too deeply"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(text: str, message: str) -> None:
    assert error(text.encode()).where_and_what == message


def test_an_error_far_behind_the_first_window_has_its_line() -> None:
    entry = b'"key": "' + b"x" * 1000 + b'",\n'
    wire = b"{\n" + entry * 20_000 + b"oops}"

    assert error(wire).where_and_what.startswith("line 20002, column 1: expected")


def test_a_column_counts_from_the_line_that_began_in_an_earlier_window() -> None:
    entry = b'"key": "' + b"x" * 1000 + b'",'
    wire = b"{\n" + entry * 20_000 + b"oops}"

    assert error(wire).column == 20_000 * len(entry) + 1


def test_the_line_of_a_member_is_that_of_its_key() -> None:
    document = Document("/m.json", io.BytesIO(b'{\n"a":\n1,\n\n"b"\n:2\n}').read)

    assert [(key, document.line) for key, _ in document] == [("a", 2), ("b", 5)]


def test_what_is_not_utf_8_is_refused_with_its_line() -> None:
    assert error(b'{"a": 1,\n"\xff": 2}').where_and_what == "line 2: not UTF-8: invalid start byte"


def test_a_byte_order_mark_is_passed_over() -> None:
    assert members(b'\xef\xbb\xbf{"a": 1}') == [("a", 1)]


def test_a_number_of_too_many_digits_is_refused() -> None:
    assert "'a': " in error(b'{"a": ' + b"9" * 10_000 + b"}").what


@pytest.mark.parametrize("opening", [b'"', b"[", b'{"x": "', b"[1,"])
def test_an_entry_that_is_too_long_is_refused(opening: bytes) -> None:
    wire = b'{"b": 1, "a": ' + opening + b"1" * 8 * MAX_MEMBER

    assert error(wire).where_and_what == (
        f"line 1, column 10: an entry of more than {MAX_MEMBER} characters"
    ) or error(wire).what.startswith("'a': Exceeds the limit")


def test_the_longest_entry_is_read_wherever_it_stands() -> None:
    text = b'"a": "' + b"x" * (MAX_MEMBER - 7) + b'"'
    for before in (0, 1, 3 * MAX_MEMBER, 4 * MAX_MEMBER - 1):
        wire = b"{" + b" " * before + text + b"," + b" " * before + text + b"}"
        assert len(members(wire, 1 << 20)) == 2
        assert "more than" in error(wire.replace(b'"a"', b'"aa"')).what
