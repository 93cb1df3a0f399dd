"""From the names in the configuration to who may do what over the control socket."""

import os
import pwd
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from varpd.control.access import ROOT, Access, group_id
from varpd.control.messages import GROUP
from varpd.daemon import config

log = structlog.get_logger()


def access_of(section: config.Access) -> Access:
    """Return who may do what; root and the daemon's own user may everything.

    Names that this host does not have are logged and give nobody a right. It may wait for the
    host's user database.
    """
    return Access(
        changing_users=frozenset({ROOT, os.geteuid()}) | _numbers(section.change_users, user_id),
        changing_groups=_numbers(section.change_groups, group_id),
        reading_users=_numbers(section.read_users, user_id),
        reading_groups=_numbers(section.read_groups, group_id),
    )


def socket_group(section: config.Access) -> int | None:
    """Return the number of the group that may connect, or None if this host has no such group."""
    numbers = _numbers((section.group,), group_id)
    return next(iter(numbers), None)


def check_socket(path: Path, group: int | None) -> None:
    """Log it where the control socket could not be given to its group."""
    found = path.stat().st_gid
    if group is not None and found != group:
        log.warning(
            "the control socket belongs to another group than configured: only root may give it to"
            " a group that the daemon does not run as",
            path=str(path),
            group=found,
            configured=group,
        )


def user_id(name: str) -> int | None:
    """Return the number of a user, or None if this host has no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _numbers(names: Iterable[str], find: Callable[[str], int | None]) -> frozenset[int]:
    found: set[int] = set()
    for name in names:
        number = int(name) if name.isascii() and name.isdigit() else find(name)
        if number is None and name == GROUP:
            log.info("no such group on this host", name=name)  # the usual one need not be there
        elif number is None:
            log.warning("no such user or group on this host", name=name)
        else:
            found.add(number)
    return frozenset(found)
