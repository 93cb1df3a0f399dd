"""Where nobody keeps sockets."""

import socket
from ipaddress import ip_address

from varpd.datapath.linux.keeping import Keeper, NoKeeper


def test_without_a_keeper_nothing_is_kept_and_nothing_is_found() -> None:
    keeper: Keeper = NoKeeper()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as punt:
        punt.bind(("127.0.0.1", 0))
        keeper.keep("blue", punt)
        assert keeper.take("blue", ip_address("127.0.0.1"), punt.getsockname()[1]) is None
        keeper.forget("blue")
        assert punt.fileno() >= 0
