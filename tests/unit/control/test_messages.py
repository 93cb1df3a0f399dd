"""The types of what goes over the control socket."""

import msgspec
import pytest

from varpd.control.messages import (
    ControlError,
    CreateOverlay,
    ErrorCode,
    ErrorInfo,
    SetEntry,
    SetProperties,
    TargetInfo,
)


def test_a_creation_needs_a_name_a_vnetid_and_a_plugin() -> None:
    request = msgspec.json.decode(
        b'{"name": "web0", "vnetid": 23, "search": "files"}', type=CreateOverlay
    )
    assert request == CreateOverlay("web0", 23, "files", "vxlan", {}, temporary=False)


@pytest.mark.parametrize("kind", [CreateOverlay, SetProperties, SetEntry])
def test_a_request_with_an_unknown_field_is_refused(kind: type[msgspec.Struct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `colour`"):
        msgspec.json.decode(b'{"colour": "red"}', type=kind)


def test_a_negative_vnetid_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.vnetid"):
        msgspec.json.decode(b'{"name": "a", "vnetid": -1, "search": "b"}', type=CreateOverlay)


def test_an_answer_with_more_fields_than_are_known_is_understood() -> None:
    answer = b'{"code": "busy", "message": "Wait.", "since": "now"}'
    assert msgspec.json.decode(answer, type=ErrorInfo) == ErrorInfo(ErrorCode.BUSY, "Wait.")


def test_a_target_has_the_fields_that_scripts_rely_on() -> None:
    target = TargetInfo("web0", None, "192.0.2.1", 4789, "valid", "plugin", None)
    assert msgspec.json.decode(msgspec.json.encode(target)) == {
        "overlay": "web0",
        "mac": None,
        "ip": "192.0.2.1",
        "port": 4789,
        "state": "valid",
        "origin": "plugin",
        "age_s": None,
    }


def test_an_error_reads_as_its_sentence() -> None:
    error = ControlError(ErrorCode.INVALID, "mtu: 99999 is not possible", "mtu")
    assert str(error) == "mtu: 99999 is not possible"
    assert error.field == "mtu"
