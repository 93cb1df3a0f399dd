"""The rules against forged names as data; what they do to frames is tried for real."""

from ipaddress import IPv6Address, ip_address

from msgspec import structs

from support.fake_nftables import FakeNftables
from varpd.datapath.base import Antispoof, GuestPort
from varpd.datapath.linux.guard import antispoof, layout
from varpd.datapath.linux.guard.guard import Guard
from varpd.datapath.linux.guard.layout import BRIDGE
from varpd.datapath.linux.guard.rules import Guarded
from varpd.datapath.linux.guard.tables import GuardTables
from varpd.datapath.linux.nft.content import EMPTY
from varpd.datapath.linux.nft.objects import COMMENT_MAX
from varpd.datapath.linux.nft.wire import Family

MAC = bytes.fromhex("02005e100001")
WEB = GuestPort("tap0", MAC, (ip_address("10.0.0.1"), ip_address("fd00::1")), Antispoof.MAC_AND_IP)


def guarded(
    *ports: GuestPort,
    usual: Antispoof = Antispoof.OFF,
    strangers: frozenset[tuple[str, int]] = frozenset(),
) -> Guarded:
    address = ip_address("192.0.2.1")
    return Guarded(
        "blue", 7, address, 4789, 3, 4, antispoof=usual, ports=ports, strangers=strangers
    )


def test_the_link_local_address_is_made_from_the_mac() -> None:
    assert antispoof.link_local(MAC) == IPv6Address("fe80::5eff:fe10:1")


def test_where_it_is_off_there_is_nothing() -> None:
    item = guarded(GuestPort("tap0", MAC))
    assert not antispoof.is_wanted(item)
    assert antispoof.bridge(item) == EMPTY


def test_every_name_tells_whose_it_is_and_comments_have_room() -> None:
    found = antispoof.bridge(guarded(WEB, usual=Antispoof.MAC, strangers=frozenset({("tap9", 9)})))
    for name in (*(chain.name for chain in found.chains), *(item.name for item in found.sets)):
        assert layout.owner_of(name) == "blue"
    for element in found.elements:
        owner = layout.owner_of(element.set) or element.comment.partition(":")[0]
        assert owner == "blue"
    assert max(len(rule.comment) for rule in found.rules) <= COMMENT_MAX


def test_the_last_rules_of_a_chain_refuse() -> None:
    found = antispoof.bridge(guarded(WEB))
    assert [rule.comment for rule in found.rules][:1] == ["not from its MAC"]
    assert found.rules[-1].comment == "several VLAN tags"


def test_a_guests_addresses_are_those_given_and_its_own_link_local_one() -> None:
    found = antispoof.bridge(guarded(WEB))
    ipv6 = layout.address_set("blue", "tap0", 6)
    keys = {element.key for element in found.elements if element.set == ipv6}
    assert keys == {WEB.addresses[1].packed, antispoof.link_local(MAC).packed}


def test_a_port_without_a_mac_sends_nothing() -> None:
    (rule,) = antispoof.bridge(guarded(GuestPort("tap0", antispoof=Antispoof.MAC))).rules
    assert rule.comment == "a port whose MAC is not known"


def test_one_port_may_be_left_alone_where_others_are_not() -> None:
    found = antispoof.bridge(guarded(GuestPort("tap0"), usual=Antispoof.MAC))
    assert [rule.comment for rule in found.rules] == ["antispoof is off here"]


def test_the_table_comes_with_the_first_use_and_goes_with_the_last_overlay() -> None:
    there = FakeNftables()
    tables = GuardTables(there.session)
    key = (int(BRIDGE.family), BRIDGE.name)
    tables.put(guarded())
    assert key not in there.tables
    tables.put(guarded(WEB))
    assert layout.port_chain("blue", "tap0") in there.names()
    assert tables.refused() == {"blue": {"tap0": 0}}
    tables.put(guarded())
    assert layout.port_chain("blue", "tap0") not in there.names()
    assert tables.check()
    tables.remove("blue")
    assert there.tables == {}


def test_a_table_of_an_earlier_life_is_taken_over() -> None:
    there = FakeNftables()
    before = GuardTables(there.session)
    before.put(guarded(WEB))
    before.close()
    for table in there.tables.values():
        table.owner = 0
    after = GuardTables(there.session)
    after.put(guarded())
    assert layout.port_chain("blue", "tap0") not in there.names()


def test_a_kernel_without_the_family_has_all_the_rest_and_is_told() -> None:
    there = FakeNftables()
    there.lacks = frozenset({Family.BRIDGE})
    told: list[tuple[str, str | None]] = []
    guard = Guard(lambda overlay, text: told.append((overlay, text)), there.session)
    guard.put(guarded(WEB))
    ((overlay, text),) = told
    assert overlay == "blue"
    assert text is not None
    assert "antispoof is not in force" in text
    green = structs.replace(guarded(), overlay="green", vnetid=8, bridge=5, device=6)
    guard.put(green)
    assert {"wrapped-blue", "host-blue", "wrapped-green"} <= {*there.names()}
    assert [name for name, _ in told] == ["blue"]
    # The next look finds the module loaded.
    there.lacks = frozenset()
    assert not guard.tables.check()
    assert layout.port_chain("blue", "tap0") in there.names()
    guard.put(guarded(WEB))
    assert told[-1] == ("blue", None)
