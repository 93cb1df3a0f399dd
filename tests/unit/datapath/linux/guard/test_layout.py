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


def test_tables_are_of_different_families() -> None:
    assert {table.name for table in layout.TABLES} == {"varpd"}
    assert len({table.family for table in layout.TABLES}) == 3


@pytest.mark.parametrize("port", ["tap0", "a-b", "port-1"])
def test_a_name_of_a_port_tells_whose_it_is(port: str) -> None:
    chain = layout.port_chain("a-b", port)
    assert (layout.owner_of(chain), layout.port_of(chain)) == ("a-b", port)
    assert layout.owner_of(layout.address_set("a-b", port, 6)) == "a-b"
    assert layout.port_of(layout.wrapped_chain("a-b")) is None
