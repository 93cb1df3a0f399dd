"""What a capture is asked for with."""

from typing import get_args

import msgspec
import pytest

from varpd.control.captures import KINDS, SNAPLEN, Capture, CaptureKind


def test_without_more_it_is_all_of_everything() -> None:
    assert msgspec.json.decode(b"{}", type=Capture) == Capture(KINDS, SNAPLEN, None)
    assert get_args(CaptureKind) == KINDS


@pytest.mark.parametrize(
    "wrong", [b'{"kinds":["sent"]}', b'{"snaplen":0}', b'{"snaplen":65536}', b'{"count":0}']
)
def test_what_cannot_be_is_refused(wrong: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wrong, type=Capture)
