"""From names in the configuration to rights over the control socket."""

import grp
import os
import pwd
from pathlib import Path

from structlog.testing import capture_logs

from varpd.control.access import Peer, Right
from varpd.daemon import config, rights

NOBODY = pwd.getpwnam("nobody")


def peer(user: int, *groups: int) -> Peer:
    return Peer(pid=1, uid=user, groups=frozenset(groups))


def test_root_and_the_daemons_user_may_everything() -> None:
    access = rights.access_of(config.Access())
    assert access.allows(peer(0), Right.CHANGE)
    assert access.allows(peer(os.geteuid()), Right.CHANGE)
    assert not access.allows(peer(NOBODY.pw_uid), Right.READ)


def test_users_and_groups_are_found_by_name_or_number() -> None:
    group = grp.getgrgid(NOBODY.pw_gid).gr_name
    access = rights.access_of(
        config.Access(
            read_users=("nobody",),
            read_groups=("4242",),
            change_users=("5151",),
            change_groups=(group,),
        )
    )
    assert access.reading_users == {NOBODY.pw_uid}
    assert access.reading_groups == {4242}
    assert 5151 in access.changing_users
    assert access.changing_groups == {NOBODY.pw_gid}


def test_who_may_look_may_not_change() -> None:
    access = rights.access_of(config.Access(read_users=("nobody",)))
    assert access.allows(peer(NOBODY.pw_uid), Right.READ)
    assert not access.allows(peer(NOBODY.pw_uid), Right.CHANGE)


def test_a_name_that_this_host_does_not_have_gives_nobody_a_right() -> None:
    access = rights.access_of(
        config.Access(read_users=("no-such-user",), change_groups=("no-such-group",))
    )
    assert access.reading_users == frozenset()
    assert access.changing_groups == frozenset()


def test_the_group_of_the_socket_is_a_name_or_a_number() -> None:
    name = grp.getgrgid(NOBODY.pw_gid).gr_name
    assert rights.socket_group(config.Access(group=name)) == NOBODY.pw_gid
    assert rights.socket_group(config.Access(group="4242")) == 4242
    assert rights.socket_group(config.Access(group="no-such-group")) is None


def test_a_socket_of_another_group_than_configured_is_told(tmp_path: Path) -> None:
    own = tmp_path.stat().st_gid
    with capture_logs() as lines:
        rights.check_socket(tmp_path, own)
        rights.check_socket(tmp_path, None)
        assert lines == []
        rights.check_socket(tmp_path, own + 1)
    (line,) = lines
    assert (line["log_level"], line["group"], line["configured"]) == ("warning", own, own + 1)
