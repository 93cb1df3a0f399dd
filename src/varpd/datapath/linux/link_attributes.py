"""Attributes of links that pyroute2's tables do not have yet.

Numbers as in the kernel's linux/if_link.h; an older kernel passes over those it does not know.
"""

from collections.abc import Sequence
from typing import Any, Final

from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

VXLAN_LOCALBYPASS: Final = 31
"""IFLA_VXLAN_LOCALBYPASS, u8: whether a frame to this host skips the underlay (Linux 6.5)."""

BRIDGE_FDB_MAX_LEARNED: Final = 49
"""IFLA_BR_FDB_MAX_LEARNED, u32: how many MACs the bridge learns by itself (Linux 6.7)."""

Known = Sequence[tuple[str, str]]
"""Name and type of the attribute with each number, from 0."""


def extended(known: Known, prefix: str, more: dict[int, tuple[str, str]]) -> Known:
    """Return a table with attributes put at their numbers, and what is between them as it is.

    What the table has already stays.
    """
    new = range(len(known), max(more) + 1)
    return (*known, *(more.get(number, (f"{prefix}{number}", "hex")) for number in new))


def register() -> None:
    """Teach pyroute2 the attributes; doing so again changes nothing."""
    _extend("vxlan", "IFLA_VXLAN_", {VXLAN_LOCALBYPASS: ("IFLA_VXLAN_LOCALBYPASS", "uint8")})
    _extend("bridge", "IFLA_BR_", {BRIDGE_FDB_MAX_LEARNED: ("IFLA_BR_FDB_MAX_LEARNED", "uint32")})


def _extend(kind: str, prefix: str, more: dict[int, tuple[str, str]]) -> None:
    old: Any = ifinfmsg.ifinfo.data_map[kind]
    table = extended(old.nla_map, prefix, more)
    if len(table) > len(old.nla_map):
        new = type(old.__name__, (old,), {"nla_map": table})
        # Not by register_link_kind: that first takes back what was registered for all other kinds.
        ifinfmsg.ifinfo.data_map[kind] = new
