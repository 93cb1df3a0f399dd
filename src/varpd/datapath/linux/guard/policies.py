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

_FAMILIES: Final = {Family.IPV4: {4}, Family.IPV6: {6}, Family.INET: {4, 6}}


def forward_drops(connect: Callable[[], Connection] = Session) -> set[int]:
    """Return the families, 4 and 6, of which others drop what is forwarded.

    That is, by the policy of a chain of nftables, or of iptables above it.

    `connect` returns a connection to nftables.

    Raises:
        OSError: it cannot be found out.
    """
    session, dropped = connect(), set()
    try:
        for family, versions in _FAMILIES.items():
            for number, attributes in session.dump(Kind.GETCHAIN, family):
                found = reading.chain(number, attributes)
                chain = found.chain
                if (
                    found.table != layout.NAME
                    and chain.hook == Hook.FORWARD
                    and chain.policy is Verdict.DROP
                ):
                    dropped |= versions
    finally:
        session.close()
    return dropped
