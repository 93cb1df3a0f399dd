"""Tests of the errors: what they say, and who catches them."""

import copy
import pickle

import pytest

from varpd.provider.errors import (
    NotLive,
    Panic,
    PropertyError,
    PropertyInvalid,
    PropertyMissing,
    PropertyUnknown,
    ProviderError,
    TargetInvalid,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PropertyUnknown("a/b", ["a/c", "a/d"]), "no property 'a/b'; there are: a/c, a/d"),
        (PropertyUnknown("a/b", []), "no property 'a/b'; there are: none"),
        (PropertyInvalid("a/b", 7, "too large"), "a/b=7: too large"),
        (PropertyMissing(["a/b"]), "required property not set: a/b"),
        (PropertyMissing(["a/b", "a/c"]), "required properties not set: a/b, a/c"),
        (
            NotLive("a/b"),
            "a/b cannot change while the overlay exists; delete it and create it anew",
        ),
    ],
)
def test_it_says_in_one_sentence_what_is_wrong(error: PropertyError, text: str) -> None:
    assert str(error) == text
    assert str(copy.copy(error)) == text
    assert str(pickle.loads(pickle.dumps(error))) == text  # noqa: S301 - what was just made


def test_what_a_plugin_says_no_to_is_caught_as_one() -> None:
    assert issubclass(PropertyError, ProviderError)


def test_a_bad_target_is_a_bad_argument() -> None:
    assert issubclass(TargetInvalid, ValueError)


def test_a_panic_is_not_swallowed_by_those_who_catch_every_exception() -> None:
    assert not issubclass(Panic, Exception)
