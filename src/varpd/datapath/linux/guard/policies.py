"""What other people's forward chains do with what none of their rules decides about."""

from collections.abc import Callable
from typing import Final

from varpd.datapath.linux.guard import layout
from varpd.datapath.linux.guard.snapshot import Connection
from varpd.datapath.linux.nft import reading
from varpd.datapath.linux.nft.expressions import Verdict
from varpd.datapath.linux.nft.objects import Hook
from varpd.datapath.linux.nft.session import Session
from varpd.datapath.linux.nft.wire import Family, Kind

_FAMILIES: Final = (Family.IPV4, Family.IPV6, Family.INET)


def forward_drops(connect: Callable[[], Connection] = Session) -> bool:
    """Return whether a chain of nftables, or of iptables above it, drops what is forwarded.

    `connect` returns a connection to nftables.

    Raises:
        OSError: it cannot be found out.
    """
    session = connect()
    try:
        for family in _FAMILIES:
            for number, attributes in session.dump(Kind.GETCHAIN, family):
                found = reading.chain(number, attributes)
                chain = found.chain
                if (
                    found.table != layout.NAME
                    and chain.hook == Hook.FORWARD
                    and chain.policy is Verdict.DROP
                ):
                    return True
    finally:
        session.close()
    return False
