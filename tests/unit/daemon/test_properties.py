"""An overlay's properties taken together: parsing, defaults, what is missing, how they show."""

from ipaddress import IPv4Address
from typing import Final

import pytest

from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon import properties
from varpd.provider.answers import Drop
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import PointPlugin
from varpd.provider.properties import Property, PropertyType, Protection, Range

MTU: Final = Property("mtu", PropertyType.UINT, default=1500, possible=(Range(576, 8900),))
NUMBER: Final = Property("varpd/id", PropertyType.UINT, Protection.R)
LISTEN: Final = Property("x/listen_ip", PropertyType.IP, required=True, live=False)
NOTE: Final = Property("x/note", PropertyType.STRING, required=True)
ALL: Final = (MTU, NUMBER, LISTEN, NOTE)


class Confused(PointPlugin):
    """A plugin that cannot say its properties."""

    api_version = 1
    name = "confused"

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        raise RuntimeError("lost")

    def default(self) -> Drop:
        return Drop()


def refused(texts: dict[str, str | None], *, running: bool = False) -> ControlError:
    with pytest.raises(ControlError) as caught:
        properties.parse(ALL, texts, running=running)
    return caught.value


def test_values_are_read_by_their_types() -> None:
    assert properties.parse(ALL, {"mtu": "1400", "x/listen_ip": "192.0.2.1"}, running=False) == {
        "mtu": 1400,
        "x/listen_ip": IPv4Address("192.0.2.1"),
    }


@pytest.mark.parametrize("text", [None, ""])
def test_nothing_means_back_to_the_default(text: str | None) -> None:
    assert properties.parse(ALL, {"mtu": text}, running=True) == {"mtu": None}


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    error = refused({"speed": "5"})
    assert error.code is ErrorCode.INVALID
    assert error.field == "speed"
    assert "mtu, varpd/id, x/listen_ip, x/note" in error.message


def test_a_wrong_value_is_refused_with_what_is_possible() -> None:
    error = refused({"mtu": "9000"})
    assert error.code is ErrorCode.INVALID
    assert error.message == "mtu=9000: out of range; possible: 576-8900"


def test_what_can_only_be_read_is_refused() -> None:
    error = refused({"varpd/id": "5"})
    assert error.code is ErrorCode.INVALID
    assert error.field == "varpd/id"


def test_what_is_fixed_for_life_is_refused_while_the_overlay_exists() -> None:
    error = refused({"x/listen_ip": "192.0.2.1"}, running=True)
    assert error.code is ErrorCode.NOT_LIVE
    assert error.field == "x/listen_ip"


def test_all_that_is_wrong_is_told_at_once() -> None:
    error = refused({"mtu": "9000", "speed": "5"})
    assert "mtu=9000" in error.message
    assert "speed" in error.message


def test_a_set_value_wins_over_the_configuration_and_that_over_the_declaration() -> None:
    assert properties.effective(ALL, {}, {}) == {"mtu": 1500}
    assert properties.effective(ALL, {}, {"mtu": 1400}) == {"mtu": 1400}
    assert properties.effective(ALL, {"mtu": 1300}, {"mtu": 1400}) == {"mtu": 1300}


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(ControlError) as caught:
        properties.check_required(ALL, {"mtu": 1500})
    assert caught.value.code is ErrorCode.MISSING
    assert caught.value.field == "x/listen_ip"
    assert caught.value.message == "required properties not set: x/listen_ip, x/note"


def test_what_is_there_is_not_missing() -> None:
    properties.check_required(ALL, {"x/listen_ip": IPv4Address("192.0.2.1"), "x/note": "hello"})


def test_a_property_shows_its_declaration_and_value() -> None:
    shown = properties.info(MTU, 1400, None)
    assert (shown.name, shown.type, shown.permission) == ("mtu", "uint", "rw")
    assert (shown.value, shown.default, shown.possible) == (1400, 1500, "576-8900")
    assert properties.info(NUMBER, None, None).permission == "r-"
    assert properties.info(LISTEN, IPv4Address("192.0.2.1"), None).value == "192.0.2.1"


def test_the_default_shown_is_the_configurations_then_the_declared_then_the_computed() -> None:
    assert properties.info(MTU, None, 1400, fallback=1300).default == 1400
    assert properties.info(MTU, None, None, fallback=1300).default == 1500
    assert properties.info(NUMBER, None, None, fallback=1300).default == 1300
    assert properties.info(NUMBER, None, None).default is None


def test_a_plugin_that_fails_at_its_properties_is_an_error_with_its_name() -> None:
    with pytest.raises(ControlError, match=r"plugin confused .* RuntimeError: lost"):
        properties.of_plugin(Confused, DestinationKind.IP)


def test_a_secret_is_never_shown() -> None:
    declared = Property("x/key", PropertyType.STRING, secret=True)
    shown = properties.info(declared, "opensesame", None)
    assert (shown.value, shown.secret) == ("***", True)
    assert properties.info(declared, None, None).value is None
