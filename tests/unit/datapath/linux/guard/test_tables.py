"""The guard's tables: changed in steps, looked after, taken over."""

import errno
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from support.fake_nftables import FakeNftables
from varpd.datapath.linux.guard.layout import INET
from varpd.datapath.linux.guard.rules import Guarded
from varpd.datapath.linux.guard.tables import GuardTables
from varpd.datapath.linux.nft import objects
from varpd.datapath.linux.nft.wire import Kind


def overlay(name: str = "blue", vnetid: int = 7, **other: Any) -> Guarded:
    values = {"listen_ip": ip_address("192.0.2.1"), "listen_port": 4789, "punt_ports": (789,)}
    index = vnetid * 2
    return Guarded(name, vnetid, bridge=index, device=index + 1, **(values | other))


@pytest.fixture(params=[True, False], ids=["owned", "not-owned"])
def there(request: pytest.FixtureRequest) -> FakeNftables:
    return FakeNftables(owners=request.param)


@pytest.fixture
def tables(there: FakeNftables) -> GuardTables:
    return GuardTables(there.session)


def test_the_tables_come_with_the_first_overlay_and_go_with_the_last(
    there: FakeNftables, tables: GuardTables
) -> None:
    assert there.tables == {}
    tables.put(overlay())
    tables.put(overlay("green", 8))
    assert {"wrapped-blue", "wrapped-green", "host-blue", "host-green"} <= {*there.names()}
    tables.remove("blue")
    assert "wrapped-blue" not in there.names()
    assert "wrapped-green" in there.names()
    tables.remove("green")
    assert there.tables == {}


def test_where_the_kernel_has_owners_nobody_else_can_change_the_tables() -> None:
    there = FakeNftables()
    tables = GuardTables(there.session)
    tables.put(overlay())
    assert tables.is_owner
    there.flush()
    with pytest.raises(PermissionError):
        there.session().change([objects.delete_table(INET)])
    assert tables.check()
    assert tables.repairs == 0


def test_another_overlay_is_a_small_change(there: FakeNftables, tables: GuardTables) -> None:
    for number in range(1, 50):
        tables.put(overlay(f"o{number}", number))
    tables.put(overlay("blue", 99))
    assert len(there.changes[-1]) < 25
    assert Kind.DELRULE not in there.changes[-1]


def test_what_is_as_it_should_be_is_left_alone(there: FakeNftables, tables: GuardTables) -> None:
    tables.put(overlay())
    before = len(there.changes)
    tables.put(overlay())
    assert tables.check()
    assert {kind for change in there.changes[before:] for kind in change} <= {Kind.NEWTABLE}


@pytest.mark.parametrize(
    "other",
    [
        {"host_access": True},
        {"sources": (ip_network("192.0.2.0/24"),)},
        {"sources": frozenset([ip_address("192.0.2.2")])},
        {"underlay": ("eth0", "eth1")},
        {"punt_ports": (789, 790)},
        {"punt_ports": ()},
    ],
)
def test_an_overlay_is_guarded_otherwise_and_back(
    there: FakeNftables, tables: GuardTables, other: dict[str, Any]
) -> None:
    tables.put(overlay("green", 8))
    tables.put(overlay())
    before = there.tables
    tables.put(overlay(**other))
    assert there.tables != before
    assert tables.check()
    tables.put(overlay())
    assert tables.check()
    assert there.names() == sorted(name for table in before.values() for name in table.chains)


def test_what_somebody_removes_is_put_back_and_counted() -> None:
    there = FakeNftables(owners=False)
    tables = GuardTables(there.session)
    tables.put(overlay())
    before = there.names(), there.comments("wrapped-blue")
    there.flush()
    assert not tables.check()
    assert (there.names(), there.comments("wrapped-blue")) == before
    assert tables.repairs == 1
    assert tables.check()


def test_rules_that_somebody_adds_or_takes_away_are_put_right() -> None:
    there = FakeNftables(owners=False)
    tables = GuardTables(there.session)
    tables.put(overlay())
    before = there.comments("wrapped-blue")
    for table in there.tables.values():
        table.rules = [item for item in table.rules if item[2] != b"wrapped-blue\0"]
    there.session().change([objects.flush_set(INET, "links")])
    assert not tables.check()
    assert there.comments("wrapped-blue") == before
    assert tables.check()


def test_the_next_daemon_takes_the_tables_over_as_they_are(there: FakeNftables) -> None:
    earlier = GuardTables(there.session)
    earlier.put(overlay())
    earlier.put(overlay("green", 8))
    earlier.close()
    before = there.names()

    tables = GuardTables(there.session)
    tables.put(overlay())

    # What protects an overlay that is not restored yet stays.
    assert there.names() == before
    tables.put(overlay("green", 8))
    assert tables.check()
    assert there.names() == before


def test_what_is_left_of_overlays_that_are_gone_can_be_swept(there: FakeNftables) -> None:
    earlier = GuardTables(there.session)
    earlier.put(overlay())
    earlier.put(overlay("green", 8, listen_ip=ip_address("2001:db8::1")))
    earlier.close()
    tables = GuardTables(there.session)
    tables.put(overlay())
    tables.check(alive=["blue"])
    assert "wrapped-green" not in there.names()
    assert "wrapped-blue" in there.names()


def test_an_overlay_of_an_earlier_life_can_be_removed(there: FakeNftables) -> None:
    earlier = GuardTables(there.session)
    earlier.put(overlay())
    earlier.close()
    GuardTables(there.session).remove("blue")
    assert there.tables == {}


def test_the_chain_of_a_bridge_that_was_made_anew_comes_back(
    there: FakeNftables, tables: GuardTables
) -> None:
    tables.put(overlay())
    before = there.names(), there.comments("host-blue")
    there.unregister("blue")
    assert "host-blue" not in there.names()
    tables.put(overlay())
    assert (there.names(), there.comments("host-blue")) == before
    assert tables.check()


def test_a_batch_that_does_not_fit_what_is_there_leads_to_a_table_made_anew() -> None:
    there = FakeNftables(owners=False)
    tables = GuardTables(there.session)
    tables.put(overlay())
    there.flush()
    tables.put(overlay(host_access=True))
    assert tables.check()
    assert {"wrapped-blue", "incoming", "host-blue"} <= {*there.names()}


def test_what_is_refused_is_raised_and_tried_again(
    there: FakeNftables, tables: GuardTables
) -> None:
    there.refuse = errno.EPERM
    with pytest.raises(PermissionError):
        tables.put(overlay())
    with pytest.raises(PermissionError):
        tables.check()
    there.refuse = None
    assert not tables.check()
    assert "wrapped-blue" in there.names()
    assert tables.repairs == 0


def test_a_table_that_changes_while_it_is_read_is_read_again(
    there: FakeNftables, tables: GuardTables
) -> None:
    there.disturbed = 3
    tables.put(overlay())
    there.disturbed = 1000
    with pytest.raises(InterruptedError):
        tables.check()


def test_without_overlays_nothing_is_there_to_be_checked(
    there: FakeNftables, tables: GuardTables
) -> None:
    assert tables.check()
    assert tables.counts() == {}
    assert tables.port == 0
    assert there.changes == []
