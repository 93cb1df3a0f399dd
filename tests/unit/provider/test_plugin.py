"""Tests of the base classes, and of the example in the contract."""

import asyncio
import inspect
import json
from collections.abc import Awaitable
from ipaddress import IPv4Address
from textwrap import dedent
from typing import Any

import pytest

import varpd.provider
from support.probes import ONE, VALUES, WEB, GoodProbe, PointProbe, make
from varpd.net.addresses import MacAddress
from varpd.provider.answers import DROP, Answer, Target
from varpd.provider.errors import PropertyInvalid, PropertyMissing, PropertyUnknown, Unsupported
from varpd.provider.host import Host
from varpd.provider.kinds import DestinationKind
from varpd.provider.plugin import API_VERSION, DynamicPlugin, Endpoint, Plugin, StopReason
from varpd.provider.properties import Property, PropertyType, Protection, Value
from varpd.provider.query import Query
from varpd.provider.testing import Case, FakeHost, frame_query
from varpd.provider.testing.checks import answers_as_expected, registers
from varpd.provider.testing.suite import run

VXLAN = DestinationKind.IP | DestinationKind.PORT


class Bare(DynamicPlugin):
    """Defines what it must, and nothing else."""

    api_version = 1
    name = "bare"

    @classmethod
    def properties(cls, destination: DestinationKind) -> tuple[Property, ...]:
        return (
            Property("bare/site", PropertyType.STRING, required=True),
            Property("bare/ip", PropertyType.IP, required=True),
            Property("bare/weight", PropertyType.UINT, required=True, default=1),
            Property("bare/id", PropertyType.UINT, Protection.R, default=9),
        )

    def lookup(self, query: Query) -> Answer:
        return DROP


def bare(destination: DestinationKind = VXLAN) -> Bare:
    return Bare(FakeHost(), destination)


def test_a_plugin_states_the_version_itself() -> None:
    assert not any(hasattr(base, "api_version") for base in Bare.__mro__[1:])
    assert Bare.api_version == API_VERSION


def test_without_a_value_there_is_the_default_or_nothing() -> None:
    plugin = bare()

    assert plugin.get_property("bare/weight") == 1
    assert plugin.get_property("bare/site") is None


def test_a_value_that_is_set_is_kept_until_none_is() -> None:
    plugin = bare()
    plugin.set_property("bare/weight", 5)
    assert plugin.get_property("bare/weight") == 5

    plugin.set_property("bare/weight", None)
    assert plugin.get_property("bare/weight") == 1
    plugin.set_property("bare/weight", None)


def test_values_belong_to_the_instance() -> None:
    one, two = bare(), bare()
    one.set_property("bare/weight", 5)

    assert two.get_property("bare/weight") == 1


@pytest.mark.parametrize("value", ["x", -1, 1 << 64, True, IPv4Address("192.0.2.1")])
def test_a_refused_value_changes_nothing(value: Value) -> None:
    plugin = bare()
    plugin.set_property("bare/weight", 5)

    with pytest.raises(PropertyInvalid, match="bare/weight"):
        plugin.set_property("bare/weight", value)
    assert plugin.get_property("bare/weight") == 5


def test_what_can_only_be_read_is_not_set() -> None:
    plugin = bare()

    with pytest.raises(PropertyInvalid, match="only be read"):
        plugin.set_property("bare/id", 5)
    assert plugin.get_property("bare/id") == 9


def test_an_unknown_property_is_named_beside_the_known_ones() -> None:
    for operation in (lambda: bare().get_property("x"), lambda: bare().set_property("x", 1)):
        with pytest.raises(PropertyUnknown, match="'x'; there are: bare/site, bare/ip"):
            operation()


def test_start_names_every_required_property_without_a_value() -> None:
    with pytest.raises(PropertyMissing) as caught:
        asyncio.run(bare().start())

    assert caught.value.names == ("bare/site", "bare/ip")


def test_start_is_content_with_values_and_defaults() -> None:
    plugin = bare()
    plugin.set_property("bare/site", "north")
    plugin.set_property("bare/ip", IPv4Address("192.0.2.1"))

    asyncio.run(plugin.start())


