"""Who may do what."""

import os
import socket

import pytest

from varpd.control.access import Access, Peer, Right, group_id


def peer(uid: int = 1000, *groups: int) -> Peer:
    return Peer(pid=1, uid=uid, groups=frozenset(groups or {1000}))


ACCESS = Access(
    changing_users=frozenset({0, 7}),
    changing_groups=frozenset({70}),
    reading_users=frozenset({8}),
    reading_groups=frozenset({80}),
)


@pytest.mark.parametrize(
    ("caller", "may_read", "may_change"),
    [
        (peer(0), True, True),
        (peer(7), True, True),
        (peer(1000, 70), True, True),
        (peer(1000, 1000, 70), True, True),
        (peer(8), True, False),
        (peer(1000, 1000, 80), True, False),
        (peer(1000), False, False),
        (peer(70, 7), False, False),
    ],
)
def test_rights_come_from_the_user_or_a_group(
    caller: Peer, may_read: bool, may_change: bool
) -> None:
    assert ACCESS.allows(caller, Right.READ) is may_read
    assert ACCESS.allows(caller, Right.CHANGE) is may_change


def test_root_and_the_daemons_own_user_may_change() -> None:
    access = Access.usual()
    assert access.allows(peer(0), Right.CHANGE)
    assert access.allows(peer(os.geteuid()), Right.CHANGE)


def test_others_may_nothing() -> None:
    stranger = peer(os.geteuid() + 12345, 2**31 - 9)
    assert not Access.usual().allows(stranger, Right.READ)


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        found = Peer.of(ours)
    assert (found.pid, found.uid) == (os.getpid(), os.geteuid())
    assert found.groups == {os.getegid(), *os.getgroups()}


def test_a_peer_whose_groups_cannot_be_read_has_its_effective_group() -> None:
    class Reticent:
        def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
            if option == socket.SO_PEERCRED:
                return b"\x05\0\0\0\x06\0\0\0\x07\0\0\0"
            raise OSError("too many groups")

    assert Peer.of(Reticent()) == Peer(pid=5, uid=6, groups=frozenset({7}))


def test_a_group_that_does_not_exist_has_no_number() -> None:
    assert group_id("no-such-group-here") is None
    assert group_id("root") == 0
