"""The socket filter of the netlink monitor, in classic BPF (linux/filter.h, linux/bpf_common.h).

The kernel tells everybody every change of every neighbour and FDB row, and varpd makes most of
them. What passes: changes of addresses, and of bridges' rows that are not sticky. Rows of tunnel
devices (NTF_SELF) and the rows that varpd writes into bridges (NTF_STICKY) do not.
"""

import socket
from typing import Final

from varpd.datapath.linux import netlink
from varpd.datapath.linux.filters import Instruction

_LOAD_HALF: Final = 0x28
"""BPF_LD | BPF_H | BPF_ABS: two bytes at an offset, big-endian."""

_LOAD_BYTE: Final = 0x30
"""BPF_LD | BPF_B | BPF_ABS: one byte."""

_JUMP_EQUAL: Final = 0x15
"""BPF_JMP | BPF_JEQ | BPF_K."""

_JUMP_SET: Final = 0x45
"""BPF_JMP | BPF_JSET | BPF_K: whether any of these bits is set."""

_RETURN: Final = 0x06
"""BPF_RET | BPF_K: how many bytes are taken, 0 for none."""

_ALL: Final = 0xFFFFFFFF

# Offsets in the message: `type` of nlmsghdr, `family` and `flags` of ndmsg behind it.
_TYPE_AT: Final = 4
_FAMILY_AT: Final = netlink.HEADER.size
_FLAGS_AT: Final = netlink.HEADER.size + 10


def monitor_filter() -> list[Instruction]:
    """Return the program; it looks at the first message of a datagram, and there is but one."""
    return [
        (_LOAD_HALF, 0, 0, _TYPE_AT),
        # Numbers are in host byte order there, but loaded as big-endian.
        (_JUMP_EQUAL, 7, 0, socket.htons(netlink.RTM_NEWADDR)),
        (_JUMP_EQUAL, 6, 0, socket.htons(netlink.RTM_DELADDR)),
        (_JUMP_EQUAL, 1, 0, socket.htons(netlink.RTM_NEWNEIGH)),
        (_JUMP_EQUAL, 0, 5, socket.htons(netlink.RTM_DELNEIGH)),
        (_LOAD_BYTE, 0, 0, _FAMILY_AT),
        (_JUMP_EQUAL, 0, 3, socket.AF_BRIDGE),
        (_LOAD_BYTE, 0, 0, _FLAGS_AT),
        (_JUMP_SET, 1, 0, netlink.NTF_SELF | netlink.NTF_STICKY),
        (_RETURN, 0, 0, _ALL),
        (_RETURN, 0, 0, 0),
    ]
