"""Sockets that the kernel tells what changes; what they are told is tested with their users."""

import socket
from contextlib import closing

import pytest

from varpd.datapath.linux.filters import ALL, RETURN, Instruction
from varpd.datapath.linux.subscription import RTNLGRP_LINK, RTNLGRP_NEIGH, subscribe

EVERYTHING: list[Instruction] = [(RETURN, 0, 0, ALL)]


def test_nobody_waits_for_what_is_told() -> None:
    with closing(subscribe(EVERYTHING, [RTNLGRP_LINK, RTNLGRP_NEIGH])) as told:
        assert told.family == socket.AF_NETLINK
        assert not told.getblocking()
        groups = told.getsockname()[1]
        assert groups == 1 << (RTNLGRP_LINK - 1) | 1 << (RTNLGRP_NEIGH - 1)


def test_a_group_that_there_is_not_is_refused() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        subscribe(EVERYTHING, [100_000])
