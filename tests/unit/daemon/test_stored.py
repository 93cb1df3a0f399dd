"""A plan is stored and found again; what is stored can be wrong here and now."""

from ipaddress import IPv4Address
from typing import Any

import pytest
from msgspec import structs

from support import overlays as support
from support.overlays import request
from support.stores import overlay
from varpd.control.messages import ControlError, ErrorCode
from varpd.daemon import creation
from varpd.daemon import stored as plans
from varpd.daemon.stored import Claim
from varpd.engine.events import EntrySet
from varpd.provider.answers import Target
from varpd.store.base import Phase, StoredOverlay

HERE = support.surroundings({"mtu": 1300})


def stored(**values: Any) -> StoredOverlay:
    """Return what is stored of an overlay that works."""
    plan = creation.plan(request(limit_targets="5"), HERE, 3)
    return structs.replace(plans.record_of(plan, None), **values)


def test_a_plan_is_the_same_after_it_was_stored() -> None:
    for wanted in (request(mtu="1400"), request(search="point"), request(probe__weight="7")):
        plan = creation.plan(wanted, HERE, 3)
        assert plans.plan_of(plans.record_of(plan, None), HERE) == plan


def test_an_overlay_keeps_the_defaults_that_it_was_made_with() -> None:
    plan = plans.plan_of(stored(), support.surroundings({"mtu": 9000}))
    assert plan.effective()["mtu"] == 1300


def test_what_is_stored_says_that_it_is_not_made_yet() -> None:
    assert stored().phase is Phase.MAKING
    assert plans.record_of(creation.plan(request(), HERE, 1), "b00t").boot == "b00t"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"search": "portolan"}, "no search plugin 'portolan'"),
        ({"encapsulation": "stt"}, "no encapsulation 'stt'"),
        ({"properties": {"probe/colour": "red"}}, "no property 'probe/colour'"),
        ({"properties": {"mtu": 1}}, "mtu"),
        ({"properties": {}}, "vxlan/listen_ip, probe/site, probe/shard"),
    ],
)
def test_what_cannot_be_here_says_why(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ControlError) as caught:
        plans.plan_of(stored(**values), HERE)
    assert said in str(caught.value)


def test_entries_become_events() -> None:
    record = stored(entries={"02:00:00:00:00:01": "192.0.2.2:4789", "02:00:00:00:00:02": "drop"})
    assert list(plans.entries_of(record, plans.plan_of(record, HERE))) == [
        EntrySet("blue", b"\2\0\0\0\0\1", Target(ip=IPv4Address("192.0.2.2"), port=4789)),
        EntrySet("blue", b"\2\0\0\0\0\2", None),
    ]


def test_an_entry_that_means_nothing_any_more_is_named() -> None:
    record = stored(entries={"02:00:00:00:00:01": "[2001:db8::1]:4789"})
    with pytest.raises(ControlError, match="2001:db8::1"):
        list(plans.entries_of(record, plans.plan_of(record, HERE)))


def test_properties_are_changed_as_an_operator_writes_them() -> None:
    texts = {"probe/site": "south", "limit_targets": None, "vxlan/listen_ip": "192.0.2.5"}
    changed = plans.changed_record(stored(), texts, HERE)
    assert changed.properties == {
        "probe/site": "south",
        "probe/shard": 7,
        "vxlan/listen_ip": "192.0.2.5",
    }


def test_without_its_plugin_an_overlay_can_lose_the_plugins_properties_only() -> None:
    record = stored(search="portolan")
    changed = plans.changed_record(record, {"probe/site": None, "mtu": "1400"}, HERE)
    assert changed.properties["mtu"] == 1400
    assert "probe/site" not in changed.properties
    with pytest.raises(ControlError, match="no property 'probe/site'"):
        plans.changed_record(record, {"probe/site": "south"}, HERE)


def test_a_change_must_not_make_an_overlay_impossible() -> None:
    with pytest.raises(ControlError, match="here"):
        plans.changed_record(stored(), {"vxlan/local_ips": "here"}, HERE)
    with pytest.raises(ControlError) as caught:
        plans.changed_record(stored(), {"probe/site": None}, HERE)
    assert caught.value.code is ErrorCode.MISSING


def test_of_an_overlay_that_is_impossible_already_a_part_can_be_put_right() -> None:
    broken = stored(properties={"probe/shard": 7})
    better = plans.changed_record(broken, {"probe/site": "south"}, HERE)
    assert better.properties == {"probe/shard": 7, "probe/site": "south"}


def test_a_claim_has_the_port_that_was_set_or_the_default() -> None:
    assert plans.claim_of(stored()) == Claim("blue", 3, 7, "vxlan", 4789)
    assert plans.claim_of(stored(defaults={"vxlan/listen_port": 99})).port == 99
    assert plans.claim_of(stored(properties={"vxlan/listen_port": 77})).port == 77
    assert plans.claim_of(overlay("red", encapsulation="stt")).port is None


def test_a_vnetid_belongs_to_one_overlay_of_an_encapsulation_and_port() -> None:
    blue, red = (Claim(name, 1, 7, "vxlan", 4789) for name in ("blue", "red"))
    with pytest.raises(ControlError) as caught:
        plans.check_claim(red, [blue])
    assert (caught.value.code, caught.value.field) == (ErrorCode.CONFLICT, "vnetid")
    assert "overlay blue" in caught.value.message
    assert "4789" in caught.value.message
    plans.check_claim(blue, [blue])


def test_on_another_port_or_encapsulation_a_vnetid_is_free() -> None:
    blue = Claim("blue", 1, 7, "vxlan", 4789)
    for other in (
        Claim("red", 1, 7, "vxlan", 8472),
        Claim("red", 1, 8, "vxlan", 4789),
        Claim("red", 1, 7, "geneve", 4789),
    ):
        plans.check_claim(other, [blue])


def test_a_stored_value_that_is_not_possible_is_no_value() -> None:
    (mtu,) = [item for item in HERE.own if item.name == "mtu"]
    assert plans.loaded(mtu, 1400) == 1400
    assert plans.loaded(mtu, None) is None
    assert plans.loaded(mtu, 1) is None
