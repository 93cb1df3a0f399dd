"""What dumps tell; the messages that make objects serve as dumps of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft import expressions, objects, reading, wire
from varpd.datapath.linux.nft.expressions import Verdict
from varpd.datapath.linux.nft.objects import Chain, Element, Hook, Rule, Set, Table, Type
from varpd.datapath.linux.nft.wire import Family, Message

TABLE = Table(Family.INET, "varpd")


def attributes(message: Message) -> dict[int, bytes]:
    return netlink.attributes(message.attributes, 0, len(message.attributes))


@pytest.mark.parametrize(
    "chain",
    [
        Chain("plain"),
        Chain("input", Hook.INPUT, -10),
        Chain("last", Hook.FORWARD, 2**31 - 1, policy=Verdict.DROP),
        Chain("host-blue", objects.INGRESS, -500, "blue", Verdict.DROP),
    ],
)
def test_a_chain_is_read_again(chain: Chain) -> None:
    found = reading.chain(1, attributes(objects.new_chain(TABLE, chain)))
    assert (found.family, found.table, found.chain) == (1, "varpd", chain)


def test_the_device_of_a_chain_may_be_in_a_list() -> None:
    hook = netlink.attribute(1, wire.u32(0)) + netlink.attribute(2, wire.u32(0))
    hook += wire.nested(4, netlink.attribute(1, b"blue\0"))
    found = reading.chain(5, {1: b"varpd\0", 3: b"c\0", 4: hook, 5: wire.u32(0)})
    assert found.chain.device == "blue"


def test_a_rule_is_read_again() -> None:
    rule = Rule("c", (expressions.counter(), expressions.verdict(Verdict.DROP)), "why")
    assert reading.rule(attributes(objects.new_rule(TABLE, rule))) == rule


def test_what_a_rule_counted_is_told() -> None:
    steps = (expressions.notrack(), expressions.Expression("counter", {1: bytes(8), 2: b"\1\0"}))
    assert reading.counted(Rule("c", steps, "")) == 256
    assert reading.counted(Rule("c", (), "")) == 0


@pytest.mark.parametrize(
    "item",
    [
        Set("a", (Type.PORT, Type.IPV4)),
        Set("b", (Type.PORT, Type.IPV4), is_map=True),
        Set("c", (Type.IPV6,), is_interval=True),
    ],
)
def test_a_set_is_read_again(item: Set) -> None:
    assert reading.named_set(attributes(objects.new_set(TABLE, item, 1))) == item


@pytest.mark.parametrize(
    "element",
    [
        Element("s", b"\0\1\2\3"),
        Element("s", b"\0\1\2\3", ends=True),
        Element("s", b"\0\1\2\3", goto="chain", comment="of blue"),
    ],
)
def test_an_element_is_read_again(element: Element) -> None:
    (message,) = objects.new_elements(TABLE, element)
    assert list(reading.elements(attributes(message))) == [element]


def test_a_table_is_read() -> None:
    found = reading.table(1, {1: b"varpd\0", 2: wire.u32(6), 7: wire.u32(4711)})
    assert found == reading.FoundTable(1, "varpd", 6, 4711)


def test_ours_is_what_is_in_one_of_our_tables() -> None:
    families = (Family.INET, Family.NETDEV)
    assert reading.is_ours(1, {1: b"varpd\0"}, families, "varpd")
    assert not reading.is_ours(2, {1: b"varpd\0"}, families, "varpd")
    assert not reading.is_ours(1, {1: b"filter\0"}, families, "varpd")


@given(st.dictionaries(st.integers(0, 12), st.binary(max_size=24)))
def test_anything_can_be_read(found: dict[int, bytes]) -> None:
    reading.chain(1, found)
    reading.rule(found)
    reading.named_set(found)
    reading.table(1, found)
    list(reading.elements(found))
