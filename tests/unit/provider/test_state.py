"""Saved states: a JSON object that comes back as it went."""

from types import MappingProxyType

import pytest

from varpd.provider.state import MAX_STATE, check_state


def test_a_state_is_a_copy_of_what_was_saved() -> None:
    given = {"version": 1, "peers": [{"ip": "192.0.2.1", "up": True}], "none": None}
    state = check_state(given)
    assert state == given
    given["peers"] = []
    assert state["peers"] != []
    assert check_state(MappingProxyType({"version": 1})) == {"version": 1}


@pytest.mark.parametrize(
    "value", [None, [], "text", 5, {"a": object()}, {"a": {1, 2}}, {(1, 2): 3}]
)
def test_what_is_no_json_object_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        check_state(value)


@pytest.mark.parametrize("value", [{"a": (1, 2)}, {1: "a"}, {"a": float("nan")}, {"a": "\ud800"}])
def test_what_json_would_change_is_refused(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is json's for some
        check_state(value)


def test_a_state_of_more_than_a_mebibyte_is_refused() -> None:
    frame = len('{"a": ""}')
    assert check_state({"a": "x" * (MAX_STATE - frame)})
    with pytest.raises(ValueError, match="more than"):
        check_state({"a": "x" * (MAX_STATE - frame + 1)})
