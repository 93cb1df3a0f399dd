"""Who may do what over the control socket."""

import array
import contextlib
import enum
import grp
import os
import socket
import struct
from dataclasses import dataclass
from typing import Final, Protocol, Self

from varpd.control.messages import GROUP

ROOT: Final = 0
"""The user id of root."""

SO_PEERGROUPS: Final = 59
"""Socket option for the supplementary groups of the peer (Linux, asm-generic/socket.h)."""

MAX_GROUPS: Final = 256
"""Supplementary groups that are looked at: what fits in the longest answer Python asks for."""

_CREDENTIALS: Final = struct.Struct("@iII")


class Right(enum.Enum):
    """What a caller wants to do."""

    READ = "read"
    CHANGE = "change"


class PeerSocket(Protocol):
    """A connected socket, as an event loop shows it."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Return a socket option."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a unix socket, as the kernel knows it."""

    pid: int
    uid: int
    groups: frozenset[int]
    """The effective group and the supplementary ones."""

    @classmethod
    def of(cls, connection: PeerSocket) -> Self:
        """Return who made the connection: SO_PEERCRED and SO_PEERGROUPS of unix(7)."""
        pid, uid, gid = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        return cls(pid, uid, frozenset({gid, *_supplementary_groups(connection)}))


def _supplementary_groups(connection: PeerSocket) -> list[int]:
    """Return the groups, or none if there are too many: then the effective group must do."""
    groups = array.array("I")
    with contextlib.suppress(OSError):
        groups.frombytes(
            connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MAX_GROUPS * groups.itemsize)
        )
    return groups.tolist()


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read and who may change. Who may change may also read."""

    changing_users: frozenset[int]
    changing_groups: frozenset[int] = frozenset()
    reading_users: frozenset[int] = frozenset()
    reading_groups: frozenset[int] = frozenset()

    @classmethod
    def usual(cls) -> Self:
        """Return the rule of a host: root, the daemon's own user, the members of group varpd."""
        group = group_id(GROUP)
        return cls(
            changing_users=frozenset({ROOT, os.geteuid()}),
            changing_groups=frozenset() if group is None else frozenset({group}),
        )

    def allows(self, peer: Peer, right: Right) -> bool:
        """Return whether a peer has a right."""
        if peer.uid in self.changing_users or peer.groups & self.changing_groups:
            return True
        return right is Right.READ and (
            peer.uid in self.reading_users or bool(peer.groups & self.reading_groups)
        )


def group_id(name: str) -> int | None:
    """Return the number of a group, or None if this host has no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
