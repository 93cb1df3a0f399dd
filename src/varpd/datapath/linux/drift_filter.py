"""The socket filter of the drift monitor, in classic BPF: what tells of others' changes.

Writes of varpd itself are the most of what the kernel tells, and all of them are sticky. What
passes: changes of links, addresses that go, rows of tunnel devices that are not sticky, rows that
are static or permanent in a bridge, and the removal of rows of a tunnel device or of sticky ones.
The kernel does not say who removed a row, so varpd's own removals pass.
"""

import socket
from typing import Final

from varpd.datapath.linux import netlink
from varpd.datapath.linux.filters import (
    ALL,
    JUMP_EQUAL,
    JUMP_SET,
    LOAD_BYTE,
    LOAD_HALF,
    RETURN,
    Instruction,
)

# Offsets in the message: `type` of nlmsghdr; `family`, `state` and `flags` of ndmsg behind it.
_TYPE_AT: Final = 4
_FAMILY_AT: Final = netlink.HEADER.size
_STATE_AT: Final = netlink.HEADER.size + 8
_FLAGS_AT: Final = netlink.HEADER.size + 10


def drift_filter() -> list[Instruction]:
    """Return the program; it looks at the first message of a datagram, and there is but one."""
    return [
        (LOAD_HALF, 0, 0, _TYPE_AT),
        # Numbers are in host byte order there, but loaded as big-endian.
        (JUMP_EQUAL, 15, 0, socket.htons(netlink.RTM_NEWLINK)),
        (JUMP_EQUAL, 14, 0, socket.htons(netlink.RTM_DELLINK)),
        (JUMP_EQUAL, 13, 0, socket.htons(netlink.RTM_DELADDR)),
        (JUMP_EQUAL, 5, 0, socket.htons(netlink.RTM_NEWNEIGH)),
        (JUMP_EQUAL, 0, 12, socket.htons(netlink.RTM_DELNEIGH)),
        # Removed: what was the tunnel device's, or sticky.
        (LOAD_BYTE, 0, 0, _FAMILY_AT),
        (JUMP_EQUAL, 0, 10, socket.AF_BRIDGE),
        (LOAD_BYTE, 0, 0, _FLAGS_AT),
        (JUMP_SET, 7, 8, netlink.NTF_SELF | netlink.NTF_STICKY),
        # Written: not sticky, and the tunnel device's, static or permanent.
        (LOAD_BYTE, 0, 0, _FAMILY_AT),
        (JUMP_EQUAL, 0, 6, socket.AF_BRIDGE),
        (LOAD_BYTE, 0, 0, _FLAGS_AT),
        (JUMP_SET, 4, 0, netlink.NTF_STICKY),
        (JUMP_SET, 2, 0, netlink.NTF_SELF),
        (LOAD_HALF, 0, 0, _STATE_AT),
        (JUMP_SET, 0, 1, socket.htons(netlink.NUD_NOARP | netlink.NUD_PERMANENT)),
        (RETURN, 0, 0, ALL),
        (RETURN, 0, 0, 0),
    ]
