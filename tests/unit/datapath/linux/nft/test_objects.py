"""Objects of nftables and their messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.datapath.linux import netlink
from varpd.datapath.linux.nft import objects
from varpd.datapath.linux.nft.objects import (
    COMMENT_MAX,
    Chain,
    Element,
    Hook,
    Rule,
    Set,
    Table,
    Type,
)
from varpd.datapath.linux.nft.wire import Family, Kind, Message

TABLE = Table(Family.INET, "varpd")


def attributes(message: Message) -> dict[int, bytes]:
    return netlink.attributes(message.attributes, 0, len(message.attributes))


def test_a_table_says_whose_it_is_only_where_asked() -> None:
    assert attributes(objects.new_table(TABLE)) == {1: b"varpd\0"}
    owned = attributes(objects.new_table(TABLE, objects.OWNER | objects.PERSIST))
    assert owned == {1: b"varpd\0", 2: b"\0\0\0\6"}


def test_a_chain_with_a_hook_says_where_and_what_becomes_of_the_rest() -> None:
    found = attributes(objects.new_chain(TABLE, Chain("input", Hook.INPUT, -10)))
    assert netlink.attributes(found[4], 0, len(found[4])) == {
        1: b"\0\0\0\1",
        2: b"\xff\xff\xff\xf6",
    }
    assert (found[5], found[7]) == (b"\0\0\0\1", b"filter\0")


def test_a_chain_without_a_hook_is_only_a_name() -> None:
    assert attributes(objects.new_chain(TABLE, Chain("x"))) == {1: b"varpd\0", 3: b"x\0"}


def test_fields_of_a_key_take_whole_registers() -> None:
    assert objects.key(b"\x12\xb5", b"\0\0\7\0") == b"\x12\xb5\0\0\0\0\7\0"
    assert (Type.PORT.width, Type.MAC.width, Type.INTERFACE_NAME.width) == (4, 8, 16)


@pytest.mark.parametrize(
    "fields", [(Type.PORT,), (Type.PORT, Type.IPV4), (Type.INTERFACE, Type.INTERFACE, Type.IPV6)]
)
def test_the_type_of_a_key_is_read_again(fields: tuple[Type, ...]) -> None:
    found = attributes(objects.new_set(TABLE, Set("s", fields), 1))
    assert objects.fields_of(int.from_bytes(found[4], "big")) == fields


def test_a_type_that_is_none_of_ours_is_none() -> None:
    assert objects.fields_of(63) == ()


def test_a_set_of_two_fields_says_their_sizes() -> None:
    found = attributes(objects.new_set(TABLE, Set("s", (Type.PORT, Type.IPV4)), 1))
    assert found[5] == b"\0\0\0\x08"
    assert b"\0\0\0\x02" in found[9]
    assert b"\0\0\0\x04" in found[9]


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=200))
def test_comments_are_read_again_as_far_as_there_is_room(comment: str) -> None:
    rule = objects.new_rule(TABLE, Rule("c", (), comment))
    assert objects.parse_comment(attributes(rule)[7]) == comment[:COMMENT_MAX]


@given(st.binary(max_size=40))
def test_any_user_data_can_be_read(data: bytes) -> None:
    objects.parse_comment(data)


def test_a_comment_is_found_behind_other_user_data() -> None:
    assert objects.parse_comment(b"\x05\x01x\x00\x03hi\x00") == "hi"


def test_elements_are_deleted_by_their_keys_alone() -> None:
    element = Element("m", b"\0\1", goto="chain", comment="of somebody")
    (new,) = objects.new_elements(TABLE, element)
    (gone,) = objects.delete_elements(TABLE, element)
    assert b"chain" in new.attributes
    assert b"of somebody" in new.attributes
    assert b"chain" not in gone.attributes
    assert (new.kind, gone.kind) == (Kind.NEWSETELEM, Kind.DELSETELEM)


def test_a_rule_agrees_only_with_the_same_steps_and_comment() -> None:
    rule = Rule("c", (), "why")
    assert rule.agrees(Rule("c", (), "why"))
    assert not rule.agrees(Rule("c", (), "other"))
    assert not rule.agrees(Rule("d", (), "why"))
