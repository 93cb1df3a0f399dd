"""The steps of rules; what the kernel makes of them is tested with nft as the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varpd.datapath.linux.nft import expressions
from varpd.datapath.linux.nft.expressions import Base, Compare, Expression, Meta, Verdict

ALL = (
    expressions.payload(Base.TRANSPORT, 2, 2),
    expressions.payload(Base.TRANSPORT, 12, 4, 1),
    expressions.meta(Meta.L4PROTO),
    expressions.route_type(),
    expressions.mask(b"\xff\xff"),
    expressions.compare(b"\x11", Compare.UNEQUAL),
    expressions.lookup("links"),
    expressions.lookup("links", inverted=True),
    expressions.verdict_of("wrapped"),
    expressions.counter(),
    expressions.notrack(),
    expressions.verdict(Verdict.DROP),
    expressions.verdict(Verdict.GOTO, "wrapped-blue"),
)


def test_what_is_written_is_read_again() -> None:
    assert expressions.parse(expressions.serialize(ALL)) == ALL


@pytest.mark.parametrize("one", ALL, ids=lambda item: item.name)
def test_an_expression_agrees_with_itself_and_no_other(one: Expression) -> None:
    assert [other for other in ALL if one.agrees(other) and other is not one] in (
        [],
        # The kernel tells flags that were not said.
        [expressions.lookup("links", inverted=True)],
    )


def test_the_kernel_may_tell_more_than_was_said() -> None:
    told = Expression("counter", {1: bytes(8), 2: bytes(7) + b"\x05"})
    assert expressions.counter().agrees(told)
    assert not told.agrees(expressions.counter())


@pytest.mark.parametrize(("place", "number"), [(0, 1), (1, 9), (3, 11), (4, 2)])
def test_every_fourth_register_has_the_number_that_the_kernel_tells(
    place: int, number: int
) -> None:
    step = expressions.payload(Base.NETWORK, 0, 4, place)
    assert step.attributes[1] == number.to_bytes(4, "big")


@given(st.binary(max_size=120))
def test_anything_can_be_read(data: bytes) -> None:
    expressions.parse(data)
