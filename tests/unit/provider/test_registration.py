"""Tests of registration: what is taken, and each refusal."""

from typing import Any, ClassVar

import pytest

from support.probes import GoodProbe, PointProbe
from varpd.provider.answers import DROP
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import DynamicPlugin, Plugin, PointPlugin
from varpd.provider.properties import Property, PropertyType
from varpd.provider.registration import Refusal, RegistrationError, check_class


def body(**changes: Any) -> dict[str, Any]:
    return {"api_version": 1, "name": "mine"} | changes


def dynamic(**changes: Any) -> type:
    return type("Mine", (DynamicPlugin,), body(lookup=lambda self, query: DROP, **changes))


def point(**changes: Any) -> type:
    return type("Mine", (PointPlugin,), body(default=lambda self: DROP, **changes))


def undeclarable() -> Property:
    wrong: Any = "y"
    return Property("x", wrong)


def declaring(*declared: object) -> type:
    return dynamic(properties=classmethod(lambda cls, destination: declared))


@pytest.mark.parametrize("cls", [dynamic(), point(), GoodProbe, PointProbe])
def test_a_plugin_of_either_mode_is_taken(cls: type) -> None:
    assert check_class(cls) is cls


def test_optional_operations_are_taken() -> None:
    optional = dict.fromkeys(["arp", "dhcp", "enumerate", "reload", "local_endpoint"], print)

    check_class(dynamic(**optional))
    check_class(point(reload=print, local_endpoint=print))


@pytest.mark.parametrize(
    ("refusal", "cls", "words"),
    [
        (Refusal.BAD_VERSION, dynamic(api_version=2), "API version 2; varpd has 1"),
        (Refusal.BAD_VERSION, dynamic(api_version="1"), "API version '1'; varpd has 1"),
        (Refusal.BAD_VERSION, dynamic(api_version=True), "API version True"),
        (Refusal.BAD_VERSION, type("Mine", (dynamic(),), {}), "in its own body; varpd has 1"),
        (Refusal.BAD_NAME, dynamic(name=""), "not of the form"),
        (Refusal.BAD_NAME, dynamic(name="Mine"), "not of the form"),
        (Refusal.BAD_NAME, dynamic(name="1st"), "not of the form"),
        (Refusal.BAD_NAME, dynamic(name="a" * 32), "not of the form"),
        (Refusal.BAD_NAME, dynamic(name="mine\n"), "not of the form"),
        (Refusal.BAD_NAME, dynamic(name=5), "not of the form"),
        (Refusal.BAD_NAME, dynamic(name="varpd"), "taken by varpd"),
        (Refusal.BAD_NAME, dynamic(name="vxlan"), "taken by varpd"),
        (Refusal.WRONG_MODE, type("Mine", (Plugin,), body()), "neither"),
        (Refusal.WRONG_MODE, type("Mine", (), body()), "neither"),
        (
            Refusal.WRONG_MODE,
            type("Mine", (DynamicPlugin, PointPlugin), body(lookup=print, default=print)),
            "both",
        ),
        (Refusal.WRONG_MODE, dynamic(default=print), "DynamicPlugin but defines default"),
        *(
            (Refusal.WRONG_MODE, point(**{name: print}), f"PointPlugin but defines {name}")
            for name in ("lookup", "arp", "dhcp", "enumerate")
        ),
        (
            Refusal.MISSING_OPERATION,
            type("Mine", (DynamicPlugin,), body()),
            "does not define lookup",
        ),
        (Refusal.MISSING_OPERATION, type("Mine", (PointPlugin,), body()), "not define default"),
        (Refusal.MISSING_OPERATION, dynamic(arp=5), "arp is no operation but 5"),
        (Refusal.MISSING_OPERATION, dynamic(start=None), "start is no operation"),
        (Refusal.BAD_PROPERTY, declaring(Property("a/b", PropertyType.UINT)), "named mine/"),
        (Refusal.BAD_PROPERTY, declaring(Property("b", PropertyType.UINT)), "named mine/"),
        (
            Refusal.BAD_PROPERTY,
            declaring(*[Property("mine/a", PropertyType.UINT)] * 2),
            "'mine/a' twice",
        ),
        (Refusal.BAD_PROPERTY, declaring("mine/a"), "not a Property"),
        (
            Refusal.BAD_PROPERTY,
            dynamic(properties=classmethod(lambda cls, destination: [])),
            "not a tuple",
        ),
        (
            Refusal.BAD_PROPERTY,
            dynamic(properties=classmethod(lambda cls, destination: (undeclarable(),))),
            "ValueError: x: type",
        ),
        (Refusal.BAD_PROPERTY, dynamic(properties=lambda self, destination: ()), "TypeError"),
        (Refusal.BAD_PROPERTY, dynamic(blocking="yes"), "blocking"),
        *((Refusal.BAD_PROPERTY, dynamic(ttl=ttl), "ttl") for ttl in (0, -1, "60", True)),
        (Refusal.BAD_PROPERTY, dynamic(ttl=float("inf")), "ttl"),
        *(
            (Refusal.BAD_PROPERTY, dynamic(supplies=supplies), "supplies")
            for supplies in ((), DestinationKind.IP, (DestinationKind(0),), ("IP",))
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_code(
    refusal: Refusal, cls: type, words: str
) -> None:
    with pytest.raises(RegistrationError) as caught:
        check_class(cls, frozenset({"vxlan"}))

    assert caught.value.refusal is refusal
    assert words in caught.value.message
    assert str(caught.value) == f"{refusal.value}: {caught.value.message}"


def test_a_nameless_class_is_refused() -> None:
    cls = type("Mine", (DynamicPlugin,), {"api_version": 1, "lookup": print})

    with pytest.raises(RegistrationError, match="bad-name"):
        check_class(cls)


def test_declarations_are_tried_for_every_combination_of_kinds() -> None:
    class Mine(GoodProbe):
        api_version = 1

        @classmethod
        def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
            if destination == DestinationKind.PORT:
                raise LookupError("only ports?")
            return ()

    with pytest.raises(RegistrationError, match=r"bad-property: .*PORT.* LookupError: only ports"):
        check_class(Mine)


def test_declarations_that_change_are_refused() -> None:
    class Mine(GoodProbe):
        api_version = 1
        asked: ClassVar[list[int]] = []

        @classmethod
        def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
            cls.asked.append(1)
            return (Property(f"probe/a{len(cls.asked)}", PropertyType.UINT),)

    with pytest.raises(RegistrationError, match="differs from call to call"):
        check_class(Mine)


def test_a_ttl_is_a_number_of_seconds() -> None:
    check_class(dynamic(ttl=60))
    check_class(dynamic(ttl=0.5))


def test_the_codes_are_those_that_operators_know() -> None:
    assert [refusal.value for refusal in Refusal] == [
        "import-error",
        "bad-version",
        "bad-name",
        "duplicate-name",
        "wrong-mode",
        "missing-operation",
        "bad-property",
    ]
