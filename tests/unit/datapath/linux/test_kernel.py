"""What is read out of pyroute2's messages about links."""

from ipaddress import ip_address
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from varpd.datapath.linux import link_attributes
from varpd.datapath.linux.kernel import LinkInfo, Tunnel, link_info


def decoded(kind: str, data: list[list[Any]], *attributes: list[Any]) -> Any:
    """Encode a message about a link and decode it again."""
    link_attributes.register()
    message = ifinfmsg()
    message["index"], message["flags"] = 7, 1
    info = [["IFLA_INFO_KIND", kind], ["IFLA_INFO_DATA", {"attrs": data}]]
    message["attrs"] = [["IFLA_LINKINFO", {"attrs": info}], *attributes]
    message.encode()
    again = ifinfmsg(message.data)
    again.decode()
    return again


def test_a_bridge_is_read() -> None:
    shown = decoded(
        "bridge",
        [["IFLA_BR_STP_STATE", 0]],
        ["IFLA_IFNAME", "blue"],
        ["IFLA_IFALIAS", "varpd:blue"],
        ["IFLA_ADDRESS", "02:00:00:00:00:01"],
        ["IFLA_MTU", 1400],
    )
    assert link_info(shown) == LinkInfo(
        7,
        "blue",
        "bridge",
        "varpd:blue",
        "02:00:00:00:00:01",
        1400,
        0,
        up=True,
        tunnel=None,
        settings={"br_stp_state": 0},
    )


@pytest.mark.parametrize(
    ("name", "ip"), [("IFLA_VXLAN_LOCAL", "192.0.2.1"), ("IFLA_VXLAN_LOCAL6", "2001:db8::1")]
)
@pytest.mark.parametrize("bypass", [False, True])
def test_a_tunnel_is_read(name: str, ip: str, bypass: bool) -> None:
    data: list[list[Any]] = [
        ["IFLA_VXLAN_ID", 42],
        [name, ip],
        ["IFLA_VXLAN_PORT", 4789],
        ["IFLA_VXLAN_LEARNING", 1],
        ["IFLA_VXLAN_LOCALBYPASS", int(bypass)],
    ]
    found = link_info(decoded("vxlan", data))
    assert found.tunnel == Tunnel(42, ip_address(ip), 4789, learning=True, localbypass=bypass)


def test_a_kernel_without_localbypass_is_recognised() -> None:
    found = link_info(decoded("vxlan", [["IFLA_VXLAN_ID", 42]]))
    assert found.tunnel is not None
    assert found.tunnel.localbypass is None
