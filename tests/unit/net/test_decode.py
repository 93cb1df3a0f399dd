"""The one error of every parse."""

import pickle
import re

import pytest

from varpd.net.decode import DecodeError, Reason


def test_an_error_has_a_reason_to_count_and_a_message_to_read() -> None:
    error = DecodeError(Reason.TRUNCATED, "ARP packet needs 28 bytes, got 3")

    assert error.reason == "truncated"
    assert error.message == str(error) == "ARP packet needs 28 bytes, got 3"


def test_an_error_is_caught_as_a_value_error() -> None:
    with pytest.raises(ValueError, match="what it said"):
        raise DecodeError("other", "what it said")


def test_an_error_survives_being_copied_between_processes() -> None:
    error = DecodeError(Reason.ARP_HARDWARE_TYPE, "ARP hardware type 6")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert (copy.reason, str(copy)) == (error.reason, str(error))


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_a_word_that_can_label_a_counter(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", reason)
