"""Attributes that pyroute2 does not know by itself."""

from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from varpd.datapath.linux import link_attributes


def test_each_attribute_stands_at_its_number() -> None:
    link_attributes.register()
    kinds = ifinfmsg.ifinfo.data_map
    number = link_attributes.VXLAN_LOCALBYPASS
    assert kinds["vxlan"].nla_map[number] == ("IFLA_VXLAN_LOCALBYPASS", "uint8")
    number = link_attributes.BRIDGE_FDB_MAX_LEARNED
    assert kinds["bridge"].nla_map[number] == ("IFLA_BR_FDB_MAX_LEARNED", "uint32")


def test_registering_again_changes_nothing() -> None:
    link_attributes.register()
    before = dict(ifinfmsg.ifinfo.data_map)
    link_attributes.register()
    assert dict(ifinfmsg.ifinfo.data_map) == before


def test_what_the_library_knows_already_stays() -> None:
    known = (("A", "none"), ("B", "uint8"))
    more = {1: ("OTHER", "hex"), 3: ("D", "uint8")}
    assert link_attributes.extended(known, "X_", more) == (*known, ("X_2", "hex"), ("D", "uint8"))
