"""Tables, fields, JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.cli import output
from varpd.cli.output import Column

COLUMNS = (Column("LINK", 8), Column("TARGET", 10), Column("WHERE", 10))


def test_columns_have_their_widths_where_that_is_enough(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_table(COLUMNS, [("web0", "a", "b")])
    assert capsys.readouterr().out == "LINK    TARGET    WHERE\nweb0    a         b\n"


def test_a_long_value_widens_its_column_and_is_not_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_table(COLUMNS, [("web0", "0123456789", "x" * 300), ("w", "1", "2")])
    header, first, second = capsys.readouterr().out.splitlines()
    assert first == f"web0    0123456789 {'x' * 300}"
    assert header.index("WHERE") == first.index("x") == second.index("2")


def test_no_value_is_shown_as_two_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(COLUMNS, [("web0", "", "")])
    assert capsys.readouterr().out.splitlines()[1] == "web0    --        --"


def test_a_table_without_rows_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(COLUMNS, [])
    assert capsys.readouterr().out == "LINK    TARGET    WHERE\n"


def test_fields_are_separated_by_colons_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_fields([("web0", "02:00", "C:\\x", "")])
    assert capsys.readouterr().out == "web0:02\\:00:C\\:\\\\x:\n"


def test_one_field_on_its_own_is_not_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_fields([("02:00:00:00:00:01",), ("a\\b",)])
    assert capsys.readouterr().out == "02:00:00:00:00:01\na\\b\n"


def split(line: str) -> list[str]:
    """Read a line of fields as a script does."""
    fields = [""]
    characters = iter(line)
    for character in characters:
        if character == ":":
            fields.append("")
        else:
            fields[-1] += next(characters) if character == "\\" else character
    return fields


@given(cells=st.lists(st.text(":\\ab", max_size=8), min_size=2, max_size=4))
def test_fields_can_be_read_back(cells: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr("sys.stdout.write", written.append)
        output.print_fields([cells])
    assert split("".join(written).removesuffix("\n")) == cells


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json([{"name": "web0\n"}])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == [{"name": "web0\n"}]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("über", "über"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b]0;gotcha\x07", "\\x1b]0;gotcha\\x07"),
        ("\u202e", "\\u202e"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert output.printable(text) == shown


@given(st.text())
def test_whatever_is_shown_stays_on_its_line(text: str) -> None:
    assert output.printable(text).isprintable()
