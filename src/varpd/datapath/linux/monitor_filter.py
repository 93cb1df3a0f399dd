"""The socket filter of the netlink monitor, in classic BPF (linux/filter.h, linux/bpf_common.h).

The kernel tells everybody every change of every neighbour and FDB row, and varpd makes most of
them. What passes: changes of addresses, and of bridges' rows that are not sticky. Rows of tunnel
devices (NTF_SELF) and the rows that varpd writes into bridges (NTF_STICKY) do not.
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

# Offsets in the message: `type` of nlmsghdr, `family` and `flags` of ndmsg behind it.
_TYPE_AT: Final = 4
_FAMILY_AT: Final = netlink.HEADER.size
_FLAGS_AT: Final = netlink.HEADER.size + 10


def monitor_filter() -> list[Instruction]:
    """Return the program; it looks at the first message of a datagram, and there is but one."""
    return [
        (LOAD_HALF, 0, 0, _TYPE_AT),
        # Numbers are in host byte order there, but loaded as big-endian.
        (JUMP_EQUAL, 7, 0, socket.htons(netlink.RTM_NEWADDR)),
        (JUMP_EQUAL, 6, 0, socket.htons(netlink.RTM_DELADDR)),
        (JUMP_EQUAL, 1, 0, socket.htons(netlink.RTM_NEWNEIGH)),
        (JUMP_EQUAL, 0, 5, socket.htons(netlink.RTM_DELNEIGH)),
        (LOAD_BYTE, 0, 0, _FAMILY_AT),
        (JUMP_EQUAL, 0, 3, socket.AF_BRIDGE),
        (LOAD_BYTE, 0, 0, _FLAGS_AT),
        (JUMP_SET, 1, 0, netlink.NTF_SELF | netlink.NTF_STICKY),
        (RETURN, 0, 0, ALL),
        (RETURN, 0, 0, 0),
    ]