@pytest.mark.parametrize("destination", [DestinationKind.IP, DestinationKind.ETHERNET])
def test_kinds_that_are_not_supplied_are_refused_with_both_sides(
    destination: DestinationKind,
) -> None:
    with pytest.raises(Unsupported, match=rf"probe supplies IP\+PORT, .* needs {destination}"):
        GoodProbe(FakeHost(), destination)


def test_a_plugin_that_says_nothing_supplies_any_kinds() -> None:
    assert bare(DestinationKind.ETHERNET).destination is DestinationKind.ETHERNET


def test_what_was_saved_is_restored() -> None:
    plugin = bare()
    plugin.set_property("bare/site", "north")
    plugin.set_property("bare/ip", IPv4Address("192.0.2.1"))
    state = json.loads(json.dumps(plugin.save()))
    restored = Bare.restore({**state, "alien": 5}, FakeHost(), VXLAN)

    assert state == {"bare/site": "north", "bare/ip": "192.0.2.1"}
    assert restored.save() == state
    assert restored.get_property("bare/ip") == IPv4Address("192.0.2.1")
    assert restored.get_property("bare/weight") == 1


def test_what_is_restored_is_set_the_way_that_the_plugin_sets_it() -> None:
    plugin = make(GoodProbe, FakeHost())
    restored = GoodProbe.restore(plugin.save(), FakeHost(), VXLAN)

    assert restored.calls == ["set_property"] * len(VALUES)


def test_a_stored_value_that_is_no_longer_possible_fails_the_restore() -> None:
    with pytest.raises(PropertyInvalid, match="bare/weight"):
        Bare.restore({"bare/weight": -1}, FakeHost(), VXLAN)


def test_a_plugin_that_awaits_in_set_property_is_told_to_define_restore() -> None:
    class Slow(Bare):
        async def _set(self, name: str, value: Value | None) -> None:
            super().set_property(name, value)

        def set_property(self, name: str, value: Value | None) -> Awaitable[None] | None:
            return self._set(name, value)

    with pytest.raises(TypeError, match="define restore"):
        Slow.restore({"bare/weight": 2}, FakeHost(), VXLAN)


def test_optional_operations_have_harmless_defaults() -> None:
    plugin = bare()
    query = frame_query(WEB)

    with pytest.raises(Unsupported, match="arp"):
        plugin.arp(IPv4Address("10.0.0.1"))
    with pytest.raises(Unsupported, match="dhcp"):
        plugin.dhcp(query)
    assert list(plugin.enumerate()) == []
    assert plugin.local_endpoint(Endpoint("tap0", WEB), True) is None
    asyncio.run(plugin.reload())
    asyncio.run(plugin.stop(StopReason.SHUTDOWN))
    plugin.close()


def test_a_base_class_is_no_plugin() -> None:
    base: Any = DynamicPlugin

    with pytest.raises(TypeError, match="lookup"):
        base(FakeHost(), VXLAN)


def test_a_point_plugin_answers_for_everything() -> None:
    host: Host = FakeHost(point=True)

    assert PointProbe(host, VXLAN).default() == ONE


def test_the_example_in_the_contract_works() -> None:
    contract = inspect.getdoc(varpd.provider) or ""
    code = contract[contract.index("    from varpd.provider import") :]
    code = dedent(code[: code.index("\nRegistration\n")])
    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102 - our own text
    case = Case(
        plugin=scope["RackPlugin"],
        values={"rack/spine": IPv4Address("192.0.2.1")},
        answers=[(MacAddress.parse("02:00:5e:00:53:01"), Target(ONE.ip, 4789))],
    )

    run(registers, case)
    run(answers_as_expected, case)


def test_the_contract_names_everything_that_authors_can_use() -> None:
    contract = varpd.provider.__doc__ or ""
    operations = {name for name in vars(DynamicPlugin) | vars(Plugin) if name.isalpha()}
    said = {"api_version", "name", "blocking", "ttl", "supplies"} | operations

    assert {name for name in said if name not in contract} == set()
