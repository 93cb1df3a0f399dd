"""What the rest of varpd sees of a datapath."""

import inspect
from ipaddress import IPv4Address

import pytest
from msgspec import Struct, structs

from varpd.datapath.base import (
    Datapath,
    DatapathError,
    DatapathErrorCode,
    Link,
    LinkState,
    Row,
)
from varpd.engine.settings import Mode
from varpd.provider.answers import Target

TARGET = Target(ip=IPv4Address("192.0.2.2"), port=4789)
LINK = Link("blue", 42, "vxlan", Mode.DYNAMIC, 1, IPv4Address("192.0.2.1"), 4789)


def test_an_error_reads_as_its_sentence_and_says_of_what_kind_it_is() -> None:
    error = DatapathError(DatapathErrorCode.PORT_IN_USE, "port 4789 is in use")
    assert str(error) == error.message == "port 4789 is in use"
    assert error.code is DatapathErrorCode.PORT_IN_USE
    assert "PORT_IN_USE" in repr(error)


def test_an_error_is_caught_as_what_it_is_and_not_as_a_programmers_mistake() -> None:
    with pytest.raises(DatapathError):
        raise DatapathError(DatapathErrorCode.FAILED, "no")
    assert not issubclass(DatapathError, ValueError | TypeError | OSError)


def test_the_codes_are_words_that_may_stand_in_an_answer() -> None:
    assert [code.value for code in DatapathErrorCode] == [
        code.name.lower().replace("_", "-") for code in DatapathErrorCode
    ]


def test_a_link_has_no_default_target_and_the_usual_mtu_unless_they_are_given() -> None:
    assert (LINK.mtu, LINK.default) == (None, None)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (LINK, "mtu"),
        (Row(b"\x02\0\0\0\0\1", (TARGET,)), "targets"),
        (LinkState("blue", "blue-t", 1450, ()), "ports"),
    ],
)
def test_what_is_said_of_a_datapath_is_a_value(value: Struct, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, field, None)
    assert len({value, structs.replace(value)}) == 1


def test_only_applying_commands_and_counting_do_not_wait_for_the_kernel() -> None:
    methods = {
        name: member
        for name, member in inspect.getmembers(Datapath, inspect.isfunction)
        if not name.startswith("_")
    }
    plain = {name for name, member in methods.items() if not inspect.iscoroutinefunction(member)}
    assert plain == {"apply", "counters", "follow", "totals"}
