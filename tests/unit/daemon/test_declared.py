"""Values are checked against declarations before the plugin sees them."""

from typing import Any

import pytest

from support.probes import VXLAN, GoodProbe
from varpd.daemon.declared import Declared
from varpd.provider import (
    DestinationKind,
    NotLive,
    Property,
    PropertyInvalid,
    PropertyMissing,
    PropertyType,
    PropertyUnknown,
    Range,
)


class Probe(GoodProbe):
    api_version = 1

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        return (
            Property("probe/site", PropertyType.STRING, required=True),
            Property("probe/weight", PropertyType.UINT, default=1, possible=(Range(1, 9),)),
            Property("probe/id", PropertyType.UINT, default=5, live=False),
        )


DECLARED = Declared(Probe, VXLAN)


def test_values_come_in_the_order_of_their_declarations() -> None:
    checked = DECLARED.check({"probe/weight": 2, "probe/site": "north"})
    assert list(checked) == ["probe/site", "probe/weight"]


def test_an_unknown_property_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(PropertyUnknown, match="probe/site, probe/weight, probe/id"):
        DECLARED.check({"probe/colour": "blue"})
    with pytest.raises(PropertyUnknown):
        DECLARED.check_changes({}, {"probe/colour": None})
    with pytest.raises(PropertyUnknown):
        DECLARED.find("probe/colour")


def test_a_value_that_is_not_possible_is_refused() -> None:
    with pytest.raises(PropertyInvalid, match="1-9"):
        DECLARED.check({"probe/weight": 10})


@pytest.mark.parametrize("change", [{"probe/id": 6}, {"probe/id": 6, "probe/weight": 2}])
def test_what_is_not_live_cannot_change(change: dict[str, Any]) -> None:
    with pytest.raises(NotLive, match="probe/id"):
        DECLARED.check_changes({}, change)
    with pytest.raises(NotLive):
        DECLARED.check_changes({"probe/id": 7}, {"probe/id": None})


def test_what_is_not_live_may_be_set_to_what_it_is() -> None:
    DECLARED.check_changes({"probe/id": 7}, {"probe/id": 7})
    DECLARED.check_changes({}, {"probe/id": 5})
    DECLARED.check_changes({}, {"probe/id": None})


def test_a_required_property_keeps_a_value() -> None:
    with pytest.raises(PropertyMissing, match="probe/site"):
        DECLARED.check_changes({"probe/site": "north"}, {"probe/site": None})
