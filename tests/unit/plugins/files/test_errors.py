"""Errors of mapping files in words."""

from varpd.plugins.files.errors import FilesError, show
from varpd.provider import ProviderError


def test_an_error_names_file_line_and_column_as_far_as_they_are_known() -> None:
    assert str(FilesError("/m.json", "broken", 3, 7)) == "/m.json: line 3, column 7: broken"
    assert str(FilesError("/m.json", "broken", 3)) == "/m.json: line 3: broken"
    assert str(FilesError("/m.json", "not there")) == "/m.json: not there"


def test_an_error_is_one_that_an_operator_is_shown() -> None:
    assert issubclass(FilesError, ProviderError)


def test_without_the_path_an_error_says_where_and_what() -> None:
    assert FilesError("/m.json", "broken", 3, 7).where_and_what == "line 3, column 7: broken"
    assert FilesError("/m.json", "not there").where_and_what == "not there"


def test_a_value_is_shown_on_one_line_in_ascii_and_not_too_long() -> None:
    assert show("10.0.0.1") == "'10.0.0.1'"
    assert show("ä\n\ud800") == r"'\xe4\n\ud800'"
    assert show("x" * 1000) == "'" + "x" * 56 + "..."
