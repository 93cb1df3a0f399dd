"""Names of what is in the tables."""

import pytest

from varpd.datapath.linux.guard import layout


@pytest.mark.parametrize(
    "make", [layout.wrapped_chain, layout.underlay_set, layout.from_set, layout.host_chain]
)
@pytest.mark.parametrize("overlay", ["blue", "a-b", "from-x"])
def test_a_name_tells_whose_it_is(make: object, overlay: str) -> None:
    assert callable(make)
    assert layout.owner_of(make(overlay)) == overlay


@pytest.mark.parametrize(
    "name", [layout.TUNNELS, layout.WRAPPED, layout.LINKS, layout.BRIDGED, layout.PORTS]
)
def test_what_all_share_is_nobodys(name: str) -> None:
    assert layout.owner_of(name) == ""


def test_tables_are_of_two_families() -> None:
    assert {table.name for table in layout.TABLES} == {"varpd"}
    assert len({table.family for table in layout.TABLES}) == 2
