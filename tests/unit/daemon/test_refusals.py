"""What users of the control socket are told when a part of the daemon says no."""

import pytest

from varpd.control.messages import ErrorCode
from varpd.daemon.instance import InstanceFailed
from varpd.daemon.refusals import refusal
from varpd.datapath.base import DatapathError, DatapathErrorCode
from varpd.datapath.encapsulation import VXLAN
from varpd.provider.errors import (
    NotLive,
    PropertyInvalid,
    PropertyMissing,
    PropertyUnknown,
    ProviderError,
    TargetInvalid,
    Unsupported,
)


@pytest.mark.parametrize(
    ("exc", "code", "field"),
    [
        (PropertyMissing(["a/b", "a/c"]), ErrorCode.MISSING, "a/b"),
        (PropertyUnknown("x", ["a"]), ErrorCode.INVALID, "x"),
        (PropertyInvalid("a/b", "5", "too small"), ErrorCode.INVALID, "a/b"),
        (NotLive("a/b"), ErrorCode.NOT_LIVE, "a/b"),
        (Unsupported("cannot"), ErrorCode.UNSUPPORTED, None),
        (TargetInvalid("not one host"), ErrorCode.INVALID, "target"),
        (ProviderError("no"), ErrorCode.FAILED, None),
        (InstanceFailed("no destination"), ErrorCode.FAILED, None),
    ],
)
def test_a_refusal_keeps_its_sentence_and_names_the_field(
    exc: ProviderError | InstanceFailed | TargetInvalid, code: ErrorCode, field: str | None
) -> None:
    error = refusal(exc)
    assert (error.code, error.field) == (code, field)
    assert error.message == str(exc)


@pytest.mark.parametrize("code", DatapathErrorCode)
def test_every_error_of_the_datapath_has_its_code(code: DatapathErrorCode) -> None:
    assert refusal(DatapathError(code, "a sentence")).message == "a sentence"


def test_a_name_that_is_taken_is_a_conflict() -> None:
    error = refusal(DatapathError(DatapathErrorCode.NAME_TAKEN, "br0 is not ours"))
    assert error.code is ErrorCode.CONFLICT


def test_an_address_that_is_not_here_names_the_property() -> None:
    exc = DatapathError(DatapathErrorCode.NO_SUCH_ADDRESS, "192.0.2.9 is not on this host")
    assert refusal(exc, VXLAN).field == "vxlan/listen_ip"


def test_an_error_without_words_is_named_by_its_kind() -> None:
    assert refusal(Unsupported()).message == "Unsupported"
